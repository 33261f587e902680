"""The PyTorch network of a spotter's bundle, for running and exporting."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor as Torch

from gesta.bundle.io import Bundle, load_weights
from gesta.bundle.manifest import Tensor
from gesta.engines.part import Part
from gesta.engines.torch import fitting, loaded
from gesta.models.layers import Wrapper
from gesta.models.tcn import CausalNet, CausalTcn
from gesta.models.window import WindowLinear
from gesta.tasks.spotting.manifest import SpottingManifest
from gesta.tasks.spotting.recipe import SpottingModelSettings

EXAMPLE_FRAMES = 5


class Steps(Wrapper):
    """Maps skeleton [B, t, J, D], mask [B, t, J] and the state to logits [B, t, N] and the next state."""

    def forward(self, skeleton: Torch, mask: Torch, *states: Torch) -> tuple[Torch, ...]:
        return self.network.steps(skeleton, mask, *states)


def build(settings: SpottingModelSettings, classes: int, joints: int, dimensions: int) -> CausalNet:
    """Build the recipe's untrained network."""
    if settings.name == "window":
        return WindowLinear(classes=classes, joints=joints, dimensions=dimensions, window=settings.window)
    given = settings.model_dump(exclude={"name", "window"})
    return CausalTcn(classes=classes, joints=joints, dimensions=dimensions, **given)


def parts(bundle: Bundle[SpottingManifest]) -> list[Part]:
    """Return the step with the bundle's weights. Raises GestaError if they do not fit the recipe's network."""
    manifest = bundle.manifest
    joints, dimensions = len(manifest.space.joints), manifest.space.dimensions
    with fitting(bundle):
        settings = SpottingModelSettings.model_validate(manifest.recipe["model"])
        network = loaded(build(settings, len(manifest.classes), joints, dimensions), load_weights(bundle))
    return [part(network, len(manifest.classes))]


def part(network: CausalNet, classes: int) -> Part:
    """Describe the step's inputs and outputs. The batch size and the number of frames are dynamic."""
    joints, dimensions = network.joints, network.dimensions
    inputs = (
        Tensor(name="skeleton", dtype="float32", shape=(-1, -1, joints, dimensions)),
        Tensor(name="mask", dtype="float32", shape=(-1, -1, joints)),
    )
    states = tuple(Tensor(name=k, dtype="float32", shape=shape) for k, shape in network.state_shapes.items())
    later = tuple(state.model_copy(update={"name": f"{state.name}_out"}) for state in states)
    logits = Tensor(name="logits", dtype="float32", shape=(-1, -1, classes))
    example: tuple[Any, ...] = (
        torch.rand(2, EXAMPLE_FRAMES, joints, dimensions),
        torch.ones(2, EXAMPLE_FRAMES, joints),
        *(torch.rand([2 if n == -1 else n for n in state.shape]) for state in states),
    )
    return Part("step", Steps(network), example, (*inputs, *states), (logits, *later), states)
