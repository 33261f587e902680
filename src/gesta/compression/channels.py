"""Structured pruning: removes whole channels, with fine-tuning in between; smaller and faster networks everywhere."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gesta.bundle import io
from gesta.bundle.io import Bundle
from gesta.compression.store import Step, stored_precision, write
from gesta.compression.weights import Precision, Weights, count
from gesta.schema import GestaError
from gesta.tasks import catalog
from gesta.tasks.base import Parts, need
from gesta.training.run import Run


@dataclass(frozen=True)
class ChannelPruning:
    """How many parameters to keep: the share `keep`, or the number `parameters`.

    `steps`: number of gradual steps, each by the same factor and followed by `epochs` of fine-tuning (0: none).
    `sets`: changes to the bundle's own recipe for fine-tuning, e.g. "training.learning_rate=1e-4".
    """

    keep: float = 0.5
    parameters: int | None = None
    steps: int = 1
    epochs: int = 0
    sets: tuple[str, ...] = ()

    def check(self) -> None:
        """Raises GestaError (usage) for invalid values."""
        if not 0 < self.keep <= 1 or (self.parameters is not None and self.parameters < 1):
            raise GestaError(
                "--keep must be above 0 and at most 1, e.g. 0.5; --parameters must be at least 1.", usage=True
            )
        if self.steps < 1 or self.epochs < 0:
            raise GestaError("--steps must be at least 1 and --epochs at least 0.", usage=True)


def prune_channels(
    bundle: Path | str,
    out: Path,
    how: ChannelPruning | None = None,
    *,
    parts: Parts,
    run: Run | None = None,
    measured: Sequence[Any] = (),
    precision: Precision | None = None,
) -> Step:
    """Writes the bundle with fewer channels to `out`; their numbers are in its recipe's `model.layers`.

    `parts` (train and val): channels are ranked on the training part, and the network is fine-tuned on it, with a
    teacher if `how.sets` names one ("teacher=BUNDLE"), with the device and seed of `run`. `measured`: samples on which
    both bundles are measured. Raises GestaError for invalid or unreachable values, a bundle without weights, a network
    that does not support channel pruning, or data that do not fit the bundle.
    """
    how = how or ChannelPruning()
    how.check()
    task, source = catalog.of_bundle(bundle)
    narrow, run = need(task, "prune_channels", "Structured pruning"), run or Run(out)
    before = count(io.load_weights(source))[0]
    wanted = min(how.parameters or math.ceil(how.keep * before), before)
    changes = (f"training.epochs={how.epochs}", *how.sets)
    current: Bundle[Any] = source
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(1, how.steps + 1):
            goal = round(before * (wanted / before) ** (number / how.steps))
            weights, recipe = narrow(current, parts.listing.samples, goal, run.device)
            current = _resized(current, weights, recipe, Path(scratch) / f"{number}")
            if how.epochs:
                tune = need(task, "fine_tune", "Fine-tuning (--epochs)")
                weights = tune(current, io.load_weights(current), {}, parts, changes, run)
                current = _resized(current, weights, recipe, Path(scratch) / f"{number}-tuned")
        weights, recipe = io.load_weights(current), current.manifest.recipe
    trained = f", {how.steps} x {how.epochs} epochs of fine-tuning" if how.epochs else ""
    return write(
        Bundle(source.path, source.manifest.model_copy(update={"recipe": recipe})),
        out,
        {task.trained_stage: weights},
        precision=precision or stored_precision(source),
        done=f"channels pruned ({count(weights)[0] / before:.1%} of {before:,} parameters kept{trained})",
        metrics={"fine_tuning_epochs": how.steps * how.epochs} if how.epochs else {},
        samples=measured,
    )


def _resized(source: Bundle[Any], weights: Weights, recipe: dict[str, Any], folder: Path) -> Bundle[Any]:
    """Writes the bundle with these weights and their recipe to `folder`."""
    resized = Bundle(source.path, source.manifest.model_copy(update={"recipe": recipe}))
    write(resized, folder, {"network": weights}, precision="fp32", done="resized")
    return catalog.read_bundle(folder)
