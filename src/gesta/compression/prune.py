"""Pruning: small weights become zero, at once or step by step with training between, and stay zero.

Mullick 2018, chapter 4: classic Adam with an L2 term leaves many weights near zero; those with |w| < 2**-20 go
(the document writes "log2(-20)"). Beyond it: a wanted share of zeros, spread over the network in one of three ways,
reached gradually (Zhu and Gupta 2017: s_t = s (1 - (1 - t / n)^3)) with fine-tuning.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from numpy.typing import NDArray
from torch import nn

from gesta.bundle import io
from gesta.bundle.io import Bundle
from gesta.clips.cache import ClipCache
from gesta.compression.store import Step, stored_precision, write
from gesta.compression.weights import Precision, Weights, prunable
from gesta.recipes import RecipeError, changed
from gesta.schema import GestaError, HandFrame, Sample
from gesta.tasks.clips.distil import Teacher, teachers_of
from gesta.tasks.clips.facts import transform_for
from gesta.tasks.clips.fit import Cache, fit
from gesta.tasks.clips.manifest import ClipManifest
from gesta.tasks.clips.network import load_network
from gesta.tasks.clips.recipe import ClipRecipe
from gesta.tasks.hands.fit import fit_pose
from gesta.tasks.hands.manifest import HandManifest
from gesta.tasks.hands.network import load_network as load_pose_network
from gesta.tasks.hands.recipe import HandRecipe

THRESHOLD = 2.0**-20

Spread = Literal["adaptive", "global", "layer"]
SPREADS: tuple[Spread, ...] = ("adaptive", "global", "layer")
"""layer: the share of every tensor. global: the smallest |w| of all; a tensor of small weights may lose all of them.
adaptive: global by w^2 over the sum of the squares of its tensor that are not smaller (LAMP, Lee et al. 2021): the
scale of a tensor does not matter, and none loses everything."""

Masks = Mapping[str, NDArray[np.bool_]]
"""Of every pruned tensor: True on what stays."""


@dataclass(frozen=True)
class Pruning:
    """What goes: every weight below `threshold` in magnitude or, if given, the share `sparsity` of all weights.

    `spread`: where they go, see SPREADS. `steps` ends at the wanted share gradually, each
    step followed by `epochs` of fine-tuning with the removed weights held at zero (0: none). `sets` changes the
    fine-tuning's recipe, which is the bundle's own: "training.learning_rate=1e-4".
    """

    threshold: float = THRESHOLD
    sparsity: float | None = None
    spread: Spread = "adaptive"
    steps: int = 1
    epochs: int = 0
    sets: tuple[str, ...] = ()

    def check(self) -> None:
        """Raises GestaError (usage) for numbers that make no sense together."""
        if self.threshold < 0 or (self.sparsity is not None and not 0 <= self.sparsity < 1):
            raise GestaError("--threshold is at least 0 and --sparsity from 0 to below 1, e.g. 0.8.", usage=True)
        if self.steps < 1 or self.epochs < 0:
            raise GestaError("--steps is at least 1 and --epochs at least 0.", usage=True)
        if self.spread not in SPREADS:
            raise GestaError(f"unknown --spread {self.spread!r}; there are {', '.join(SPREADS)}.", usage=True)
        if self.sparsity is None and self.steps > 1:
            raise GestaError("--steps needs --sparsity, the share of zeros to reach.", usage=True)
        if self.steps > 1 and not self.epochs:
            raise GestaError("--steps needs --epochs: without training between, the last step does all.", usage=True)

    @property
    def words(self) -> str:
        """For the card."""
        if self.sparsity is None:
            how = f"|w| < 2**{np.log2(self.threshold):g}" if self.threshold > 0 else "nothing but zeros"
        else:
            how = f"{self.sparsity:.1%} of the weights, {self.spread}"
        trained = f", {self.steps} x {self.epochs} epochs of fine-tuning" if self.epochs else ""
        return f"pruned ({how}{trained})"


def prune(
    bundle: Path | str,
    out: Path,
    how: Pruning | None = None,
    *,
    samples: Sequence[Any] = (),
    measured: Sequence[Any] = (),
    layout: str = "",
    precision: Precision | None = None,
    teachers: Sequence[Teacher] = (),
    seed: int = 0,
    device: str = "auto",
    cache: ClipCache | None = None,
    progress: bool = True,
) -> Step:
    """The bundle pruned, at `out`, its weights in a sparse file of `precision` (the source's if left out).

    `samples` (splits train and val, of `layout`; frames for a hand pose model): fine-tuned on, where `how.epochs` says
    so, with a teacher where `how.sets` names one ("teacher=BUNDLE"; `teachers`: the same, opened already); `measured`:
    both are measured on them. Raises GestaError for numbers that make no sense, a bundle without weights, or data that
    do not fit it.
    """
    how = how or Pruning()
    how.check()
    source = io.read_any(bundle)
    weights: Weights = io.load_weights(source)
    if how.epochs and not samples:
        raise GestaError("Fine-tuning (--epochs) needs recordings: --data DATA.", usage=True)
    for share in gradual(how.sparsity, how.steps):
        masks = masks_for(weights, how.threshold, share, how.spread)
        weights = masked(weights, masks)
        if not any(weights[name].any() for name in masks):
            raise GestaError(f"{source.path}: no weight would be left. Prune less: a lower --threshold or --sparsity.")
        if how.epochs:
            weights = FINE_TUNE[source.manifest.kind](
                source,
                weights,
                masks,
                samples,
                how,
                layout=layout,
                teachers=teachers,
                seed=seed,
                device=device,
                cache=cache,
                progress=progress,
            )
    facts = {"fine_tuning_epochs": how.steps * how.epochs} if how.epochs else {}
    return write(
        source,
        out,
        weights,
        precision=precision or stored_precision(source),
        done=how.words,
        metrics=facts,
        samples=measured,
        cache=cache,
        layout=layout or None,
    )


def gradual(sparsity: float | None, steps: int) -> list[float | None]:
    """The share of zeros after each step; [None] for pruning by threshold."""
    if sparsity is None:
        return [None]
    return [sparsity * (1 - (1 - step / steps) ** 3) for step in range(1, steps + 1)]


def masks_for(
    weights: Weights, threshold: float = THRESHOLD, sparsity: float | None = None, spread: Spread = "adaptive"
) -> dict[str, NDArray[np.bool_]]:
    """What stays of every tensor that is pruned: |w| >= threshold or, if `sparsity` is given, all but that share.

    Of n weights exactly round(sparsity n) go, of all tensors together or (layer) of each; among equals, any, but always
    the same ones.
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
    """w_i^2 over the sum of all w_j^2 >= w_i^2 of one tensor: in (0, 1], 1 for the largest; 0 for zeros."""
    squares = np.square(flat.astype(np.float64))
    order = np.argsort(squares, kind="stable")
    rest = np.cumsum(squares[order][::-1])[::-1]
    scores = np.zeros(len(flat))
    scores[order] = squares[order] / np.where(rest > 0, rest, 1.0)
    return scores


def masked(weights: Weights, masks: Masks) -> dict[str, NDArray[np.generic]]:
    """The weights with zeros (positive ones) where a mask is False."""
    return {
        name: np.where(masks[name], array, np.zeros((), array.dtype)) if name in masks else np.asarray(array)
        for name, array in weights.items()
    }


class HoldZeros(Callback):
    """Puts removed weights back to zero after every batch: momentum and weight decay would move them."""

    def __init__(self, network: nn.Module, masks: Masks) -> None:
        named = dict(network.named_parameters())
        self._pairs = [(named[name], torch.from_numpy(~mask)) for name, mask in masks.items()]

    def on_train_start(self, *_: Any) -> None:
        self._pairs = [(weight, gone.to(weight.device)) for weight, gone in self._pairs]
        self._hold()

    def on_train_batch_end(self, *_: Any) -> None:
        self._hold()

    @torch.no_grad()
    def _hold(self) -> None:
        for weight, gone in self._pairs:
            weight.masked_fill_(gone, 0.0)


def fine_tune_pruned(
    source: Bundle, weights: Weights, masks: Masks, samples: Sequence[Sample], how: Pruning, **options: Any
) -> dict[str, NDArray[np.generic]]:
    """`fine_tune` by the bundle's own recipe with the changes of `how`."""
    recipe = recipe_of(source, how.epochs, how.sets)
    options["teachers"] = options["teachers"] or teachers_of(recipe)
    return fine_tune(source, weights, masks, samples, recipe, **options)


def fine_tune_pose(
    source: Bundle[HandManifest],
    weights: Weights,
    masks: Masks,
    frames: Sequence[HandFrame],
    how: Pruning,
    *,
    layout: str,
    seed: int,
    device: str,
    progress: bool,
    teachers: Sequence[Teacher] = (),  # noqa: ARG001 - hand pose models learn from none
    cache: Cache | None = None,  # noqa: ARG001 - of clips
) -> dict[str, NDArray[np.generic]]:
    """A hand pose model's network with these weights trained on by its own recipe; what a mask removed stays zero.

    Raises GestaError for frames with other joints, and (usage) for changes of the recipe that do not fit.
    """
    manifest = source.manifest
    settings = (f"training.epochs={how.epochs}", "training.patience=null", *how.sets)
    try:
        recipe = changed(HandRecipe.model_validate(manifest.recipe), settings)
    except RecipeError as error:
        raise GestaError(str(error), usage=True) from error
    network = load_pose_network(source).requires_grad_(True)
    network.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in weights.items()})
    with tempfile.TemporaryDirectory() as scratch:
        result = fit_pose(
            frames,
            recipe,
            Path(scratch),
            layout=layout,
            joint_names=manifest.joints,
            joint_indices=manifest.transform.joint_indices,
            seed=seed,
            device=device,
            progress=progress,
            callbacks=[HoldZeros(network, masks)],
            network=network,
        )
        return io.load_weights(io.read(result.bundle, HandManifest))


