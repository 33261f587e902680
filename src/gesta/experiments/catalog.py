"""The documents' tables and figures that `gesta reproduce` can do again, by name."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from gesta.schema import GestaError


@dataclass(frozen=True)
class Row:
    """One line of a table: what the document reports (accuracy, %), and the recipe that measures ours.

    Without `recipe` the line is someone else's published result: reported, never measured. `overrides` are `--set`
    entries on the recipe. `cost`: training time relative to the cheapest network, for the estimate beforehand.
    """

    label: str
    reported: float | None
    recipe: str | None = None
    overrides: tuple[str, ...] = ()
    cost: float = 1.0


@dataclass(frozen=True)
class Table:
    """A table or figure of a document. `figure`: accuracy against epochs is drawn for its rows."""

    title: str
    source: str
    rows: tuple[Row, ...]
    figure: bool = False


@dataclass(frozen=True)
class Scale:
    """How much is generated and trained. The same overrides hold for every row, so that rows compare.

    `people` and `recordings` (of 20 gestures each) per person of generated data; `minutes`: measured or estimated time
    of one training of cost 1 on one core.
    """

    people: int
    recordings: int
    overrides: tuple[str, ...]
    minutes: float


LSTM = Row("LSTM", 86.57, "mullick/lstm", cost=1.0)
CNN3D = Row("3D-CNN", 90.13, "mullick/cnn3d", cost=1.5)
JOINT = Row("joint 3D-CNN + LSTM, end to end", 93.18, "mullick/joint", cost=2.0)
PRETRAINED = Row("joint 3D-CNN + LSTM, encoder pre-trained", 96.45, "mullick/joint-pretrained", cost=3.0)
SMALL = Row("joint small, body and hand", None, "auto", cost=2.0)
SMALL_BODY = Row("joint small, body alone", None, "auto", ("input.streams=[body]",))
SMALL_HAND = Row("joint small, hand alone", None, "auto", ("input.streams=[hand]",))
_MULLICK = "Mullick 2018, chapter 3"

TABLES: dict[str, Table] = {
    "mullick/table-3.1": Table(
        "3D-CNN by input",
        f"{_MULLICK}, table 3.1",
        (
            Row("only hand", 87.33, "mullick/cnn3d", ("input.streams=[hand]",), cost=0.75),
            Row("only upper body", 87.59, "mullick/cnn3d", ("input.streams=[body]",), cost=0.75),
            Row("both", 90.13, CNN3D.recipe, CNN3D.overrides, CNN3D.cost),
        ),
    ),
    "mullick/table-3.2": Table("networks", f"{_MULLICK}, table 3.2", (LSTM, CNN3D, JOINT, PRETRAINED)),
    "mullick/table-3.3": Table(
        "beside published results on the same data set",
        f"{_MULLICK}, table 3.3",
        (
            Row("Wu et al.", 87.9),
            Row("Pigou et al.", 91.4),
            Row("joint 3D-CNN + LSTM", 96.4, PRETRAINED.recipe, PRETRAINED.overrides, PRETRAINED.cost),
            Row("Neverova et al. (ModDrop)", 96.8),
        ),
    ),
    "gesta/inputs": Table("joint small by input, recipe auto", "-", (SMALL, SMALL_BODY, SMALL_HAND)),
    "gesta/networks": Table(
        "networks and inputs with the settings of the recipe auto",
        "-",
        (
            SMALL,
            SMALL_BODY,
            Row("LSTM, body and hand", None, "auto", ("model.name=lstm",)),
            Row("3D-CNN, body and hand", None, "auto", ("model.name=cnn3d",), cost=1.5),
        ),
    ),
    "mullick/figure-3.6": Table(
        "accuracy against epochs", f"{_MULLICK}, figure 3.6", (LSTM, CNN3D, JOINT, PRETRAINED), figure=True
    ),
}

SCALES: dict[str, Scale] = {
    "quick": Scale(
        people=24,
        recordings=1,
        overrides=("model.width=0.25", "input.fps=10", "training.epochs=30", "training.batch=8"),
        minutes=4.0,
    ),
    "full": Scale(people=27, recordings=20, overrides=(), minutes=600.0),
}


def find(name: str) -> Table:
    """The table of that name. Raises GestaError (usage) with the list and the nearest match."""
    if name not in TABLES:
        near = difflib.get_close_matches(name, TABLES, n=1, cutoff=0.3)
        meant = f" Did you mean {near[0]}?" if near else ""
        raise GestaError(f"unknown table or figure {name!r}; there are {', '.join(TABLES)}.{meant}", usage=True)
    return TABLES[name]


def scale_of(name: str) -> Scale:
    """The scale of that name. Raises GestaError (usage)."""
    if name not in SCALES:
        raise GestaError(f"unknown scale {name!r}; there are {', '.join(SCALES)}.", usage=True)
    return SCALES[name]
