"""PyTorch: the network itself with the bundle's weights. The only file of this room that imports torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gesta.bundle.io import Bundle, load_weights
from gesta.bundle.manifest import PoseManifest, SequenceManifest
from gesta.features.backbones import Extractor, extractor, from_tensors
from gesta.models.catalog import build, build_sequence
from gesta.models.pose_catalog import build_pose
from gesta.models.pose_layers import PoseNet
from gesta.models.sequence import SequenceNet
from gesta.runtime.engines.base import Hands, Logits, Pixels, State, refuse_device
from gesta.schema import GestaError

NAME = "torch"
Network = TypeVar("Network", bound=nn.Module)


def open_bundle(bundle: Bundle, *, device: str, threads: int | None, precision: str | None) -> Torch:
    """The bundle's network on `device`. Raises GestaError if it has no weights, or for an unknown device."""
    place = _place(device, threads, precision)
    return Torch(load_network(bundle), place)


def open_pose(bundle: Bundle[PoseManifest], *, device: str, threads: int | None, precision: str | None) -> PoseTorch:
    """The hand pose model's network on `device`. Raises GestaError as `open_bundle` does."""
    place = _place(device, threads, precision)
    return PoseTorch(load_pose_network(bundle), place)


def open_sequence(
    bundle: Bundle[SequenceManifest],
    backbone: Bundle[SequenceManifest] | Path,
    *,
    device: str,
    threads: int | None,
    precision: str | None,
) -> SequenceTorch:
    """The head of `bundle` and the backbone of `backbone`, a bundle or a file of weights. Raises GestaError."""
    place = _place(device, threads, precision)
    return SequenceTorch(load_backbone_of(bundle, backbone).module, load_head(bundle), place)


def _place(device: str, threads: int | None, precision: str | None) -> str:
    """The device by torch's name. Raises GestaError (usage) for one that is not there, and for another precision."""
    there = ("auto", "cpu", *(["cuda"] if torch.cuda.is_available() else []))
    if device.split(":")[0] not in there:
        raise refuse_device(NAME, device, there)
    if precision not in (None, "fp32"):
        raise GestaError(f"{NAME} runs the weights in fp32; {precision} is for exported networks.", usage=True)
    if threads is not None:
        torch.set_num_threads(threads)
    return ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device


@contextmanager
def _fitting(bundle: Bundle[Any]) -> Iterator[None]:
    """Raises GestaError where a network cannot be built, or does not take the weights."""
    try:
        yield
    except (RuntimeError, TypeError, ValueError) as error:
        reason = str(error).strip().splitlines()[-1].strip()[:200]
        raise GestaError(f"{bundle.path}: the weights do not fit the network of its recipe ({reason}).") from error


def _loaded(network: Network, weights: Mapping[str, NDArray[Any]]) -> Network:
    """With its weights, in eval mode, on the CPU."""
    network.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    return network.eval().requires_grad_(False)


def load_network(bundle: Bundle) -> nn.Module:
    """The network of the bundle's recipe with its weights, in eval mode, on the CPU.

    Raises GestaError if the bundle has no weights or they do not fit the network of its recipe.
    """
    manifest, transform = bundle.manifest, bundle.manifest.transform
    with _fitting(bundle):
        network = build(
            classes=len(manifest.labels),
            streams=len(transform.streams),
            channels=len(transform.channels),
            size=transform.size,
            chunk=transform.chunk,
            window=transform.window,
            **manifest.recipe.get("model", {}),
        )
        return _loaded(network, load_weights(bundle))


def load_pose_network(bundle: Bundle[PoseManifest]) -> PoseNet:
    """The hand pose network, as `load_network`."""
    manifest, transform = bundle.manifest, bundle.manifest.transform
    with _fitting(bundle):
        model = manifest.recipe.get("model", {})
        network = build_pose(model, joint_names=manifest.joints, inputs=transform.inputs, size=transform.size)
        return _loaded(network, load_weights(bundle))


