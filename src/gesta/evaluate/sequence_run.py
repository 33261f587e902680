"""A backbone and a classifier of its features over labelled videos: the same metrics and files as of other models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from gesta.clips.prepare import unreadable
from gesta.evaluate.run import Evaluation, bars, check_labels, measured, people_warnings, write
from gesta.runtime.sequence import load_sequence
from gesta.schema import GestaError, Problem, Sample


def evaluate_sequence(
    path: Path | str,
    samples: Sequence[Sample],
    *,
    backbone: str | Path | None = None,
    engine: str | None = None,
    device: str = "auto",
    out: Path | None = None,
    layout: str | None = None,
    notes: Sequence[str] = (),
    seed: int = 0,
    progress: bool = True,
) -> Evaluation:
    """As gesta.evaluate.run.evaluate; `backbone` as of `load_sequence`. Raises GestaError as both do."""
    recogniser = load_sequence(path, engine, device, backbone=backbone)
    manifest = recogniser.manifest
    labelled = [s for s in samples if s.label is not None]
    check_labels(labelled, len(samples), manifest.labels)
    warnings = people_warnings(labelled, manifest.provenance, layout or manifest.provenance.layout)
    if len(labelled) < len(samples):
        warnings.append(f"{len(samples) - len(labelled)} recordings without label are not counted.")
    used: list[Sample] = []
    rows: list[Any] = []
    skipped: list[Problem] = []
    with bars(progress) as bar:
        for number, sample in enumerate(labelled):
            try:
                rows.append(recogniser.predict_features([recogniser.features(sample)])[0])
                used.append(sample)
            except GestaError as error:
                skipped.append(unreadable(sample, error))
            bar("Recognising", number + 1, len(labelled))
    if not used:
        raise GestaError(f"none of the {len(labelled)} videos could be read. The first: {skipped[0]}")
    probabilities = np.stack(rows)
    truth = np.array([manifest.labels.index(s.label or "") for s in used], np.int64)
    found = measured(truth, probabilities, [s.subject for s in used], manifest.labels, seed)
    found |= {
        "engine": recogniser.engine.name,
        "bundle": str(path),
        "skipped": [asdict(problem) for problem in skipped],
        "notes": list(notes),
        "warnings": warnings,
    }
    result = Evaluation(found, probabilities, truth, tuple(used), manifest)
    if out is not None:
        write(result, out)
    return result
