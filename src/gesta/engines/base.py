"""The contract of every engine, and what they share."""

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
    """What a model runs on. `engine`: openvino, onnxruntime or torch; None: the best that the bundle is made for.

    `threads`: of the CPU; None: the engine's choice. `precision`: of exported networks; None: fp32 where there is one.
    """

    engine: str | None = None
    device: str = "auto"
    threads: int | None = None
    precision: str | None = None


class Engine(Protocol):
    """The networks of a model at work on one device. Not to be shared by threads.

    A network is named by its role ("whole", or "step" for streams) and, where a model has several, its stage.
    """

    @property
    def name(self) -> str: ...

    def inputs(self, role: str = "whole", stage: str = "network") -> tuple[str, ...]:
        """Names of what a network takes; () where there is no such network."""

    def run(self, feed: Arrays, role: str = "whole", stage: str = "network") -> Outputs:
        """Inputs by name -> outputs by name."""

    def start(self, batch: int) -> State:
        """The state before the first step: zeros."""

    def step(self, feed: Arrays, state: State) -> tuple[Outputs, State]:
        """The outputs for the next piece of a stream, and the next state. Never changes `state`."""


def zeros(states: tuple[Tensor, ...], batch: int) -> State:
    """A state of zeros; -1 in a shape stands for the batch."""
    return {s.name: np.zeros([batch if n == -1 else n for n in s.shape], np.float32) for s in states}


def artifact_for(
    bundle: Bundle[Any], role: str, engine: str, precision: str | None, stage: str | None = None
) -> Artifact | None:
    """The artifact of that role (and stage): of the precision asked for, else fp32, else the first there is."""
    if precision is not None:
        return bundle.find(role, engine, precision, stage)
    return bundle.find(role, engine, "fp32", stage) or bundle.find(role, engine, stage=stage)


def artifacts_for(
    bundle: Bundle[Any], engines: Sequence[str], precision: str | None, stage: str | None = None
) -> tuple[Artifact | None, Artifact | None]:
    """(whole, step) made for the first of `engines` for which there is one; of a feature classifier those of a stage.

    Raises GestaError if the bundle has neither, naming what it has.
    """
    for engine in engines:
        whole, step = (artifact_for(bundle, role, engine, precision, stage) for role in ("whole", "step"))
        if whole is not None or step is not None:
            return whole, step
    have = sorted({f"{a.engine} {a.precision}" for a in bundle.manifest.artifacts})
    wanted = f"{engines[0]} {precision or ''}".strip()
    raise GestaError(
        f"{bundle.path}: has nothing for {wanted}. It has {', '.join(have) or 'nothing at all'}: use one of these."
    )


def check_interface(bundle: Bundle[Any], artifact: Artifact, inputs: Interface, outputs: Interface) -> None:
    """Raises GestaError if a network takes or gives something else than its manifest says."""
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
    return GestaError(f"{engine} does not run on {device!r} here; it knows {', '.join(known)}.", usage=True)
