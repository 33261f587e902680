"""Catalog of the document's tables and figures about hand pose (Kazakos, chapter 4)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True)
class PoseRow:
    """One row: a recipe with overrides, and the reported values: MSE (train, validation) or mm.

    Rows without `recipe` are results published by others on the real NYU test set: reported, never measured.
    `own`: keep the recipe's own optimizer at the quick scale. `cost`: training time relative to Depth-Net's.
    """

    label: str
    recipe: str | None = None
    overrides: tuple[str, ...] = ()
    mse: tuple[float, float] | None = None
    mm: float | None = None
    cost: float = 1.0
    own: bool = False


@dataclass(frozen=True)
class PoseTable:
    """`figure`: "curves" plots success rates and per-joint bars, "hands" truth and estimate for test frames.

    `person`: index of the person of the test part to show, from 0; None: all. `people`: number of people in the
    training part of generated data.
    """

    title: str
    source: str
    rows: tuple[PoseRow, ...]
    figure: Literal["", "curves", "hands"] = ""
    person: int | None = None
    people: int = 1


@dataclass(frozen=True)
class PoseScale:
    """Number of generated training frames (a fifth as many for testing), overrides for all rows, optimizer overrides,
    and minutes for one training of Depth-Net on one core."""

    images: int
    overrides: tuple[str, ...]
    optimizer: tuple[str, ...]
    minutes: float


_CHAPTER_4 = "Kazakos, chapter 4"
DEPTH = PoseRow("Depth-Net (depth alone)", "kazakos/depth-net")
RGB = PoseRow("RGB-Net (color alone)", "kazakos/rgb-net", mm=25.0)
INPUT = PoseRow("RGBD-Net (input fusion)", "kazakos/rgbd-net")
SCORE = PoseRow("FusePred-Net (score fusion)", "kazakos/fusepred-net", cost=2.0)
DOUBLE = PoseRow("Fuse-Net (double stream, convolution)", "kazakos/fuse-net", cost=1.5)
COMPACT = PoseRow("compact (anchors), beyond the document", "a2j-compact", cost=1.0, own=True)
PRIOR = PoseRow("DeepPrior, trained here", "deep-prior", cost=0.1)
MODEL = PoseRow("DeepModel, trained here", "deep-model", cost=0.1)


def _fused(function: str) -> PoseRow:
    return PoseRow(f"double stream, {function}", "kazakos/fuse-net", (f"model.function={function}",), cost=1.5)


def _several(function: str) -> PoseRow:
    more = (f"model.function={function}", "model.after=[conv2, conv4]")
    return PoseRow(f"joined behind conv2 and conv4, {function}", "kazakos/fuse-net", more, cost=1.5)


def _net(number: int, train: float, validation: float, cost: float) -> PoseRow:
    return PoseRow(f"Net{number}", f"kazakos/net{number}", mse=(train, validation), cost=cost)


POSE_TABLES: dict[str, PoseTable] = {
    "kazakos/table-4.3": PoseTable(
        "mean squared error of nine networks on depth",
        f"{_CHAPTER_4}, table 4.3",
        (
            _net(1, 0.00366, 0.00447, 0.4),
            _net(2, 0.00359, 0.00419, 0.6),
            _net(3, 0.00353, 0.00411, 0.8),
            _net(4, 0.00341, 0.00364, 2.0),
            _net(5, 0.00235, 0.00325, 0.9),
            _net(6, 0.00183, 0.00242, 1.0),
            _net(7, 0.00384, 0.00434, 0.5),
            _net(8, 0.00415, 0.00462, 0.5),
            _net(9, 0.00393, 0.00439, 0.7),
        ),
    ),
    "kazakos/figure-4.7": PoseTable(
        "fusion networks for depth and color",
        f"{_CHAPTER_4}, figure 4.7",
        (DEPTH, RGB, INPUT, SCORE, DOUBLE),
        "curves",
    ),
    "kazakos/figure-4.8": PoseTable(
        "fusion functions of the two streams",
        f"{_CHAPTER_4}, figure 4.8",
        (_fused("max"), _fused("sum"), _fused("concatenation"), DOUBLE),
        "curves",
    ),
    "kazakos/next-steps": PoseTable(
        "next steps proposed in the document: more fusion networks, a prior of hand poses, a hand detector",
        f"{_CHAPTER_4} and 5; figures only for what it measured itself",
        (
            DEPTH,
            DOUBLE,
            _fused("gated"),
            _fused("attention"),
            _several("convolution"),
            _several("attention"),
            PoseRow("Depth-Net, prior of poses as a penalty", "kazakos/depth-net", ("training.prior=1",)),
            PRIOR,
            PoseRow("Depth-Net with a network as hand detector", "kazakos/depth-net", ("detector=true",), cost=1.4),
        ),
    ),
    "kazakos/several-people": PoseTable(
        "next step proposed in the document: several training subjects, four people in as many frames",
        f"{_CHAPTER_4}, section 4.4.8; figures only for what it measured itself",
        (DEPTH, replace(RGB, mm=None), DOUBLE),
        people=4,
    ),
    "kazakos/figure-4.9": PoseTable(
        "comparison with published methods",
        f"{_CHAPTER_4}, figure 4.9; published predictions on the real NYU test set",
        (
            DEPTH,
            DOUBLE,
            COMPACT,
            PRIOR,
            MODEL,
            PoseRow("DeepPrior (Oberweger et al. 2015a), published", mm=20.750),
            PoseRow("DeepPrior with refinement, published", mm=19.726),
            PoseRow("Feedback (Oberweger et al. 2015b), published", mm=15.973),
            PoseRow("DeepModel (Zhou et al. 2016), published", mm=17.036),
        ),
        "curves",
    ),
    "kazakos/figure-4.10": PoseTable(
        "ground truth and estimate, first person of the test part", f"{_CHAPTER_4}, figure 4.10", (DEPTH,), "hands", 0
    ),
    "kazakos/figure-4.11": PoseTable(
        "ground truth and estimate, second person of the test part", f"{_CHAPTER_4}, figure 4.11", (DEPTH,), "hands", 1
    ),
    "gesta/pose": PoseTable(
        "the compact network and Depth-Net with fully connected layers of 4096",
        "-",
        (
            PoseRow("Depth-Net, fully connected 4096", "kazakos/depth-net", ("model.hidden=4096",), cost=2.5),
            COMPACT,
        ),
        "curves",
    ),
}

POSE_DATA_SEED = 1
POSE_SCALES: dict[str, PoseScale] = {
    "quick": PoseScale(
        images=2000,
        overrides=("input.size=64", "training.epochs=12", "training.batch=32"),
        optimizer=("training.optimizer=adam", "training.learning_rate=0.0007"),
        minutes=3.5,
    ),
    "full": PoseScale(images=72757, overrides=(), optimizer=(), minutes=11000.0),
}
"""quick: at most 3,000 frames of 64 x 64 pixels, fully connected layers of 512, 12 epochs; with Adam, because there are
too few batches for the document's SGD. Its minutes are measured (32 bits, one thread), the full scale's are calculated.
"""

QUICK_HIDDEN = 512
