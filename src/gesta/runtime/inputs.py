"""What people point a model at: a file, a recording, a folder of either; and whether the model can take it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from gesta.bundle.manifest import Manifest
from gesta.clips import fallbacks
from gesta.clips.tracks import choose_track, is_depth, open_container
from gesta.schema import TRACK, GestaError, Listing, Resource, Sample
from gesta.sources import catalog
from gesta.sources.files import is_video

LOST = ("unreadable", "no-video", "zip-in-zip", "unread-format")
"""Kinds of problems because of which a recording gives no sample at all."""


def find(path: str | Path, layout: str | None = None) -> Listing:
    """The samples at a path: a recognised layout, a folder of videos, or one file of any kind (decoding will tell).

    Raises GestaError if nothing is there, or nothing that could be a video, with what the readers say of it.
    """
    path = Path(path)
    resource = Resource.at(path)
    if resource.track is not None:
        return Listing(path, "videos", (_of_track(resource),))
    if path.is_file() and layout is None and not is_video(path) and path.suffix.lower() not in (".zip", ".csv"):
        return Listing(path, "videos", (Sample(id=path.name, recording=path.name, color=Resource(path)),))
    listing = catalog.read(path, layout)
    if not listing.samples:
        why = " ".join(str(problem) for problem in listing.problems[:3])
        raise GestaError(f"{path}: holds nothing to predict. {why or 'Give videos or recordings.'}")
    return listing


def _of_track(resource: Resource) -> Sample:
    """One track of a video file. Raises GestaError where there is no such file or track."""
    with resource.open() as stream, open_container(stream, resource) as container:
        depth = is_depth(choose_track(container, resource).codec_context.pix_fmt)
    name = f"{resource.name}{TRACK}{resource.track}"
    return Sample(id=name, recording=name, color=None if depth else resource, depth=resource if depth else None)


def lost(listing: Listing) -> list[str]:
    """What in a listing is broken, so that no sample comes of it: one sentence each."""
    used = {str(file.path) for sample in listing.samples for file in sample.files}
    return [str(p) for p in listing.problems if p.kind in LOST and p.path not in used]


def one_sample(path: str | Path) -> Sample:
    """The one sample at a path. Raises GestaError if there are several."""
    listing = find(path)
    if len(listing.samples) > 1:
        raise GestaError(
            f"{path}: holds {len(listing.samples)} samples, expected one video. "
            "`gesta predict` takes folders; in Python go over gesta.sources.catalog.read(...).samples."
        )
    return listing.samples[0]


def whole_recordings(samples: Iterable[Sample]) -> list[Sample]:
    """Each recording once, from its first frame to its last, without labels: what a stream is."""
    found: dict[str, Sample] = {}
    for s in samples:
        whole = replace(
            s, id=s.recording, label=None, first_frame=None, last_frame=None, start_s=None, end_s=None, split=None
        )
        found.setdefault(s.recording, whole)
    return list(found.values())


def require(sample: Sample, manifest: Manifest) -> None:
    """Raises GestaError if the sample lacks a modality that the model's input needs."""
    needs = manifest.transform.needs
    lacking = [name for name in needs if name not in sample.modalities]
    if lacking:
        raise GestaError(
            f"{sample.files[0]}: has {' and '.join(sample.modalities)} only; the model {manifest.name!r} needs "
            f"{', '.join(needs)} (missing: {', '.join(lacking)}). Give a recording that has all (columns of index.csv, "
            "or a ChaLearn recording), or use a model trained without."
        )


def notes(sample: Sample, manifest: Manifest) -> tuple[str, ...]:
    """What this sample lacks that the data the model was trained on had, where the model does without: the mask."""
    if sample.mask is not None or not manifest.transform.mask:
        return ()
    with_mask = fallbacks.notes(manifest.transform, [replace(sample, mask=sample.files[0])])
    told = {*with_mask, *manifest.notes}
    return tuple(n for n in fallbacks.notes(manifest.transform, [sample]) if n not in told)
