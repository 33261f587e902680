"""`inspect`: a listing in, a report out. Bad files never stop it; they are reported."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

from gesta.audit import faults_files, faults_sets
from gesta.audit.probing import Facts, Progress, open_files
from gesta.audit.report import Report, Spread, counts_of
from gesta.audit.subjects import subject_faults
from gesta.clips import fallbacks
from gesta.clips.transform import Channel, Stream, Transform
from gesta.schema import Listing, Sample


def inspect(listing: Listing, progress: Progress | None = None) -> Report:
    """Opens every file of the listing and reports counts and problems. `progress(done, total)` counts files.

    Problems are those of the reader, then of files, recordings, labels, classes, people and the whole set.
    """
    samples = listing.samples
    facts = open_files(samples, progress)
    problems = [
        *listing.problems,
        *faults_files.file_faults(samples, facts),
        *faults_files.recording_faults(samples, facts),
        *faults_files.label_faults(samples, facts),
        *faults_sets.class_faults(listing.root, samples),
        *faults_sets.people_faults(listing.root, samples),
        *subject_faults(listing.root, samples),
        *faults_sets.same_file_faults(samples),
        *faults_sets.mixed_faults(listing.root, samples),
    ]
    lengths = list(_lengths_s(samples, facts))
    found = [*(video.info for video in facts.videos.values()), *(one.info for one in facts.skeletons.values())]
    infos = [info for info in found if info is not None and info.frames > 0]
    sizes = [(i.height, i.width) if i.rotation % 180 else (i.width, i.height) for i in infos if i.width]
    return Report(
        root=listing.root,
        layout=listing.layout,
        samples=len(samples),
        usable=len(lengths),
        recordings=len({s.recording for s in samples}),
        classes=counts_of(s.label for s in samples),
        people=counts_of(s.subject for s in samples),
        splits=counts_of(s.split for s in samples),
        modalities=counts_of(name for s in samples for name in s.modalities),
        sizes=counts_of(f"{width} x {height}" for width, height in sizes),
        frame_rates=counts_of(f"{info.fps:.4g}" for info in infos),
        lengths_s=Spread(min(lengths), median(lengths), max(lengths), sum(lengths)) if lengths else None,
        problems=tuple(dict.fromkeys(problems)),
        fallbacks=missing_notes(samples, [info.fps for info in infos]),
    )


def missing_notes(samples: Sequence[Sample], rates: Sequence[float]) -> tuple[str, ...]:
    """Returns notes on how a transform for all these samples handles missing modalities."""
    if not samples:
        return ()
    samples = [s for s in samples if s.color is not None or s.depth is not None]
    if not samples:
        return ()
    everywhere = set.intersection(*(set(s.modalities) for s in samples))
    skeleton = "skeleton" in everywhere
    streams: tuple[Stream, ...] = ("body", "hand") if skeleton else ("body",)
    channels: tuple[Channel, ...] = ("gray", "depth")
    if "color" not in everywhere:
        channels = ("depth", "depth_difference")
    elif "depth" not in everywhere:
        channels = ("gray", "gray_difference")
    fps = min(max(median(rates), 1.0), 240.0) if rates else 30.0
    body = "skeleton" if skeleton else "motion"
    transform = Transform.model_validate({"fps": fps, "streams": streams, "channels": channels, "body": body})
    return fallbacks.notes(transform, samples)


def _lengths_s(samples: Sequence[Sample], facts: Facts) -> Iterable[float]:
    """Yields the length in seconds of each usable sample: its video is readable up to the sample's end."""
    for sample in samples:
        info = facts.main(sample)
        if info is not None and info.frames > 0 and not faults_files.is_unusable(sample, info):
            start_s, end_s = faults_files.span_s(sample, info)
            if end_s > start_s:
                yield end_s - start_s
