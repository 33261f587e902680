"""Opens every file of a listing once: decodes videos to the end, reads skeletons, and stores the findings."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import av
import cv2
import numpy as np

from gesta.clips.decode import VideoInfo, probe
from gesta.clips.skeleton import pixels_known, read_joints
from gesta.clips.skeleton_files import NobodyTracked
from gesta.clips.skeleton_frames import UNKNOWN_FPS, skeletons_of, times_of
from gesta.clips.tracks import Role
from gesta.schema import GestaError, Resource, Sample
from gesta.threads import Threads

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class VideoFacts:
    """`info` is None, and `error` gives the reason, if the file is not a video."""

    info: VideoInfo | None
    error: str = ""
    empty: bool = False


@dataclass(frozen=True)
class SkeletonFacts:
    """`tracked`: for each frame, whether any joint is present. None, with `error`, if unreadable.

    `info`: video information of a recording without video; `joints`: their names.
    """

    tracked: tuple[bool, ...] | None
    error: str = ""
    info: VideoInfo | None = None
    joints: tuple[str, ...] = ()


@dataclass(frozen=True)
class Facts:
    """Every file of a listing, opened once."""

    videos: dict[Resource, VideoFacts]
    skeletons: dict[Resource, SkeletonFacts]

    def main(self, sample: Sample) -> VideoInfo | None:
        """Returns the info of the file that labels refer to: color, else depth, else skeleton; None if unreadable."""
        resource = main_video(sample)
        return self.videos[resource].info if resource in self.videos else self.skeletons[resource].info


def main_video(sample: Sample) -> Resource:
    """Returns the color video, else depth, else the skeleton."""
    return sample.files[0]


def open_files(samples: Sequence[Sample], progress: Progress | None = None) -> Facts:
    """Opens the samples' files, on all cores. `progress(done, total)` is called after each file."""
    videos = list(dict.fromkeys(r for s in samples for r in (s.color, s.depth, s.mask) if r is not None))
    depths = {s.depth for s in samples} - {r for s in samples for r in (s.color, s.mask)}
    roles: list[Role] = ["depth" if video in depths else "color" for video in videos]
    with_skeleton = {s.skeleton: s for s in samples if s.skeleton is not None}
    total = len(videos) + len(with_skeleton)
    facts = Facts({}, {})
    with Threads(max_workers=os.cpu_count() or 1) as pool:
        for done, (resource, found) in enumerate(
            zip(videos, pool.map(open_video, videos, roles), strict=True), start=1
        ):
            facts.videos[resource] = found
            if progress is not None:
                progress(done, total)
    for done, (resource, sample) in enumerate(with_skeleton.items(), start=len(videos) + 1):
        facts.skeletons[resource] = open_skeleton(sample)
        if progress is not None:
            progress(done, total)
    return facts


def open_video(resource: Resource, role: Role = "any") -> VideoFacts:
    """Decodes a video (or a folder of images) to its end. Never raises because of a file's content.

    `role`: selects one of several tracks.
    """
    try:
        if resource.member is None and resource.path.is_file() and resource.path.stat().st_size == 0:
            return VideoFacts(None, "the file has 0 bytes", empty=True)
        info = probe(resource, role)
    except (GestaError, OSError, ValueError, av.FFmpegError, cv2.error) as error:
        return VideoFacts(None, str(error).removeprefix(f"{resource}: "))
    return VideoFacts(info, empty=info.frames == 0)


def open_skeleton(sample: Sample) -> SkeletonFacts:
    """Reads a skeleton file. Never raises because of a file's content."""
    try:
        if main_video(sample) == sample.skeleton or not pixels_known(sample):
            return _alone(sample)
        joints = read_joints(sample)
    except NobodyTracked:
        return SkeletonFacts((False,))
    except (GestaError, OSError, ValueError) as error:
        return SkeletonFacts(None, str(error).removeprefix(f"{sample.skeleton}: "))
    if joints is None:
        return SkeletonFacts(None, "contains no skeleton")
    return SkeletonFacts(tuple(bool(np.isfinite(frame).any()) for frame in joints), joints=sample.joints)


def _alone(sample: Sample) -> SkeletonFacts:
    """Returns the facts of a skeleton used without a video."""
    found = skeletons_of(sample)
    times = times_of(sample, found)
    step = float(np.median(np.diff(times))) if len(times) > 1 else 1 / UNKNOWN_FPS
    rate = 1 / step if step > 0 else UNKNOWN_FPS
    length_s = float(times[-1]) + step
    info = VideoInfo(len(times), rate, 0, 0, 0, "", "", None, None, length_s, None, times_s=times.astype(np.float32))
    return SkeletonFacts(tuple(bool(np.isfinite(f).any()) for f in found.values), info=info, joints=found.joints)
