"""Frozen networks that turn frames into features, selected by name: from decoded pixels to stored arrays."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gesta.clips.cache import default_root
from gesta.models.backbone import Backbone
from gesta.models.c3d import C3d, load_c3d
from gesta.models.catalog import BACKBONES, build_backbone, fetch_backbone, load_backbone
from gesta.models.i3d import I3d, load_i3d
from gesta.models.weights import WeightsError, fingerprint, length_of, load_tensors
from gesta.schema import GestaError
from gesta.words import did_you_mean

RANDOM = "random"


@dataclass(frozen=True)
class VideoBackbone:
    """A network over windows of frames."""

    build: Callable[[], nn.Module]
    load: Callable[[Path], nn.Module]
    window: int
    size: int
    stages: tuple[str, ...]


VIDEO_BACKBONES = {
    "c3d": VideoBackbone(lambda: C3d(classes=487), load_c3d, 16, 112, ("fc6", "fc7")),
    "i3d": VideoBackbone(lambda: I3d(classes=400), load_i3d, 64, 224, ("pooled",)),
}


class FrameFeatures(nn.Module):
    """uint8 [b, H, W, 3] -> float32 [b, D], or [b, C, h, w] if `pooled` is False."""

    def __init__(self, network: nn.Module, stage: str, pooled: bool) -> None:
        super().__init__()
        self.network, self.stage, self.pooled = network, stage, pooled

    def forward(self, frames: Tensor) -> Tensor:
        images = frames.permute(0, 3, 1, 2)  # b 3 H W
        if self.pooled:
            return self.network.forward_features(images, self.stage)  # type: ignore[operator,no-any-return]
        return self.network.forward_maps(images, self.stage)  # type: ignore[operator,no-any-return]


class WindowFeatures(nn.Module):
    """uint8 [b, w, H, W, 3] -> float32 [b, D]."""

    def __init__(self, network: nn.Module, stage: str) -> None:
        super().__init__()
        self.network = network
        self.settings = {"stage": stage} if isinstance(network, C3d) else {}

    def forward(self, frames: Tensor) -> Tensor:
        clip = frames.permute(0, 4, 1, 2, 3).unsqueeze(1)  # b 1 3 w H W
        return self.network.forward_features(clip, **self.settings)  # type: ignore[operator,no-any-return]


@dataclass(frozen=True)
class Extractor:
    """A network ready to compute features, with the settings that identify them."""

    name: str
    module: nn.Module
    weights: str
    stage: str
    size: int
    window: int
    pooled: bool


def extractor(
    name: str, weights: str | None = None, *, stage: str | None = None, pooled: bool = True, size: int | None = None
) -> Extractor:
    """Return the backbone, frozen and in eval mode.

    `weights`: a file; None: the official file, downloaded once; "random" or "random:7": random weights with a seed, for
    experiments. `stage`: None selects the last one. `size`: None selects the published one.

    Raises GestaError for an unknown name or stage (usage), and for weights that are missing or do not fit.
    """
    chosen = _checked(name, stage, pooled)
    try:
        network = _network(name, weights)
    except WeightsError as error:
        raise GestaError(str(error)) from error
    return _ready(name, network, chosen, pooled, size)


def from_tensors(
    name: str, tensors: Mapping[str, Tensor], source: str, *, stage: str | None = None, size: int | None = None
) -> Extractor:
    """Like `extractor`, but from tensors in memory, e.g. a bundle's; `source` names them in error messages.

    Raises GestaError.
    """
    chosen = _checked(name, stage, pooled=True)
    video = VIDEO_BACKBONES.get(name)
    try:
        network = video.build() if video else build_backbone(name, classes=length_of(tensors, "fc.weight", 0, 1000))
        load_tensors(network, tensors, source)
    except WeightsError as error:
        raise GestaError(str(error)) from error
    return _ready(name, network, chosen, True, size)


def _checked(name: str, stage: str | None, pooled: bool) -> str:
    """Return the stage, by default the last one. Raises GestaError (usage)."""
    stages, _, window = _facts(name)
    stage = stage or stages[-1]
    if stage not in stages:
        raise GestaError(f"{name} has no stage {stage!r}; choose from {', '.join(stages)}.", usage=True)
    if not pooled and window > 1:
        raise GestaError(f"feature maps need an image network; {name} returns vectors.", usage=True)
    return stage


def _ready(name: str, network: nn.Module, stage: str, pooled: bool, size: int | None) -> Extractor:
    _, published, window = _facts(name)
    network.eval().requires_grad_(False)
    size = size or published
    if window > 1 and isinstance(network, C3d) and size != published:
        raise GestaError(f"{name} takes {published} x {published} pixels only; leave --size out.", usage=True)
    if window == 1 and size < published and not _reaches(network, stage, size):
        least = bisect_left(range(published), True, lo=1, key=lambda least: _reaches(network, stage, least))
        raise GestaError(
            f"{size} pixels are too few for {name} up to {stage}: give --size {least} or more.", usage=True
        )
    module = WindowFeatures(network, stage) if window > 1 else FrameFeatures(network, stage, pooled)
    return Extractor(name, module, fingerprint(network), stage, size, window, pooled)


def _reaches(network: nn.Module, stage: str, size: int) -> bool:
    """Return whether images of this size leave any output at the given stage of an image network."""
    device = next(network.parameters()).device
    try:
        with torch.no_grad():
            network.forward_maps(torch.zeros(1, 3, size, size, device=device), stage)  # type: ignore[operator]
    except RuntimeError:  # a kernel larger than its maps
        return False
    return True


def names() -> list[str]:
    return [*BACKBONES, *VIDEO_BACKBONES]


def _facts(name: str) -> tuple[list[str], int, int]:
    """Return (stages, published size, frames per window)."""
    if name in VIDEO_BACKBONES:
        video = VIDEO_BACKBONES[name]
        return list(video.stages), video.size, video.window
    if name not in BACKBONES:
        meant = did_you_mean(name, names())
        raise GestaError(f"unknown backbone {name!r}; choose from {', '.join(names())}.{meant}", usage=True)
    return *_stages_and_size(BACKBONES[name]), 1


@cache
def _stages_and_size(build: Callable[..., Backbone]) -> tuple[list[str], int]:
    with torch.device("meta"):
        network = build(classes=1)
    return list(network.stages), network.size


def _network(name: str, weights: str | None) -> nn.Module:
    video = VIDEO_BACKBONES.get(name)
    if weights is not None and weights.partition(":")[0] == RANDOM:
        seed = weights.partition(":")[2] or "0"
        if not seed.isdecimal():
            raise GestaError(f"--weights {weights}: expected random or random:SEED.", usage=True)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(seed))
            return video.build() if video else build_backbone(name)
    path = Path(weights) if weights is not None else fetch_backbone(name, default_root() / "weights")
    network = video.load(path) if video else load_backbone(name, path)
    if isinstance(network, I3d) and (channels := network.Conv3d_1a_7x7.conv3d.in_channels) != 3:
        raise WeightsError(
            f"{path}: is for {channels} input channels (two: optical flow), but features are computed from RGB. Give "
            "the RGB file."
        )
    return network


def describe(ready: Extractor) -> dict[str, Any]:
    """Return the fields of a FeatureRecipe that depend on the backbone."""
    return {
        "backbone": ready.name,
        "weights": ready.weights,
        "stage": ready.stage,
        "pooled": ready.pooled,
        "size": ready.size,
        "window": ready.window,
    }
