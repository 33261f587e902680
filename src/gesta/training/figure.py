"""Accuracy and loss against epochs, side by side (as in the sprint report, figure of training)."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from gesta.training.checkpoints import write_whole


def draw_history(history: Sequence[Mapping[str, float]], path: Path, title: str) -> None:
    """Writes a PNG: best accuracy in the title of the left axes, lowest loss in that of the right."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    FigureCanvasAgg(figure)
    epochs = [row["epoch"] for row in history]
    measured = "val" if "val_loss" in history[0] else "train"
    names = {"train": "training", "val": "validation"}
    for axes, quantity, best in zip(figure.subplots(1, 2), ("accuracy", "loss"), (max, min), strict=True):
        for part, style in (("train", "--"), ("val", "-")):
            values = [row[f"{part}_{quantity}"] for row in history if f"{part}_{quantity}" in row]
            if values:
                axes.plot(epochs, values, style, marker="." if len(epochs) < 3 else None, label=names[part])
        value = best(row[f"{measured}_{quantity}"] for row in history)
        word = "best accuracy" if quantity == "accuracy" else "lowest loss"
        axes.set_title(f"{word} {value:.3f} ({names[measured]})")
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_ylabel(quantity)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.axes[0].set_ylim(0, 1.02)
    figure.axes[1].set_ylim(bottom=0)
    figure.suptitle(title)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    write_whole(path, buffer.getvalue())
