"""Predictions published by others on the NYU test set, for the curves and bars of figure 4.9 (Kazakos, 4.4.7)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gesta.schema import GestaError
from gesta.sources.cameras import CAMERAS
from gesta.tasks.hands.compare import Compared, compare

LABELS = {
    "CVWW15_NYU_Prior": "DeepPrior (Oberweger et al. 2015a), published",
    "CVWW15_NYU_Prior-Refinement": "DeepPrior with refinement, published",
    "ICCV15_NYU_Feedback": "Feedback (Oberweger et al. 2015b), published",
    "IJCAI16_NYU_DeepModel": "DeepModel (Zhou et al. 2016), published",
}
"""Name of a prediction file without its extension -> label in the figure; others are labeled with their file name."""


def without_published(sets: Sequence[str]) -> tuple[Path | None, list[str]]:
    """Returns the folder of `published=FOLDER` in `--set` entries, and the other entries."""
    named = [change.partition("=")[2] for change in sets if change.startswith("published=")]
    return (Path(named[-1]) if named else None), [change for change in sets if not change.startswith("published=")]


def published(folder: Path) -> dict[str, NDArray[np.float64]]:
    """Returns errors [n, J] in mm of FOLDER/predictions/*.txt against the single joints file in FOLDER/groundtruth.

    Raises GestaError if one of them is missing, and like `compare`.
    """
    truths = [path for path in sorted((folder / "groundtruth").glob("*.txt")) if "list" not in path.stem]
    files = sorted((folder / "predictions").glob("*.txt"))
    if len(truths) != 1 or not files:
        raise GestaError(
            f"{folder}: expected groundtruth/ with one file of joints ({len(truths)} there) and predictions/*.txt "
            f"({len(files)} there). Give such a folder with --set published=FOLDER."
        )
    found: list[Compared] = compare(truths[0], files, CAMERAS["nyu"])
    return {LABELS.get(one.path.stem, f"{one.path.stem}, published"): one.errors_mm for one in found}
