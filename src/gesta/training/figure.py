"""Plot of accuracy and loss over epochs, side by side (like the training figure of the sprint report)."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gesta.files import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURE = "history.png"
"""File name of the figure next to a bundle."""
LABELS = {"error_mm": "joint error, mm", "mse": "mean squared error"}


def draw_history(
    history: Sequence[Mapping[str, float]], path: Path, title: str, quantities: Sequence[str] = ("accuracy", "loss")
) -> None:
    """Plots quantities (columns `train_*`, `val_*`) to a PNG, with the best value of each in the title of its axes."""
    figure = empty_figure(5 * len(quantities), 4)
    epochs = [row["epoch"] for row in history]
    measured = "val" if "val_loss" in history[0] else "train"
    names = {"train": "training", "val": "validation"}
    for axes, quantity in zip(figure.subplots(1, len(quantities), squeeze=False)[0], quantities, strict=True):
        for part, style in (("train", "--"), ("val", "-")):
            values = [row[f"{part}_{quantity}"] for row in history if f"{part}_{quantity}" in row]
            if values:
                axes.plot(epochs, values, style, marker="." if len(epochs) < 3 else None, label=names[part])
        accuracy, label = quantity == "accuracy", LABELS.get(quantity, quantity)
        value = (max if accuracy else min)(row[f"{measured}_{quantity}"] for row in history)
        axes.set_title(f"{'best' if accuracy else 'lowest'} {label} {value:.3f} ({names[measured]})")
        axes.set_ylim(0, 1.02 if accuracy else None)
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.suptitle(title)
    save_figure(figure, path)


def empty_figure(width: float, height: float) -> Figure:
    """Returns a figure (size in inches) that needs no display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Writes a PNG atomically."""
    write_whole(path, png(figure))


def png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
