"""Published predictions of others on the NYU test set, for the curves and bars of figure 4.9 (Kazakos, 4.4.7)."""

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
"""File of predictions, without its ending -> the line of the figure; others have the name of their file."""


def without_published(sets: Sequence[str]) -> tuple[Path | None, list[str]]:
    """`published=FOLDER` of `--set` entries, and the others."""
    named = [change.partition("=")[2] for change in sets if change.startswith("published=")]
    return (Path(named[-1]) if named else None), [change for change in sets if not change.startswith("published=")]


def published(folder: Path) -> dict[str, NDArray[np.float64]]:
    """Errors [n, J] in mm of FOLDER/predictions/*.txt against the one file of joints in FOLDER/groundtruth.

    Raises GestaError where one of them is missing, and as `compare` does.
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
