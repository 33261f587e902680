"""A bundle's network, and its forms for inference and export: functions of named tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn

from gesta.bundle.io import Bundle, load_weights
from gesta.bundle.manifest import Tensor
from gesta.clips.sampling import feed
from gesta.clips.skeleton_sets import joint_set
from gesta.clips.skeleton_space import SkeletonSpace
from gesta.clips.transform import FLOW, Transform
from gesta.engines.part import Part
from gesta.engines.torch import fitting, loaded
from gesta.models.catalog import build, build_fused, build_on_skeletons
from gesta.models.fused import FusedClip
from gesta.models.layers import Wrapper
from gesta.models.nearest_vote import NearestVote
from gesta.models.recurrent import chunk_count
from gesta.models.skeleton_clips import SkeletonClips
from gesta.tasks.clips.manifest import ClipManifest

OF_SKELETONS = ("width", "dropout", "embedding_dropout", "topology", "examples", "head")
"""Recipe settings of skeleton networks."""


class Whole(Wrapper):
    """clip, lengths -> logits, for networks of clips of any length."""

    def forward(self, clip: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        return self.network(clip, lengths)


class VotedWhole(Wrapper):
    """A network with a vote over time: same answer, but only at the last chunk (RecurrentNet.answers).

    The chunks are counted by a running sum of ones. From shapes, the ONNX exporter occasionally derives a wrong formula
    for the number of chunks after the LSTM (2 * min(T // 4, T // 8), correct for even numbers only),
    nondeterministically.
    """

    def forward(self, clip: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        votes = self.network.forward_steps(clip).softmax(-1)  # B K N
        position = votes.sum(-1, keepdim=True).round().cumsum(1) - 1  # B K 1: 0, 1, 2 ...
        last = chunk_count(lengths, self.network.chunk).reshape(-1, 1, 1) - 1  # B 1 1
        age = last - position
        weight = torch.where(age >= 0, self.network.memory ** age.clamp(min=0), torch.zeros_like(age))
        return (weight * votes).sum(1).log()  # B N


class Window(Wrapper):
    """clip -> logits, for single-window networks, which need no lengths."""

    def forward(self, clip: torch.Tensor) -> torch.Tensor:
        return self.network(clip)


class FusedWhole(Wrapper):
    """clip, skeleton, present, lengths -> logits, for networks on pixels and skeletons."""

    def forward(
        self, clip: torch.Tensor, skeleton: torch.Tensor, present: torch.Tensor, lengths: torch.Tensor
    ) -> torch.Tensor:
        return self.network(FusedClip(clip, skeleton, present), lengths)


class FusedStep(Wrapper):
    """chunk, skeleton, present, states -> logits, states."""

    def forward(
        self, chunk: torch.Tensor, skeleton: torch.Tensor, present: torch.Tensor, *states: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        return self.network.step(FusedClip(chunk, skeleton, present), *states)


class Step(Wrapper):
    """chunk, states -> logits, states. One input per state: passing the same tensor twice failed in ONNX."""

    def forward(self, chunk: torch.Tensor, *states: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self.network.step(chunk, *states)


def load_network(bundle: Bundle[ClipManifest]) -> nn.Module:
    """Returns the network of the bundle's recipe with its weights, in eval mode, on the CPU.

    Raises GestaError if the bundle has no weights or they do not fit the network of its recipe.
    """
    manifest = bundle.manifest
    with fitting(bundle):
        network = fresh(manifest.recipe.get("model", {}), bundle.manifest.transform, len(manifest.labels))
        return loaded(network, load_weights(bundle))


def fresh(model: Mapping[str, Any], transform: Transform, classes: int) -> nn.Module:
    """Builds the untrained network of a recipe's `model` for a transform. Raises ValueError as `build` does."""
    if transform.skeleton is None:
        return _on_pixels(model, transform, classes)
    if not transform.fused:
        return _on_skeletons(model, transform.skeleton, classes)
    own = {key: value for key, value in model.items() if key not in ("fusion", "skeleton")}
    skeleton = _on_skeletons(model["skeleton"], transform.skeleton, classes)
    pixels = _on_pixels(own, transform, classes)
    assert isinstance(skeleton, SkeletonClips)
    return build_fused(model["fusion"], pixels, skeleton, classes=classes, dropout=model.get("dropout", 0.0))


def _on_pixels(model: Mapping[str, Any], transform: Transform, classes: int) -> nn.Module:
    return build(
        classes=classes,
        streams=len(transform.pictures),
        channels=len(transform.planes),
        flow=sum(plane in FLOW for plane in transform.planes),
        size=transform.size,
        chunk=transform.chunk,
        window=transform.window,
        **model,
    )


def _on_skeletons(model: Mapping[str, Any], space: SkeletonSpace, classes: int) -> nn.Module:
    given = {key: model[key] for key in OF_SKELETONS if key in model}
    joints = joint_set(space.joints)
    return build_on_skeletons(
        model["name"],
        classes=classes,
        joints=len(joints.joints),
        dimensions=space.dimensions,
        edges=joints.edges,
        **given,
    )


def as_input(
    clips: Sequence[NDArray[Any]], transform: Transform, device: Any
) -> tuple[torch.Tensor | FusedClip, torch.Tensor]:
    """Converts preprocessed clips to network input on a device: the batch, and lengths in frames."""
    inputs, lengths = feed(clips, transform.chunk)
    tensors = [torch.from_numpy(array).to(device) for array in inputs.values()]
    return FusedClip(*tensors) if transform.fused else tensors[0], torch.from_numpy(lengths).to(device)


def parts(bundle: Bundle[ClipManifest], network: nn.Module | None = None) -> list[Part]:
    """Returns the whole network and its streaming step, if it has one. Batch and number of frames are dynamic (-1)."""
    network = load_network(bundle) if network is None else network
    return parts_of(network, bundle.manifest.transform, len(bundle.manifest.labels))


def parts_of(network: nn.Module, transform: Transform, classes: int) -> list[Part]:
    """Like `parts`, for a network without a bundle."""
    logits = Tensor(name="logits", dtype="float32", shape=(-1, classes))

    def seen(name: str, frames: int) -> tuple[Tensor, ...]:
        inputs = transform.network_inputs(frames, name)
        return tuple(Tensor(name=key, dtype=dtype, shape=shape) for key, (dtype, shape) in inputs.items())

    if transform.sampling == "central":
        clip = seen("clip", transform.window)
        return [Part("whole", Window(network), _examples(clip), clip, (logits,))]
    clip, lengths = seen("clip", -1), Tensor(name="lengths", dtype="int64", shape=(-1,))
    plain = FusedWhole(network) if transform.fused else Whole(network)
    if transform.sampling == "whole":
        example = (*_examples(clip, 24), torch.tensor([24, 23]))
        return [Part("whole", plain, example, (*clip, lengths), (logits,))]
    chunk = seen("chunk", transform.chunk)
    states = tuple(Tensor(name=k, dtype="float32", shape=s) for k, s in network.state_shapes.items())  # type: ignore[operator,union-attr]
    later = tuple(s.model_copy(update={"name": f"{s.name}_out"}) for s in states)
    frames = max(2 * transform.chunk, 8)
    whole = (*_examples(clip, frames), torch.tensor([frames, frames - 1]))
    step = (*_examples(chunk), *(torch.rand([2 if n == -1 else n for n in s.shape]) for s in states))
    wrapped = plain if transform.fused else Whole(_whole(network))
    stepping = FusedStep(network) if transform.fused else Step(network)
    return [
        Part("whole", wrapped, whole, (*clip, lengths), (logits,), reference=plain),
        Part("step", stepping, step, (*chunk, *states), (logits, *later), states),
    ]


def _whole(network: nn.Module) -> nn.Module:
    """Returns the exportable form of a network that answers whole clips."""
    if isinstance(network, NearestVote):
        return NearestVote(_whole(network.network), network.lookup)
    return VotedWhole(network) if getattr(network, "memory", 0) else network


def _examples(tensors: Sequence[Tensor], frames: int | None = None) -> tuple[torch.Tensor, ...]:
    """Returns zeros with batch size 2 and `frames` for open dimensions: tracing needs shapes, not values."""
    found = []
    for tensor in tensors:
        batch, *shape = tensor.shape
        lengths = [2 if batch == -1 else batch, *(frames or 1 if n == -1 else n for n in shape)]
        found.append(torch.zeros(lengths, dtype=getattr(torch, tensor.dtype)))
    return tuple(found)
