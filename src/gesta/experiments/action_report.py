"""Tables about actions and signs in words: reported beside measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gesta.experiments import tables
from gesta.experiments.action_catalog import ActionRow, Quantity


def line(row: ActionRow, results: Sequence[Mapping[str, Any]], measure: Quantity) -> dict[str, Any]:
    """One line: reported and measured, all as shares by seed; the validation part's best epoch and lowest loss.

    `results`: by seed, and of each seed by split, whose mean counts.
    """
    accuracy = _by_seed([result["accuracy"] for result in results], len(row.splits))
    return {
        "label": row.label,
        "reported": row.reported,
        "reported_loss": row.loss,
        "measured": [1 - value if measure == "error" else value for value in accuracy],
        "best_validation_accuracy": _by_seed(_best(results, "val_accuracy", max), len(row.splits)),
        "lowest_validation_loss": _by_seed(_best(results, "val_loss", min), len(row.splits)),
        "n": results[0]["n"] if results else None,
        "recipe": row.recipe,
        "overrides": list(row.overrides),
        "parameters": results[0]["parameters"] if results else None,
        "minutes": float(np.mean([result["training_seconds"] for result in results])) / 60 if results else None,
    }


def _by_seed(values: Sequence[float], splits: int) -> list[float]:
    """Means of so many values at a time."""
    return [float(np.mean(values[start : start + splits])) for start in range(0, len(values), splits)]


def _best(results: Sequence[Mapping[str, Any]], name: str, of: Any) -> list[float]:
    """By seed the best value of a column of the history; nothing where there is no validation part."""
    curves = [[epoch[name] for epoch in result["history"] if epoch.get(name) is not None] for result in results]
    return [float(of(curve)) for curve in curves if curve]


def headings(measure: Quantity) -> tuple[str, ...]:
    return (
        "line",
        f"reported {measure}",
        "reported loss",
        f"measured {measure}, test",
        "best validation accuracy",
        "lowest validation loss",
        "minutes",
    )


def cells(row: Mapping[str, Any]) -> list[str]:
    return [
        row["label"],
        _number(row["reported"]),
        _number(row["reported_loss"]),
        tables.spread(row["measured"], 3),
        tables.spread(row["best_validation_accuracy"], 3),
        tables.spread(row["lowest_validation_loss"], 3),
        "-" if row["minutes"] is None else f"{row['minutes']:.1f}",
    ]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def markdown(document: Mapping[str, Any]) -> str:
    """The document as a markdown table, reported beside measured."""
    return tables.markdown(document, headings(document["measure"]), map(cells, document["rows"]))
