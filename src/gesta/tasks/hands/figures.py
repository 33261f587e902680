"""Plots of success rates and per-joint errors, as in Kazakos, figures 4.7 to 4.9. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta.metrics import success_area, success_rate
from gesta.training.figure import empty_figure, save_figure

FINE = 4  # points of a curve per millimeter
BELOW = {"loc": "outside lower center", "ncols": 2, "fontsize": "small", "frameon": False}
"""A legend below the axes, where it covers nothing."""


def draw_success(errors_mm: Mapping[str, NDArray[np.float64]], path: Path, title: str, limit_mm: float = 80.0) -> None:
    """Plot the share of frames whose largest joint error is under each threshold, a line per [n, J], as PNG."""
    figure = empty_figure(8.5, 6.5)
    axes = figure.add_subplot()
    axes.set_prop_cycle(_looks())
    thresholds = np.linspace(0, limit_mm, round(limit_mm) * FINE + 1)
    for name, errors in sorted(errors_mm.items(), key=lambda item: -success_area(item[1], limit_mm)):
        label = f"{name} (area {success_area(errors, limit_mm):.3f})"
        axes.plot(thresholds, 100 * success_rate(errors, thresholds), label=label)
    axes.set_xlabel("threshold on the largest joint error (mm)")
    axes.set_ylabel("frames under it (%)")
    axes.set_xlim(0, limit_mm)
    axes.set_ylim(0, 100)
    axes.grid(alpha=0.3)
    figure.legend(**BELOW)
    axes.set_title(title, wrap=True)
    save_figure(figure, path)


def draw_per_joint(
    errors_mm: Mapping[str, NDArray[np.float64]], path: Path, title: str, joint_names: Sequence[str]
) -> None:
    """Plot the mean error of each joint and over all joints, a bar per [n, J], as PNG."""
    groups = [*joint_names, "mean"]
    figure = empty_figure(max(8.5, 0.75 * len(groups)), 5.5)
    axes = figure.add_subplot()
    axes.set_prop_cycle(_looks())
    places, width = np.arange(len(groups)), 0.85 / len(errors_mm)
    for number, (name, errors) in enumerate(sorted(errors_mm.items(), key=lambda item: float(item[1].mean()))):
        heights = [*errors.mean(axis=0), errors.mean()]
        offset = (number - (len(errors_mm) - 1) / 2) * width
        axes.bar(places + offset, heights, width, label=f"{name} ({errors.mean():.2f} mm)")
    axes.set_xticks(places, groups)
    axes.set_ylabel("mean error (mm)")
    axes.grid(axis="y", alpha=0.3)
    figure.legend(**BELOW)
    axes.set_title(title, wrap=True)
    save_figure(figure, path)


def _looks() -> Any:
    """Twenty colors, the strong ones first, for lines and bars."""
    from cycler import cycler
    from matplotlib import color_sequences

    pairs = color_sequences["tab20"]
    return cycler(color=[*pairs[::2], *pairs[1::2]])
