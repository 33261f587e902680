"""PyTorch: the original networks with the bundle's weights. The only engine that imports torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gesta.bundle.io import Bundle
from gesta.engines.base import Arrays, Outputs, Placement, State, refuse_device, zeros
from gesta.engines.part import Part
from gesta.schema import GestaError

NAME = "torch"
Network = TypeVar("Network", bound=nn.Module)


def open_parts(parts: Sequence[Part], at: Placement) -> TorchEngine:
    """An engine for the parts. Raises GestaError (usage) if the device is unavailable, or the precision is not fp32."""
    there = ("auto", "cpu", *(["cuda"] if torch.cuda.is_available() else []))
    if at.device.split(":")[0] not in there:
        raise refuse_device(NAME, at.device, there)
    if at.precision not in (None, "fp32"):
        raise GestaError(f"{NAME} runs the weights in fp32; only exported networks run in {at.precision}.", usage=True)
    if at.threads is not None:
        torch.set_num_threads(at.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return TorchEngine(parts, device if at.device == "auto" else at.device)


@contextmanager
def fitting(bundle: Bundle[Any]) -> Iterator[None]:
    """Raises GestaError if a network cannot be built, or the weights do not fit it."""
    try:
        yield
    except (RuntimeError, TypeError, ValueError) as error:
        reason = str(error).strip().splitlines()[-1].strip()[:200]
        raise GestaError(f"{bundle.path}: the weights do not fit the network of its recipe ({reason}).") from error


def loaded(network: Network, weights: Mapping[str, NDArray[Any]]) -> Network:
    """The network with these weights, in eval mode, on the CPU."""
    network.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in weights.items()})
    return network.eval().requires_grad_(False)


class TorchEngine:
    """Implements base.Engine with the modules of gesta.models."""

    name = NAME

    def __init__(self, parts: Sequence[Part], device: str = "cpu") -> None:
        self._parts = {(part.role, part.stage): part for part in parts}
        self._modules = {key: (part.reference or part.module).to(device) for key, part in self._parts.items()}
        self._device = device

    def inputs(self, role: str = "whole", stage: str = "network") -> tuple[str, ...]:
        part = self._parts.get((role, stage))
        return () if part is None else tuple(tensor.name for tensor in part.inputs)

    @torch.inference_mode()
    def run(self, feed: Arrays, role: str = "whole", stage: str = "network") -> Outputs:
        part = self._parts[role, stage]
        found = self._modules[role, stage](*(self._tensor(feed[tensor.name]) for tensor in part.inputs))
        found = found if isinstance(found, tuple) else (found,)
        return {t.name: _numpy(value) for t, value in zip(part.outputs, found, strict=True)}

    def start(self, batch: int) -> State:
        return zeros(self._parts["step", "network"].states, batch)

    def step(self, feed: Arrays, state: State) -> tuple[Outputs, State]:
        found = self.run({**feed, **state}, "step")
        return found, {s.name: found[f"{s.name}_out"] for s in self._parts["step", "network"].states}

    def _tensor(self, array: NDArray[np.generic]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device)


def _numpy(tensor: torch.Tensor) -> NDArray[np.float32]:
    return tensor.float().cpu().numpy()
