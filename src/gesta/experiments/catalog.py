"""Catalog of Mullick's tables and figures about gestures, and of gesta's own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True)
class Row:
    """One row of a table: the value reported in the document (accuracy, %), and the recipe to measure ours.

    Rows without `recipe` are results published by others: reported, never measured. `overrides`: `--set` entries for
    the recipe; `quick`: those for the quick scale only. `cost`: training time relative to the cheapest network, for the
    estimate in advance. `teacher`: the row whose model is the teacher of this one. `stored`: for compact models, the
    stored form of the trained model to show; empty: only its accuracy. `size`: the model size reported in the document,
    in millions of remaining weights or in MB.
    """

    label: str
    reported: float | None
    recipe: str | None = None
    overrides: tuple[str, ...] = ()
    cost: float = 1.0
    quick: tuple[str, ...] = ()
    teacher: Row | None = None
    stored: Literal["", "fp32", "fp16", "pruned"] = ""
    size: str = ""


@dataclass(frozen=True)
class Table:
    """A table or figure of a document. `figure`: what to plot for its rows: accuracy over epochs (True), or histograms
    of log2 |w| ("weights")."""

    title: str
    source: str
    rows: tuple[Row, ...]
    figure: bool | Literal["weights"] = False


@dataclass(frozen=True)
class Scale:
    """Amount of generated data and training. All rows have the same overrides, so that they are comparable.

    Generated data have `people` people with `recordings` recordings each (of 20 gestures). `minutes`: measured or
    estimated time of one training of cost 1 on one core.
    """

    people: int
    recordings: int
    overrides: tuple[str, ...]
    minutes: float


LSTM = Row("LSTM", 86.57, "mullick/lstm", cost=0.8)
CNN3D = Row("3D-CNN", 90.13, "mullick/cnn3d", cost=2.0)
CNN3D_LSTM = Row("3D-CNN + LSTM, end to end", 93.18, "mullick/cnn3d-lstm", cost=2.1)
PRETRAINED = Row("3D-CNN + LSTM, encoder pre-trained", 96.45, "mullick/cnn3d-lstm-pretrained", cost=3.5)
FROZEN = replace(
    PRETRAINED, label=f"{PRETRAINED.label}, then fixed", reported=None, overrides=("training.freeze_encoder=true",)
)
SMALL = Row("3D-CNN + LSTM small, body and hand", None, "auto", cost=2.3)
SMALL_BODY = Row("3D-CNN + LSTM small, body alone", None, "auto", ("input.streams=[body]",), cost=1.2)
SMALL_HAND = Row("3D-CNN + LSTM small, hand alone", None, "auto", ("input.streams=[hand]",), cost=1.3)
_MULLICK = "Mullick 2018, chapter 3"

_ADAM = ("training.optimizer=adam", "training.learning_rate=0.001")
_MEDIUM, _SMALL = ("model.width=0.125",), ("model.width=0.0625",)  # the quick scale's original has width 0.25
TEACHER = replace(CNN3D, label="teacher (3D-CNN)", stored="fp32", size="18.82 M")
ORIGINAL = replace(CNN3D_LSTM, label="original 3D-CNN + LSTM", stored="fp32", size="18.37 M")
ORIGINAL_ADAM = replace(ORIGINAL, label="original, by Adam", reported=None, recipe="mullick/cnn3d-lstm-adam")
MEDIUM = Row("medium, labels only", 86.18, "mullick/cnn3d-lstm-medium", (), 1.2, _MEDIUM, None, "fp32", "4.59 M")
SMALL_LABELS = Row("small, labels only", 81.50, "mullick/cnn3d-lstm-small", (), 0.8, _SMALL, None, "fp32", "1.15 M")
MEDIUM_DISTILLED = replace(
    MEDIUM, label="medium, distilled", reported=88.35, recipe="mullick/distil-medium", cost=1.3, teacher=TEACHER
)
SMALL_DISTILLED = replace(
    SMALL_LABELS, label="small, distilled", reported=86.05, recipe="mullick/distil-small", cost=0.9, teacher=TEACHER
)


def _distilled(label: str, *overrides: str) -> Row:
    return replace(SMALL_DISTILLED, label=f"small, {label}", reported=None, overrides=overrides, size="")


def _halved(row: Row, single: float, half: float, megabytes: float) -> tuple[Row, Row]:
    return (
        replace(row, label=f"{row.label}, single", reported=single, size=f"{megabytes:g} MB"),
        replace(row, label=f"{row.label}, half", reported=half, stored="fp16", size=f"{megabytes / 2:g} MB"),
    )


def _by_optimizer(row: Row) -> tuple[Row, Row]:
    """Returns rows for the same model trained by SGD and by Adam."""
    sgd = replace(row, label=f"{row.label}, SGD", reported=None)
    adam = ORIGINAL_ADAM if row is ORIGINAL else replace(row, overrides=_ADAM)
    return sgd, replace(adam, label=f"{row.label}, Adam", reported=None)


def _pruned(row: Row, by_sgd: float, pruned: float, left: str) -> tuple[Row, Row, Row]:
    """Returns rows for the same model trained by SGD, by Adam, and by Adam with weights below 2**-20 removed."""
    sgd, adam = _by_optimizer(row)
    less = replace(adam, label=f"{adam.label}, pruned", reported=pruned, stored="pruned", size=left)
    return replace(sgd, reported=by_sgd), adam, less


_CHAPTER_4 = "Mullick 2018, chapter 4"

TABLES: dict[str, Table] = {
    "mullick/table-3.1": Table(
        "3D-CNN on different inputs",
        f"{_MULLICK}, table 3.1",
        (
            Row("only hand", 87.33, "mullick/cnn3d", ("input.streams=[hand]",), cost=1.0),
            Row("only upper body", 87.59, "mullick/cnn3d", ("input.streams=[body]",), cost=1.0),
            Row("both", 90.13, CNN3D.recipe, CNN3D.overrides, CNN3D.cost),
        ),
    ),
    "mullick/table-3.2": Table("networks", f"{_MULLICK}, table 3.2", (LSTM, CNN3D, CNN3D_LSTM, PRETRAINED)),
    "mullick/table-3.3": Table(
        "comparison with published results on the same data set",
        f"{_MULLICK}, table 3.3",
        (
            Row("Wu et al.", 87.9),
            Row("Pigou et al.", 91.4),
            Row("3D-CNN + LSTM", 96.4, PRETRAINED.recipe, PRETRAINED.overrides, PRETRAINED.cost),
            Row("Neverova et al. (ModDrop)", 96.8),
        ),
    ),
    "mullick/section-3.3.2": Table(
        "encoder pre-trained, then fine-tuned or fixed ('not much difference' in the document, without numbers)",
        "Mullick 2018, section 3.3.2; the accuracy is table 3.2's",
        (PRETRAINED, FROZEN),
    ),
    "gesta/inputs": Table("3D-CNN + LSTM small by input, recipe auto", "-", (SMALL, SMALL_BODY, SMALL_HAND)),
    "gesta/networks": Table(
        "networks and inputs with the settings of the recipe auto",
        "-",
        (
            SMALL,
            SMALL_BODY,
            Row("LSTM, body and hand", None, "auto", ("model.name=lstm",), cost=0.8),
            Row("3D-CNN, body and hand", None, "auto", ("model.name=cnn3d",), cost=2.0),
        ),
    ),
    "mullick/figure-3.6": Table(
        "accuracy against epochs", f"{_MULLICK}, figure 3.6", (LSTM, CNN3D, CNN3D_LSTM, PRETRAINED), figure=True
    ),
    "mullick/table-4.1": Table(
        "students trained on labels and by a teacher",
        f"{_CHAPTER_4}, table 4.1",
        (ORIGINAL, TEACHER, MEDIUM, MEDIUM_DISTILLED, SMALL_LABELS, SMALL_DISTILLED),
    ),
    "gesta/distillation": Table(
        "the small student by temperature and form of the soft loss (cross-entropy: eq. 1.10), and in two stages",
        "-; the document gives neither the temperature nor the weight of its soft loss",
        (
            replace(SMALL_LABELS, reported=None, size=""),
            *(_distilled(f"mean squared error, T = {t}", f"distillation.temperature={t}") for t in (1, 2, 4, 8)),
            *(
                _distilled(f"cross-entropy, T = {t}", "distillation.loss=kl", f"distillation.temperature={t}")
                for t in (1, 2, 4, 8)
            ),
            _distilled("cross-entropy, T = 4, then labels", "distillation.loss=kl", "distillation.mode=soft_then_hard"),
        ),
    ),
    "mullick/table-4.2": Table(
        "half precision",
        f"{_CHAPTER_4}, table 4.2",
        (
            *_halved(TEACHER, 90.13, 89.5, 72),
            *_halved(ORIGINAL, 93.18, 93.18, 71),
            *_halved(MEDIUM_DISTILLED, 88.35, 88.35, 19),
            *_halved(SMALL_DISTILLED, 86.05, 85.98, 4.5),
        ),
    ),
    "mullick/table-4.3": Table(
        "pruning after Adam with an L2 penalty",
        f"{_CHAPTER_4}, table 4.3",
        (
            *_pruned(ORIGINAL, 93.18, 92.3, "3.94 M (-78.56 %)"),
            *_pruned(MEDIUM_DISTILLED, 88.35, 88.98, "0.98 M (-78.71 %)"),
            *_pruned(SMALL_DISTILLED, 86.05, 85.48, "0.26 M (-77.41 %)"),
        ),
    ),
    "mullick/figure-4.3": Table(
        "weights by log2 |w| after SGD and Adam",
        f"{_CHAPTER_4}, figure 4.3",
        (*_by_optimizer(ORIGINAL), *_by_optimizer(MEDIUM_DISTILLED), *_by_optimizer(SMALL_DISTILLED)),
        figure="weights",
    ),
}

DATA_SEED = 1
"""Seed of the generated people used in the demo and the tables: different from those of seed 0, on whom settings were
tried during development."""

SCALES: dict[str, Scale] = {
    "quick": Scale(
        people=24,
        recordings=1,
        overrides=("model.width=0.25", "input.fps=10", "training.epochs=30", "training.batch=8"),
        minutes=1.7,
    ),
    "full": Scale(people=27, recordings=20, overrides=(), minutes=600.0),
}


MINUTES_A_RECORDING = 0.15
"""Time to generate one recording, on two cores."""
