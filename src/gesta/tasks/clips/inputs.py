"""Checks whether a clip recognizer can process a recording, and what the recording lacks."""

from __future__ import annotations

from dataclasses import replace

from gesta.clips import fallbacks
from gesta.schema import GestaError, Sample
from gesta.tasks.clips.manifest import ClipManifest


def require(sample: Sample, manifest: ClipManifest) -> None:
    """Raises GestaError if the sample lacks a modality that the model's input needs."""
    needs, lacking = manifest.transform.needs, manifest.transform.lacking(sample.modalities)
    if lacking:
        raise GestaError(
            f"{sample.files[0]}: has {' and '.join(sample.modalities)} only; the model {manifest.name!r} needs "
            f"{', '.join(needs)} (missing: {', '.join(lacking)}). Give {' and '.join(map(_option, lacking))}, or a "
            "recording that has all (columns of index.csv, or a ChaLearn recording), or use a model trained without it."
        )


def _option(lacking: str) -> str:
    """Returns how a modality can be provided."""
    return {
        "skeleton": "a file of skeletons (--skeleton FILE; `gesta track` finds one in plain video)",
        "depth": "the depth video (--depth FILE)",
    }.get(lacking, "a video in color")


def notes(sample: Sample, manifest: ClipManifest) -> tuple[str, ...]:
    """Notes what this sample lacks compared with the training data, where the model can do without: the mask, or either
    pixels or skeletons."""
    withheld = manifest.transform.withheld(sample.modalities)
    if withheld:
        other = "the pixels" if withheld == ("skeleton",) else "the skeleton"
        return (f"No {' and '.join(withheld)}: the prediction is from {other} alone.",)
    if sample.mask is not None or not manifest.transform.mask or not manifest.transform.pictures:
        return ()
    with_mask = fallbacks.notes(manifest.transform, [replace(sample, mask=sample.files[0])])
    told = {*with_mask, *manifest.notes}
    return tuple(n for n in fallbacks.notes(manifest.transform, [sample]) if n not in told)