def load_head(bundle: Bundle[SequenceManifest]) -> SequenceNet:
    """The classifier of features, as `load_network`."""
    manifest = bundle.manifest
    with _fitting(bundle):
        model = manifest.recipe.get("model", {})
        network = build_sequence(features=manifest.backbone.features, classes=len(manifest.labels), **model)
        return _loaded(network, load_weights(bundle, "head"))


def load_backbone_of(bundle: Bundle[SequenceManifest], source: Bundle[SequenceManifest] | Path | str) -> Extractor:
    """The backbone that the bundle names, from a bundle that holds it or a file (or random:SEED).

    Raises GestaError if there are no such weights, or they are others than the model was trained with.
    """
    used = bundle.manifest.backbone
    exact = True
    if isinstance(source, Bundle):
        artifact = source.find("weights", "torch", stage="backbone")
        exact = artifact is None or artifact.precision == "fp32"  # rounded ones have another hash, but are made of them
        weights = {name: torch.from_numpy(array) for name, array in load_weights(source, "backbone").items()}
        where = str(source.path)
        ready = from_tensors(used.name, weights, where, stage=used.stage, size=used.size)
    else:
        where = str(source)
        ready = extractor(used.name, where, stage=used.stage, size=used.size)
    if exact and ready.weights != used.weights:
        raise GestaError(
            f"{where}: holds other weights of {used.name} ({ready.weights[:12]}) than the model "
            f"{bundle.manifest.name!r} was trained with ({used.weights[:12]}). Give the file that its features were "
            "made with."
        )
    return ready


class Torch:
    """Implements base.Engine on a network of gesta.models."""

    name = NAME
    wholes = True

    def __init__(self, network: nn.Module, device: str = "cpu") -> None:
        self.network = network.to(device)
        self.steps = hasattr(network, "step")
        self.windowed = not self.steps
        self._device = device

    @torch.inference_mode()
    def whole(self, clip: Pixels, lengths: NDArray[np.int64]) -> Logits:
        return _numpy(self.network(self._tensor(clip), self._tensor(lengths)))

    def start(self, batch: int) -> State:
        shapes: dict[str, tuple[int, ...]] = self.network.state_shapes  # type: ignore[assignment]
        return {k: np.zeros([batch if n == -1 else n for n in shape], np.float32) for k, shape in shapes.items()}

    @torch.inference_mode()
    def step(self, chunk: Pixels, state: State) -> tuple[Logits, State]:
        step = self.network.step
        assert callable(step)
        names: list[str] = list(self.network.state_shapes)
        logits, *states = step(self._tensor(chunk), *(self._tensor(state[name]) for name in names))
        return _numpy(logits), {name: _numpy(tensor) for name, tensor in zip(names, states, strict=True)}

    def _tensor(self, array: NDArray[np.generic]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device)


class PoseTorch:
    """Implements base.PoseEngine on a network of gesta.models."""

    name = NAME

    def __init__(self, network: PoseNet, device: str = "cpu") -> None:
        self.network = network.to(device)
        self._device = device

    @torch.inference_mode()
    def joints(self, hand: Hands) -> NDArray[np.float32]:
        return _numpy(self.network(torch.from_numpy(np.ascontiguousarray(hand)).to(self._device)))


class SequenceTorch:
    """Implements base.SequenceEngine on networks of gesta.models."""

    name = NAME

    def __init__(self, backbone: nn.Module, head: nn.Module, device: str = "cpu") -> None:
        self.backbone, self.network = backbone.to(device), head.to(device)
        self._device = device

    @torch.inference_mode()
    def features(self, frames: Pixels) -> NDArray[np.float32]:
        return _numpy(self.backbone(torch.from_numpy(np.ascontiguousarray(frames)).to(self._device)))

    @torch.inference_mode()
    def head(self, features: NDArray[np.float32], lengths: NDArray[np.int64]) -> Logits:
        return _numpy(self.network(*(torch.from_numpy(a).to(self._device) for a in (features, lengths))))


def _numpy(tensor: torch.Tensor) -> NDArray[np.float32]:
    return tensor.float().cpu().numpy()
