"""The contract of every engine, and what they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gesta.bundle.io import Bundle
from gesta.bundle.manifest import Artifact, Tensor
from gesta.clips.transform import Transform
from gesta.schema import GestaError

Pixels = NDArray[np.uint8]
Logits = NDArray[np.float32]
Hands = NDArray[np.float32]
State = Mapping[str, NDArray[np.float32]]


class Engine(Protocol):
    """A network at work on one device. At least one of `wholes` and `steps` is true. Not to be shared by threads."""

    @property
    def name(self) -> str: ...

    @property
    def wholes(self) -> bool:
        """Has the whole network."""

    @property
    def steps(self) -> bool:
        """Has the streaming step."""

    @property
    def windowed(self) -> bool:
        """The whole network takes exactly the transform's window, and there is no step."""

    def whole(self, clip: Pixels, lengths: NDArray[np.int64]) -> Logits:
        """clip [B, S, C, T, H, W], lengths [B] in frames -> logits [B, N]."""

    def start(self, batch: int) -> State:
        """The state before the first chunk: zeros."""

    def step(self, chunk: Pixels, state: State) -> tuple[Logits, State]:
        """chunk [B, S, C, chunk, H, W] and the state -> logits [B, N] and the next state. Never changes `state`."""


class PoseEngine(Protocol):
    """A hand pose network at work on one device. Not to be shared by threads."""

    @property
    def name(self) -> str: ...

    def joints(self, hand: Hands) -> NDArray[np.float32]:
        """hand [B, C, S, S], as HandTransform says -> joints [B, J, 3] in units of half a cube."""


class SequenceEngine(Protocol):
    """A backbone and a classifier of its features at work on one device. Not to be shared by threads."""

    @property
    def name(self) -> str: ...

    def features(self, frames: Pixels) -> NDArray[np.float32]:
        """frames [b, H, W, 3], or windows [b, w, H, W, 3] -> features [b, D]."""

    def head(self, features: NDArray[np.float32], lengths: NDArray[np.int64]) -> Logits:
        """features [B, T, D], zeros behind a shorter sequence, lengths [B] -> logits [B, N]."""


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
    """(whole, step) made for the first of `engines` for which there is one; of a chain those of a stage.

    Raises GestaError if the bundle has neither, naming what it has.
    """
    for engine in engines:
        whole, step = (artifact_for(bundle, role, engine, precision, stage) for role in ("whole", "step"))
        if whole is not None or step is not None:
            return whole, step
    have = sorted({f"{a.engine} {a.precision}" for a in bundle.manifest.artifacts})
    wanted = f"{engines[0]} {precision or ''}".strip()
    raise GestaError(
        f"{bundle.path}: has nothing for {wanted}. It has {', '.join(have) or 'nothing at all'}: take one."
    )


Interface = Mapping[str, tuple[str, tuple[int, ...]]]
"""Name of an input or output -> (element type as numpy names it, shape with -1 for what is dynamic)."""


def check_interface(bundle: Bundle[Any], artifact: Artifact, inputs: Interface, outputs: Interface) -> None:
    """Raises GestaError if a network takes or gives something else than its manifest says."""
    for kind, said, found in (("input", artifact.inputs, inputs), ("output", artifact.outputs, outputs)):
        expected = {tensor.name: (tensor.dtype, tensor.shape) for tensor in said}
        wrong = sorted(name for name in {*expected, *found} if not _alike(expected.get(name), found.get(name)))
        if wrong:
            name = wrong[0]
            raise GestaError(
                f"{bundle.path}: {artifact.file} does not match its manifest: {kind} {name!r} is "
                f"{_shown(found.get(name))} in the file, {_shown(expected.get(name))} in the manifest. "
                "Export the model again, or get the bundle again from its author."
            )
    _check_prepared(bundle, artifact, inputs, outputs)


def _check_prepared(bundle: Bundle[Any], artifact: Artifact, inputs: Interface, outputs: Interface) -> None:
    """Raises GestaError if the network's own input is not what the transform makes, or it knows other classes."""
    transform, labels = getattr(bundle.manifest, "transform", None), getattr(bundle.manifest, "labels", ())
    if not isinstance(transform, Transform):
        return
    streams, height, width, channels = transform.frame_shape
    for name, (dtype, shape) in inputs.items():
        frames = {"chunk": transform.chunk, "clip": transform.window if transform.sampling == "central" else -1}
        expected = ("uint8", (-1, streams, channels, frames.get(name, -1), height, width))
        if name in frames and not _alike(expected, (dtype, shape)):
            raise GestaError(
                f"{bundle.path}: {artifact.file} takes {_shown((dtype, shape))}, and the manifest's transform makes "
                f"{_shown(expected)}. It would not see what it was trained on; get the bundle again."
            )
    found = outputs.get("logits")
    if found is not None and found[1] and found[1][-1] not in (-1, len(labels)):
        raise GestaError(
            f"{bundle.path}: {artifact.file} tells {found[1][-1]} classes apart, and the manifest names {len(labels)}. "
            "Get the bundle again from its author."
        )


def _alike(one: tuple[str, tuple[int, ...]] | None, other: tuple[str, tuple[int, ...]] | None) -> bool:
    """The same type and rank, and no two fixed axes that differ."""
    if one is None or other is None or one[0] != other[0] or len(one[1]) != len(other[1]):
        return False
    return all(a == b or -1 in (a, b) for a, b in zip(one[1], other[1], strict=True))


def _shown(tensor: tuple[str, tuple[int, ...]] | None) -> str:
    return "missing" if tensor is None else f"{tensor[0]} {list(tensor[1])}"


def is_windowed(whole: Artifact | None) -> bool:
    """Whether an exported whole network takes one window of frames: then it asks for no lengths."""
    return whole is not None and all(tensor.name != "lengths" for tensor in whole.inputs)


def refuse_device(engine: str, device: str, known: tuple[str, ...]) -> GestaError:
    return GestaError(f"{engine} does not run on {device!r} here; it knows {', '.join(known)}.", usage=True)
