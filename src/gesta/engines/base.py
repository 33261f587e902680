"""The interface that every engine implements, and helpers shared by the engines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gesta.bundle.io import Bundle
from gesta.bundle.manifest import Artifact, Interface, Tensor, alike, shown
from gesta.schema import GestaError

Arrays = Mapping[str, NDArray[Any]]
Outputs = dict[str, NDArray[np.float32]]
State = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Placement:
    """Where a model runs. `engine`: openvino, onnxruntime or torch; None: the preferred engine the bundle supports.

    `threads`: CPU threads; None: the engine's default. `precision`: of exported networks; None: fp32 if available.
    """

    engine: str | None = None
    device: str = "auto"
    threads: int | None = None
    precision: str | None = None


class Engine(Protocol):
    """The networks of a model, loaded on one device. Not thread-safe.

    A network is identified by its role ("whole", or "step" for streams) and, if the model has several, its stage.
    """

    @property
    def name(self) -> str: ...

    def inputs(self, role: str = "whole", stage: str = "network") -> tuple[str, ...]:
        """The input names of a network; () if there is no such network."""

    def run(self, feed: Arrays, role: str = "whole", stage: str = "network") -> Outputs:
        """Map inputs by name to outputs by name."""

    def start(self, batch: int) -> State:
        """The state before the first step: zeros."""

    def step(self, feed: Arrays, state: State) -> tuple[Outputs, State]:
        """The outputs for the next chunk of a stream, and the next state. `state` is not modified."""


def zeros(states: tuple[Tensor, ...], batch: int) -> State:
    """A state of zeros; -1 in a shape stands for the batch."""
    return {s.name: np.zeros([batch if n == -1 else n for n in s.shape], np.float32) for s in states}


def artifact_for(
    bundle: Bundle[Any], role: str, engine: str, precision: str | None, stage: str | None = None
) -> Artifact | None:
    """The artifact for a role (and stage): in the requested precision, else fp32, else the first one available."""
    if precision is not None:
        return bundle.find(role, engine, precision, stage)
    return bundle.find(role, engine, "fp32", stage) or bundle.find(role, engine, stage=stage)


def artifacts_for(
    bundle: Bundle[Any], engines: Sequence[str], precision: str | None, stage: str | None = None
) -> tuple[Artifact | None, Artifact | None]:
    """(whole, step) for the first of `engines` with an artifact; for a feature classifier, those of one stage.

    Raises GestaError, listing the available artifacts, if the bundle has neither.
    """
    for engine in engines:
        whole, step = (artifact_for(bundle, role, engine, precision, stage) for role in ("whole", "step"))
        if whole is not None or step is not None:
            return whole, step
    have = sorted({f"{a.engine} {a.precision}" for a in bundle.manifest.networks})
    wanted = f"{engines[0]} {precision or ''}".strip()
    raise GestaError(
        f"{bundle.path}: has no network for {wanted}. It has {', '.join(have) or 'none at all'}: use one of these."
    )


def check_interface(bundle: Bundle[Any], artifact: Artifact, inputs: Interface, outputs: Interface) -> None:
    """Raises GestaError if a network's inputs or outputs differ from its manifest."""
    for kind, said, found in (("input", artifact.inputs, inputs), ("output", artifact.outputs, outputs)):
        expected = {tensor.name: (tensor.dtype, tensor.shape) for tensor in said}
        wrong = sorted(name for name in {*expected, *found} if not alike(expected.get(name), found.get(name)))
        if wrong:
            name = wrong[0]
            raise GestaError(
                f"{bundle.path}: {artifact.file} does not match its manifest: {kind} {name!r} is "
                f"{shown(found.get(name))} in the file, {shown(expected.get(name))} in the manifest. "
                "Export the model again, or get the bundle again from its author."
            )
    fault = bundle.manifest.unfit(inputs, outputs)
    if fault is not None:
        raise GestaError(f"{bundle.path}: {artifact.file} {fault} Get the bundle again from its author.")


def refuse_device(engine: str, device: str, known: tuple[str, ...]) -> GestaError:
    return GestaError(f"{engine} does not run on {device!r} here; choose from {', '.join(known)}.", usage=True)
