"""Faults of files and recordings: unreadable, truncated, different lengths, labels outside, nobody tracked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

from gesta.audit.probing import Facts, VideoFacts, main_video
from gesta.clips.damage import described
from gesta.clips.decode import VideoInfo
from gesta.clips.read import ALLOWED_DIFFERENCE
from gesta.clips.skeleton_sets import describe_joints, order_of
from gesta.clips.tracks import depth_bits, is_depth
from gesta.schema import Problem, Resource, Sample
from gesta.sources.chalearn2014 import stated_facts
from gesta.words import counted


def file_faults(samples: Sequence[Sample], facts: Facts) -> Iterator[Problem]:
    """Yields each unreadable, empty or truncated file once, color videos with depth, and skeletons without a person."""
    for resource, video in facts.videos.items():
        problem = _video_fault(resource, video)
        if problem is not None:
            yield problem
    colors = dict.fromkeys(s.color for s in samples if s.color is not None)
    for resource in colors:
        info = facts.videos[resource].info
        if info is not None and is_depth(info.pixels):
            hint = "Name it in an index.csv, where path may be a depth video."
            reason = f"is a {depth_bits(info.pixels)}-bit gray video, but listed as color."
            yield Problem(str(resource), "depth-as-color", reason, hint)
    yield from _depth_faults(samples, facts)
    for resource, skeleton in facts.skeletons.items():
        if skeleton.tracked is None:
            hint = "Delete the file if there is no better copy; the recording then has no skeleton."
            yield Problem(str(resource), "unreadable", skeleton.error, hint)
        elif not any(skeleton.tracked):
            hint = "Crops cannot follow the person here; leave the recording out or record it again."
            reason = "no person is tracked in any frame (all rows are zero or missing)."
            yield Problem(str(resource), "skeleton-all-zero", reason, hint)
    yield from _joint_faults(facts)


def _joint_faults(facts: Facts) -> Iterator[Problem]:
    """Yields skeletons whose joint set differs from the majority: a model uses only one."""
    sets = Counter(skeleton.joints for skeleton in facts.skeletons.values() if skeleton.joints)
    usual = max(sets, key=lambda joints: sets[joints], default=())
    for resource, skeleton in facts.skeletons.items():
        if skeleton.joints and order_of(skeleton.joints, usual) is None:
            reason = f"has {describe_joints(skeleton.joints)}; most recordings have {describe_joints(usual)}."
            hint = "A model uses one joint set, so the smaller group is skipped. Put it into a folder of its own."
            yield Problem(str(resource), "other-joints", reason, hint)


def _depth_faults(samples: Sequence[Sample], facts: Facts) -> Iterator[Problem]:
    """Yields 8-bit depth videos without a known depth unit."""
    for resource, unit_mm in dict.fromkeys((s.depth, s.depth_unit_mm) for s in samples if s.depth is not None):
        info = facts.videos[resource].info
        if info is not None and info.frames and unit_mm == 1.0 and not is_depth(info.pixels):
            reason = (
                f"is an 8-bit or color video ({info.pixels or 'images'}), but listed as depth: it has no millimeters."
            )
            hint = "Name the depth video, or give the mm per gray level as depth_unit_mm."
            yield Problem(str(resource), "color-as-depth", reason, hint)


def recording_faults(samples: Sequence[Sample], facts: Facts) -> Iterator[Problem]:
    """Yields inconsistencies between the files of a recording, once per recording."""
    seen: set[tuple[Resource, ...]] = set()
    for sample in samples:
        if sample.files not in seen:
            seen.add(sample.files)
            yield from _length_faults(sample, facts)


def label_faults(samples: Sequence[Sample], facts: Facts) -> Iterator[Problem]:
    """Yields spans outside their video, overlapping spans of a recording, and gestures with nobody tracked."""
    recordings: dict[str, list[Sample]] = {}
    for sample in samples:
        info = facts.main(sample)
        if info is not None and info.frames > 0:
            yield from _outside(sample, info)
            recordings.setdefault(sample.recording, []).append(sample)
        yield from _untracked_span(sample, facts)
    for members in recordings.values():
        yield from _overlaps(members, facts)


def span_s(sample: Sample, info: VideoInfo) -> tuple[float, float]:
    """Returns the sample's span in seconds of its recording, clipped to the video."""
    if sample.first_frame is not None and sample.last_frame is not None:
        return info.at(sample.first_frame), info.at(sample.last_frame + 1)
    end_s = info.duration_s
    return sample.start_s or 0.0, end_s if sample.end_s is None else min(sample.end_s, end_s)


def is_unusable(sample: Sample, info: VideoInfo) -> bool:
    """Returns whether the video ends before the sample, has lost too many frames, or is depth instead of color."""
    if info.damaged or (sample.color is not None and is_depth(info.pixels)):
        return True
    if not (info.error or info.lacks):
        return False
    if sample.last_frame is not None:
        return sample.last_frame >= info.frames + info.lost
    return sample.end_s is None or sample.end_s > info.duration_s


