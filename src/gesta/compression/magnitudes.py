"""Distribution of weight magnitudes: log2 |w|, share near zero, histograms (Mullick 2018, figures of chapter 4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gesta.compression.prune import THRESHOLD
from gesta.compression.weights import Weights, prunable
from gesta.training.figure import empty_figure, save_figure

LOWEST, HIGHEST = -60, 10
"""Range of the histograms in log2 |w|; values outside are counted in the outermost bins."""


@dataclass(frozen=True)
class Magnitudes:
    """Histogram of log2 |w|: `counts[i]` is for [LOWEST + i, LOWEST + i + 1); exact zeros are counted separately."""

    counts: tuple[int, ...]
    zeros: int
    below_threshold: int
    threshold: float

    @property
    def total(self) -> int:
        return sum(self.counts) + self.zeros

    @property
    def share_below(self) -> float:
        """Share of the weights with |w| < threshold, including zeros."""
        return self.below_threshold / max(self.total, 1)

    def document(self) -> dict[str, Any]:
        return {**asdict(self), "lowest": LOWEST, "share_below": self.share_below}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Magnitudes:
        kept = {name: document[name] for name in cls.__dataclass_fields__}
        return cls(**{**kept, "counts": tuple(kept["counts"])})


def magnitudes(weights: Weights, threshold: float = THRESHOLD) -> Magnitudes:
    """Returns the distribution of the prunable weights: those of convolutions, linear layers and LSTMs."""
    names = prunable(weights)
    sizes = np.abs(np.concatenate([np.asarray(weights[name], np.float64).reshape(-1) for name in names]))
    exponents = np.floor(np.log2(sizes[sizes > 0]))
    bins = np.clip(exponents, LOWEST, HIGHEST - 1).astype(np.int64) - LOWEST
    counts = np.bincount(bins, minlength=HIGHEST - LOWEST)
    zeros = int((sizes == 0).sum())
    return Magnitudes(tuple(int(n) for n in counts), zeros, int((sizes < threshold).sum()), threshold)


def draw(found: Mapping[str, Magnitudes], path: Path, title: str = "") -> None:
    """Plots the histogram of log2 |w| of each network in percent, and a line at the threshold if above 0, to a PNG.

    Exact zeros are in no bin; the legend gives the share below the threshold, including zeros.
    """
    figure = empty_figure(8, 4.5)
    axes = figure.subplots()
    _histograms(axes, found)
    axes.set_title(title)
    save_figure(figure, path)


def draw_panels(found: Mapping[str, Magnitudes], path: Path) -> None:
    """Like `draw`, with a panel for each network, two in a row, all with the same axes."""
    figure = empty_figure(11, 1 + 2.6 * -(-len(found) // 2))
    grid = figure.subplots(-(-len(found) // 2), 2, sharex=True, sharey=True, squeeze=False)
    limits = []
    for axes, (name, one) in zip(grid.flat, found.items(), strict=False):
        _histograms(axes, {name: one})
        limits += axes.get_xlim()
    grid[0, 0].set_xlim(min(limits), max(limits))
    save_figure(figure, path)


def _histograms(axes: Any, found: Mapping[str, Magnitudes]) -> None:
    edges = np.arange(LOWEST, HIGHEST + 1)
    for name, one in found.items():
        share = 100 * np.array(one.counts) / max(one.total, 1)
        axes.stairs(share, edges, fill=True, alpha=0.25)
        label = f"{name}: {one.share_below:.1%} below" + (f", {one.zeros / one.total:.1%} are 0" if one.zeros else "")
        axes.stairs(share, edges, label=label, color=axes.patches[-1].get_facecolor()[:3])
    filled = [i for one in found.values() for i, n in enumerate(one.counts) if n]
    low = edges[min(filled, default=0)]
    threshold = next(iter(found.values())).threshold
    if threshold > 0:
        exponent = np.log2(threshold)
        low = min(low, exponent)
        axes.axvline(exponent, color="0.3", linestyle="--", linewidth=1, label=f"threshold, 2^{exponent:g}")
    axes.set(xlabel="log2 |w|", ylabel="weights, %", xlim=(low - 1, edges[max(filled, default=1)] + 2))
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left")
