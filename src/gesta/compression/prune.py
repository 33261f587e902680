"""Weight pruning: sets small weights to zero permanently, at once or gradually with fine-tuning in between.

Mullick 2018, chapter 4: classic Adam with an L2 term leaves many weights near zero; those with |w| < 2**-20 are removed
(the document writes "log2(-20)"). Extension: a given share of zeros, distributed over the network in one of three ways,
reached gradually (Zhu and Gupta 2017: s_t = s (1 - (1 - t / n)^3)) with fine-tuning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gesta.bundle import io
from gesta.compression.store import Step, stored_precision, write
from gesta.compression.weights import Precision, Weights, prunable
from gesta.schema import GestaError
from gesta.tasks import catalog
from gesta.tasks.base import Parts, need
from gesta.training.run import Run

THRESHOLD = 2.0**-20

Spread = Literal["adaptive", "global", "layer"]
SPREADS: tuple[Spread, ...] = ("adaptive", "global", "layer")
"""layer: the same share of every tensor. global: the smallest |w| of all; a tensor of small weights may lose all.
adaptive: global, by w^2 divided by the sum of all squares in the tensor that are not smaller (LAMP, Lee et al. 2021):
independent of the scale of a tensor, and no tensor loses all weights."""

Masks = Mapping[str, NDArray[np.bool_]]
"""For every pruned tensor: True where weights are kept."""


@dataclass(frozen=True)
class Pruning:
    """What to remove: all weights below `threshold` in magnitude or, if given, the share `sparsity` of all weights.

    `spread`: distribution over the network, see SPREADS. `steps`: number of gradual steps to the given share, each
    followed by `epochs` of fine-tuning with the removed weights kept at zero (0: none). `sets`: changes to the bundle's
    own recipe for fine-tuning, e.g. "training.learning_rate=1e-4".
    """

    threshold: float = THRESHOLD
    sparsity: float | None = None
    spread: Spread = "adaptive"
    steps: int = 1
    epochs: int = 0
    sets: tuple[str, ...] = ()

    def check(self) -> None:
        """Raises GestaError (usage) for invalid or incompatible values."""
        if self.threshold < 0 or (self.sparsity is not None and not 0 <= self.sparsity < 1):
            raise GestaError("--threshold must be at least 0 and --sparsity from 0 to below 1, e.g. 0.8.", usage=True)
        if self.steps < 1 or self.epochs < 0:
            raise GestaError("--steps must be at least 1 and --epochs at least 0.", usage=True)
        if self.spread not in SPREADS:
            raise GestaError(f"unknown --spread {self.spread!r}; choose from {', '.join(SPREADS)}.", usage=True)
        if self.sparsity is None and self.steps > 1:
            raise GestaError("--steps needs --sparsity, the share of zeros to reach.", usage=True)
        if self.steps > 1 and not self.epochs:
            raise GestaError("--steps needs --epochs: without training in between, one step does the same.", usage=True)

    @property
    def words(self) -> str:
        """Description for the model card."""
        if self.sparsity is None:
            how = f"|w| < 2**{np.log2(self.threshold):g}" if self.threshold > 0 else "only zeros"
        else:
            how = f"{self.sparsity:.1%} of the weights, {self.spread}"
        trained = f", {self.steps} x {self.epochs} epochs of fine-tuning" if self.epochs else ""
        return f"pruned ({how}{trained})"


def prune(
    bundle: Path | str,
    out: Path,
    how: Pruning | None = None,
    *,
    parts: Parts | None = None,
    run: Run | None = None,
    measured: Sequence[Any] = (),
    precision: Precision | None = None,
    **options: Any,
) -> Step:
    """Writes the pruned bundle to `out`, its weights in a sparse file of `precision` (default: the source's).

    `parts` (train and val): for fine-tuning if `how.epochs` is given, with a teacher if `how.sets` names one
    ("teacher=BUNDLE"), with the device and seed of `run`; `measured`: samples on which both bundles are measured, with
    `options` passed to the task's `load`. If a model has several networks, the trained one is pruned. Raises GestaError
    for invalid values, a bundle without weights, or data that do not fit it.
    """
    how = how or Pruning()
    how.check()
    task, source = catalog.of_bundle(bundle)
    weights: Weights = io.load_weights(source, task.trained_stage)
    held = {artifact.stage for artifact in source.manifest.artifacts if artifact.role == "weights"}
    others = {stage: io.load_weights(source, stage) for stage in sorted(held - {task.trained_stage})}
    if how.epochs and (parts is None or not parts.listing.samples):
        raise GestaError("Fine-tuning (--epochs) needs recordings: --data DATA.", usage=True)
    changes = (f"training.epochs={how.epochs}", *how.sets)
    for share in gradual(how.sparsity, how.steps):
        masks = masks_for(weights, how.threshold, share, how.spread)
        weights = masked(weights, masks)
        if not any(weights[name].any() for name in masks):
            raise GestaError(f"{source.path}: no weight would be left. Prune less: a lower --threshold or --sparsity.")
        if how.epochs:
            fine_tune = need(task, "fine_tune", "Fine-tuning (--epochs)")
            weights = fine_tune(source, weights, masks, parts, changes, run or Run(out))
    return write(
        source,
        out,
        {task.trained_stage: weights, **others},
        precision=precision or stored_precision(source),
        done=how.words,
        metrics={"fine_tuning_epochs": how.steps * how.epochs} if how.epochs else {},
        samples=measured,
        **options,
    )


def gradual(sparsity: float | None, steps: int) -> list[float | None]:
    """Returns the share of zeros after each step; [None] for pruning by threshold."""
    if sparsity is None:
        return [None]
    return [sparsity * (1 - (1 - step / steps) ** 3) for step in range(1, steps + 1)]


def masks_for(
    weights: Weights, threshold: float = THRESHOLD, sparsity: float | None = None, spread: Spread = "adaptive"
) -> dict[str, NDArray[np.bool_]]:
    """Returns masks of the weights to keep: |w| >= threshold or, if `sparsity` is given, all but that share.

    Of n weights, exactly round(sparsity n) are removed, from all tensors together or (layer) from each; ties are broken
    arbitrarily but deterministically.
    """
    names = prunable(weights)
    if sparsity is None:
        return {name: np.abs(weights[name]) >= threshold for name in names}  # type: ignore[type-var,operator]
    score = _adaptive if spread == "adaptive" else np.abs
    masks: dict[str, NDArray[np.bool_]] = {}
    for group in [[name] for name in names] if spread == "layer" else [names]:
        scores = np.concatenate([score(weights[name].reshape(-1)) for name in group])  # type: ignore[arg-type]
        gone = round(sparsity * len(scores))
        kept = np.ones(len(scores), bool)
        if gone:
            kept[np.argpartition(scores, gone - 1)[:gone]] = False
        parts = np.split(kept, np.cumsum([weights[name].size for name in group])[:-1])
        masks |= {name: part.reshape(weights[name].shape) for name, part in zip(group, parts, strict=True)}
    return masks


def _adaptive(flat: NDArray[Any]) -> NDArray[np.float64]:
    """Returns w_i^2 / (sum of all w_j^2 >= w_i^2) within one tensor: in (0, 1], 1 for the largest; 0 for zeros."""
    squares = np.square(flat.astype(np.float64))
    order = np.argsort(squares, kind="stable")
    rest = np.cumsum(squares[order][::-1])[::-1]
    scores = np.zeros(len(flat))
    scores[order] = squares[order] / np.where(rest > 0, rest, 1.0)
    return scores


def masked(weights: Weights, masks: Masks) -> dict[str, NDArray[np.generic]]:
    """Returns the weights with (positive) zeros where a mask is False."""
    return {
        name: np.where(masks[name], array, np.zeros((), array.dtype)) if name in masks else np.asarray(array)
        for name, array in weights.items()
    }