def _video_fault(resource: Resource, video: VideoFacts) -> Problem | None:
    again = "Copy or encode it again; clips that use it are skipped."
    info = video.info
    if video.empty:
        return Problem(
            str(resource), "empty-video", f"contains no frames{': ' * bool(video.error)}{video.error}.", again
        )
    if info is None:
        return Problem(str(resource), "unreadable", video.error, "Clips that use it are skipped.")
    if info.error is not None:
        reason = f"decoding stopped after {info.frames} frames ({info.error})."
        return Problem(str(resource), "truncated-video", reason, again)
    if info.lacks:
        return Problem(str(resource), "truncated-video", info.lacks, again)
    if info.lost:
        reason = f"{described(info.lost, info.lost + info.frames)}."
        if info.damaged:
            return Problem(str(resource), "damaged-video", reason, "Copy or encode it again, or raise --max-damage.")
        return Problem(str(resource), "damaged-frames", reason, "They are skipped; the others are used.")
    if info.restarts:
        reason = f"its time stamps jump back {counted(info.restarts, 'time')}."
        return Problem(
            str(resource),
            "clock-jumps",
            reason,
            "After a jump, time continues from the previous frame: check the labels.",
        )
    return None


def _length_faults(sample: Sample, facts: Facts) -> Iterator[Problem]:
    lengths = _lengths(sample, facts)
    main = main_video(sample)
    if main not in lengths:
        return
    stated = stated_facts(sample)
    hint = "Frames are paired by number: check that the files belong together."
    if stated is not None and stated.n_frames is not None and lengths[main] < stated.n_frames - ALLOWED_DIFFERENCE:
        reason = f"_data.csv states {stated.n_frames} frames, but {lengths[main]} could be decoded."
        yield Problem(str(main), "truncated-video", reason, "Copy or encode it again.")
    for resource, length in lengths.items():
        if abs(length - lengths[main]) > ALLOWED_DIFFERENCE:
            reason = f"has {length} frames, but {main.name} has {lengths[main]}."
            yield Problem(str(resource), "other-length", reason, hint)


def _lengths(sample: Sample, facts: Facts) -> dict[Resource, int]:
    lengths = {}
    for resource in (sample.color, sample.depth, sample.mask):
        info = facts.videos[resource].info if resource is not None else None
        if resource is not None and info is not None:
            lengths[resource] = info.frames + info.lost
    if sample.skeleton is not None:
        tracked = facts.skeletons[sample.skeleton].tracked
        if tracked is not None:
            lengths[sample.skeleton] = len(tracked)
    return lengths


def _outside(sample: Sample, info: VideoInfo) -> Iterator[Problem]:
    hint = "Correct the label; the frames that are missing cannot be used."
    where = str(main_video(sample))
    if sample.last_frame is not None and sample.last_frame >= info.frames + info.lost:
        reason = (
            f"the label {sample.label} of {sample.id} ends at frame {sample.last_frame + 1}, "
            f"but the video has {info.frames + info.lost} frames."
        )
        yield Problem(where, "label-outside-video", reason, hint)
    length_s = info.duration_s
    latest = max(sample.start_s or 0.0, sample.end_s or 0.0)
    if latest > length_s + 2 / info.fps or (sample.start_s or 0.0) >= length_s:
        reason = f"the label {sample.label} of {sample.id} extends to {latest:g} s, but the video has {length_s:.2f} s."
        yield Problem(where, "label-outside-video", reason, hint)


def _untracked_span(sample: Sample, facts: Facts) -> Iterator[Problem]:
    if sample.skeleton is None or sample.first_frame is None or sample.last_frame is None:
        return
    tracked = facts.skeletons[sample.skeleton].tracked
    if tracked is None or not any(tracked):
        return
    span = tracked[sample.first_frame : sample.last_frame + 1]
    if span and not any(span):
        reason = f"no person is tracked during {sample.id} ({sample.label})."
        yield Problem(str(sample.skeleton), "skeleton-all-zero", reason, "Leave the gesture out or record it again.")


def _overlaps(members: Sequence[Sample], facts: Facts) -> Iterator[Problem]:
    spans = []
    for sample in members:
        info = facts.main(sample)
        if info is not None and sample.label is not None:
            spans.append((*span_s(sample, info), sample, 1.5 / info.fps))
    spans.sort(key=lambda span: (span[0], span[1], span[2].id))
    for (_, end_s, one, tolerance_s), (start_s, next_end_s, other, _) in pairwise(spans):
        common_s = min(end_s, next_end_s) - start_s
        if common_s > tolerance_s:
            reason = f"{one.id} ({one.label}) and {other.id} ({other.label}) overlap by {common_s:.2f} s."
            hint = "Gestures cannot overlap: correct the labels."
            yield Problem(str(main_video(one)), "overlapping-labels", reason, hint)
