"""Inputs of a model: a file, a recording, or a folder of either."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from gesta.clips.tracks import choose_track, is_depth, open_container
from gesta.schema import KINECT_JOINTS, TRACK, GestaError, Listing, Resource, Sample, base
from gesta.sources import catalog, skeletons, videos
from gesta.sources.cameras import read_camera
from gesta.sources.files import is_video
from gesta.sources.left_out import IMAGE_SUFFIXES
from gesta.sources.split import Protocol, assign_splits, without_validation

PROTOCOLS = ("subject", "document")
LOST = ("unreadable", "no-video", "zip-in-zip", "unread-format")
"""Kinds of problems because of which a recording yields no sample."""


def find(path: str | Path, layout: str | None = None) -> Listing:
    """Returns the samples at a path: a known layout, a folder of videos, or a file of any kind, checked when decoded.

    Raises GestaError, with the readers' reasons, if there is nothing that could be a video.
    """
    path = Path(path)
    if address := re.match(r"([a-z]{2,}):/+", str(path)):
        rest = str(path)[address.end() :]
        raise GestaError(
            f"{address[1]}://{rest}: URLs are not opened. Give a file or a folder; for a camera, push its images to "
            "a stream."
        )
    resource = Resource.at(path)
    if resource.track is not None:
        return Listing(path, "videos", (_of_track(resource),))
    if path.is_file() and path.suffix.lower() in IMAGE_SUFFIXES:
        raise GestaError(
            f"{path}: is a single image, but this model recognizes videos. Give a video or a folder of images."
        )
    if path.is_file() and layout is None and skeletons.among([path], skeletons.joints_of(path.parent)):
        return videos.read(path)
    if path.is_file() and layout is None and not is_video(path) and path.suffix.lower() not in (".zip", ".csv"):
        return Listing(path, "videos", (Sample(id=path.name, recording=path.name, color=Resource(path)),))
    listing = catalog.read(path, layout)
    if not listing.samples:
        why = " ".join(str(problem) for problem in listing.problems[:3])
        raise GestaError(f"{path}: contains nothing to predict. {why or 'Give videos or recordings.'}")
    return listing


def read_data(data: Path, layout: str | None, like: str | None = None) -> Listing:
    """Reads the recordings in a data folder with `catalog.read`. Raises GestaError."""
    return catalog.read(data, layout, like=like)


def read_as(listing: Listing) -> list[str]:
    """Returns a note if the data were not read in their layout's default way."""
    plain = base(listing.layout)
    if listing.layout == plain:
        return []
    return [f"Read as {listing.layout}; --format {plain} reads it without that."]


def split_samples(
    listing: Listing, seed: int, protocol: str, recipe: Mapping[str, Any] | None = None
) -> tuple[Listing, tuple[str, ...]]:
    """Returns the listing with a split for each labeled sample, and notes on what was done.

    With `training.validation` false in the recipe, the validation part is in the training part.

    Raises GestaError (usage) for an unknown protocol.
    """
    if protocol not in PROTOCOLS:
        raise GestaError(f"unknown protocol {protocol!r}; choose from {' and '.join(PROTOCOLS)}.", usage=True)
    known: Protocol = "document" if protocol == "document" else "subject"
    held = (recipe or {}).get("training", {}).get("validation", True)
    fractions = (0.2 if held else 0.0, 0.2)
    samples, notes = assign_splits(listing.samples, seed=seed, fractions=fractions, protocol=known)
    if not held:
        samples = without_validation(samples)
        notes = [*notes, "No validation part: training.validation is false."]
    roles = (str(problem) for problem in listing.problems if problem.kind == "folder-roles")
    return replace(listing, samples=tuple(samples)), (*roles, *notes)


def _of_track(resource: Resource) -> Sample:
    """Returns the sample of one track of a video. Raises GestaError if the file or track is missing."""
    with resource.open() as stream, open_container(stream, resource) as container:
        depth = is_depth(choose_track(container, resource).codec_context.pix_fmt)
    name = f"{resource.name}{TRACK}{resource.track}"
    return Sample(id=name, recording=name, color=None if depth else resource, depth=resource if depth else None)


def with_files(listing: Listing, skeleton: Path | None, depth: Path | None) -> Listing:
    """Adds skeleton and depth files to the listing of one recording. In the folder of a `.npy`, joints.txt names its
    joints, and camera.yaml is used for crops.

    Raises GestaError (usage) for several recordings or missing files.
    """
    if skeleton is None and depth is None:
        return listing
    for path in (skeleton, depth):
        if path is not None and not path.exists():
            raise GestaError(f"{path}: does not exist. Give the file that belongs to {listing.root}.", usage=True)
    if len({sample.recording for sample in listing.samples}) > 1:
        raise GestaError(
            f"{listing.root}: --skeleton and --depth are for one recording; for several, write an index.csv.",
            usage=True,
        )
    known: dict[str, object] = {} if depth is None else {"depth": Resource(depth)}
    if skeleton is not None:
        named = skeletons.joints_in(skeleton, skeletons.joints_of(skeleton.parent))
        camera = skeleton.parent / "camera.yaml"
        known["skeleton"] = Resource(skeleton)
        known["joints"] = named if skeleton.suffix.lower() == ".npy" else KINECT_JOINTS
        known["camera"] = read_camera(camera)[0] if camera.is_file() else None
    return replace(listing, samples=tuple(replace(sample, **known) for sample in listing.samples))


def lost(listing: Listing) -> list[str]:
    """Returns one sentence for each broken file that yields no sample."""
    used = {str(file.path) for sample in listing.samples for file in sample.files}
    return [str(p) for p in listing.problems if p.kind in LOST and p.path not in used]


def one_sample(path: str | Path) -> Sample:
    """Returns the only sample at a path. Raises GestaError if there are several."""
    listing = find(path)
    if len(listing.samples) > 1:
        raise GestaError(
            f"{path}: contains {len(listing.samples)} samples, expected one video. "
            "`gesta predict` takes folders; in Python, loop over gesta.sources.catalog.read(...).samples."
        )
    sample: Sample = listing.samples[0]
    return sample


def whole_recordings(samples: Iterable[Sample]) -> list[Sample]:
    """Returns each recording once, whole and without labels, as a stream would be."""
    found: dict[str, Sample] = {}
    for s in samples:
        whole = replace(
            s, id=s.recording, label=None, first_frame=None, last_frame=None, start_s=None, end_s=None, split=None
        )
        found.setdefault(s.recording, whole)
    return list(found.values())
