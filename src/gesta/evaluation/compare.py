"""Compares two models on the same clips, from the output of `gesta evaluate --out`, with several seeds per side."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gesta.metrics import paired_difference
from gesta.schema import GestaError

FILE = "predictions.csv"
_NEEDED = ("id", "file", "subject", "label", "correct")
Hits = dict[tuple[str, str, str], int]
"""Whether each clip was recognized, by (file, id, true label)."""


def compare(ours: Sequence[Path], theirs: Sequence[Path]) -> dict[str, Any]:
    """Accuracy of both sides, mean and spread over their runs, and the difference on the same clips.

    Each run is a folder of `gesta evaluate --out`, or its predictions.csv. A clip's score on each side is the fraction
    of runs that recognized it; the 95 % interval is a bootstrap over whole people (over clips, if people are not
    known). Accuracies are fractions, differences percentage points. Raises GestaError for a file that is not such a
    table, or for runs over different clips.
    """
    sides = {"ours": [_read(path) for path in ours], "theirs": [_read(path) for path in theirs]}
    people = sides["ours"][0][1]
    clips = list(sides["ours"][0][0])
    for path, (hits, _) in zip((*ours, *theirs), (*sides["ours"], *sides["theirs"]), strict=True):
        _check_same(clips, hits, ours[0], path)
    known = all(people[clip] for clip in clips)
    groups = [people[clip] if known else clip for clip in clips]
    if len(set(groups)) < 2:
        raise GestaError(f"{ours[0]}: an interval needs at least two people, but all clips are of {groups[0]}.")
    a, b = (np.mean([[hits[clip] for clip in clips] for hits, _ in runs], axis=0) for runs in sides.values())
    found = paired_difference(a, b, groups, np.random.default_rng(0))
    return {
        "n": len(clips),
        "people": len(set(groups)) if known else None,
        **{name: _side(paths, sides[name]) for name, paths in (("ours", ours), ("theirs", theirs))},
        "difference": {"mean": 100 * found.mean, "low": 100 * found.low, "high": 100 * found.high},
    }


def _side(paths: Sequence[Path], runs: Sequence[tuple[Hits, dict[Any, str]]]) -> dict[str, Any]:
    accuracies = [float(np.mean(list(hits.values()))) for hits, _ in runs]
    return {
        "runs": [str(path) for path in paths],
        "accuracy": accuracies,
        "mean": float(np.mean(accuracies)),
        "spread": float(np.std(accuracies, ddof=1)) if len(accuracies) > 1 else None,
    }


def _read(path: Path) -> tuple[Hits, dict[Any, str]]:
    """A run's hits, and the person of each clip ("" if unknown)."""
    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        raise GestaError(f"{file}: does not exist. Give the folder that was given to gesta evaluate --out.")
    try:
        with file.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        keys = [(row["file"], row["id"], row["label"]) for row in rows]
        hits = {key: {"0": 0, "1": 1}[row["correct"]] for key, row in zip(keys, rows, strict=True)}
        people = {key: row["subject"] for key, row in zip(keys, rows, strict=True)}
    except (KeyError, csv.Error, UnicodeDecodeError) as error:
        raise GestaError(
            f"{file}: is not a table of gesta evaluate (columns {', '.join(_NEEDED)}; correct is 0 or 1): {error}"
        ) from error
    if not hits:
        raise GestaError(f"{file}: contains no clips. Evaluate again.")
    if len(hits) < len(rows):
        raise GestaError(f"{file}: lists a clip twice. Evaluate again.")
    return hits, people


def _check_same(clips: Sequence[tuple[str, str, str]], hits: Hits, first: Path, path: Path) -> None:
    if missing := [clip for clip in clips if clip not in hits] or [clip for clip in hits if clip not in set(clips)]:
        raise GestaError(
            f"{path}: does not have the same clips as {first} ({len(hits)} and {len(clips)}; the first that only one "
            f"of them has: {missing[0][1]}). Evaluate both on the same data and split, with engines that read every "
            "clip."
        )