FINE_TUNE: dict[str, Callable[..., dict[str, NDArray[np.generic]]]] = {
    "classifier": fine_tune_pruned,
    "pose": fine_tune_pose,
}
"""How a pruned network is trained on, by the bundle's kind."""


def recipe_of(source: Bundle, epochs: int, sets: Sequence[str] = ()) -> ClipRecipe:
    """The bundle's own recipe for so many epochs, without pre-training and teacher, with the changes asked for.

    Raises GestaError (usage) for changes that do not fit.
    """
    document = {k: v for k, v in source.manifest.recipe.items() if k != "distillation"}
    settings = (f"training.epochs={epochs}", "training.patience=null", "training.pretrain_epochs=0")
    try:
        return changed(ClipRecipe.model_validate(document), (*settings, *sets))
    except RecipeError as error:
        raise GestaError(str(error), usage=True) from error


def fine_tune(
    source: Bundle,
    weights: Weights,
    masks: Masks,
    samples: Sequence[Sample],
    recipe: ClipRecipe,
    *,
    layout: str,
    teachers: Sequence[Teacher] = (),
    seed: int = 0,
    device: str = "auto",
    cache: Cache | None = None,
    progress: bool = True,
) -> dict[str, NDArray[np.generic]]:
    """The source's network with these weights trained on by the recipe; what a mask removed stays zero.

    Raises GestaError where the samples have other classes than the bundle, or the recipe another transform.
    """
    manifest = source.manifest
    found = tuple(sorted({str(s.label) for s in samples if s.split == "train" and s.label is not None}))
    if found != manifest.labels:
        odd = sorted(set(found) ^ set(manifest.labels))
        raise GestaError(
            f"{source.path}: fine-tuning needs training recordings of exactly the bundle's classes; they differ in "
            f"{', '.join(odd[:5]) or 'their order'}."
        )
    if transform_for(recipe, samples) != manifest.transform:
        raise GestaError(f"{source.path}: its recipe gives another transform than its own, so it cannot be trained on.")
    network = load_network(source).requires_grad_(True)
    network.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in weights.items()})
    with tempfile.TemporaryDirectory() as scratch:
        result = fit(
            samples,
            recipe,
            Path(scratch),
            layout=layout,
            seed=seed,
            device=device,
            progress=progress,
            cache=cache,
            network=network,
            teachers=teachers,
            callbacks=[HoldZeros(network, masks)],
        )
        return io.load_weights(io.read(result.bundle, ClipManifest))
