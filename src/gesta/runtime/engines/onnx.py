"""ONNX Runtime: exported networks on the CPU, or CUDA where its build has it."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from gesta.bundle.io import Bundle
from gesta.bundle.manifest import Artifact, PoseManifest, SequenceManifest
from gesta.runtime.engines.base import (
    Hands,
    Logits,
    Pixels,
    State,
    artifacts_for,
    check_interface,
    is_windowed,
    refuse_device,
    zeros,
)
from gesta.runtime.engines.onnx_file import check as check_onnx
from gesta.schema import GestaError

NAME = "onnxruntime"
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
TYPES = {"tensor(uint8)": "uint8", "tensor(int64)": "int64", "tensor(float)": "float32"}


def open_bundle(bundle: Bundle, *, device: str, threads: int | None, precision: str | None) -> OnnxRuntime:
    """The bundle's networks on `device`. Raises GestaError if it has none in ONNX, or for an unknown device."""
    provider = _provider(device)
    whole, step = artifacts_for(bundle, NAME, precision)
    return OnnxRuntime(bundle, whole, step, provider, threads)


def open_pose(
    bundle: Bundle[PoseManifest], *, device: str, threads: int | None, precision: str | None
) -> PoseOnnxRuntime:
    """The hand pose model's network on `device`. Raises GestaError as `open_bundle` does."""
    provider = _provider(device)
    whole, _ = artifacts_for(bundle, NAME, precision)
    assert whole is not None  # hand pose models have no streaming step
    return PoseOnnxRuntime(session(bundle, whole, provider, threads))


def open_sequence(
    bundle: Bundle[SequenceManifest],
    backbone: Bundle[SequenceManifest],
    *,
    device: str,
    threads: int | None,
    precision: str | None,
) -> SequenceOnnxRuntime:
    """The head of `bundle` and the backbone of `backbone`. Raises GestaError as `open_bundle` does."""
    provider = _provider(device)
    sessions = []
    for holder, stage in ((backbone, "backbone"), (bundle, "head")):
        whole, _ = artifacts_for(holder, NAME, precision, stage=stage)
        assert whole is not None  # chains have no streaming step
        sessions.append(session(holder, whole, provider, threads))
    return SequenceOnnxRuntime(*sessions)


def _provider(device: str) -> str:
    """Raises GestaError (usage) for a device that is not there."""
    there = tuple(name for name, provider in PROVIDERS.items() if provider in ort.get_available_providers())
    if device not in (*there, "auto"):
        raise refuse_device(NAME, device, ("auto", *there))
    return PROVIDERS["cuda" if device in ("auto", "cuda") and "cuda" in there else "cpu"]


class OnnxRuntime:
    """Implements base.Engine."""

    name = NAME

    def __init__(
        self, bundle: Bundle, whole: Artifact | None, step: Artifact | None, provider: str, threads: int | None
    ) -> None:
        self.wholes, self.steps, self.windowed = whole is not None, step is not None, is_windowed(whole)
        self._bundle, self._artifacts = bundle, {"whole": whole, "step": step}
        self._provider, self._threads = provider, threads
        self._sessions: dict[str, Any] = {}

    def whole(self, clip: Pixels, lengths: NDArray[np.int64]) -> Logits:
        artifact, session = self._session("whole")
        feed = {"clip": clip, "lengths": lengths}
        (logits,) = session.run(["logits"], {tensor.name: feed[tensor.name] for tensor in artifact.inputs})
        return np.asarray(logits, np.float32)

    def start(self, batch: int) -> State:
        artifact = self._artifacts["step"]
        return zeros(artifact.states if artifact else (), batch)

    def step(self, chunk: Pixels, state: State) -> tuple[Logits, State]:
        artifact, session = self._session("step")
        names = [s.name for s in artifact.states]
        logits, *states = session.run(["logits", *(f"{name}_out" for name in names)], {"chunk": chunk, **state})
        return np.asarray(logits, np.float32), dict(zip(names, states, strict=True))

    def _session(self, role: str) -> tuple[Artifact, Any]:
        artifact = self._artifacts[role]
        if artifact is None:
            raise GestaError(f"{self._bundle.path}: has no {role} network for {NAME}.")
        if role not in self._sessions:
            self._sessions[role] = session(self._bundle, artifact, self._provider, self._threads)
        return artifact, self._sessions[role]


class PoseOnnxRuntime:
    """Implements base.PoseEngine."""

    name = NAME

    def __init__(self, session: Any) -> None:
        self._session = session

    def joints(self, hand: Hands) -> NDArray[np.float32]:
        (found,) = self._session.run(["joints"], {"hand": hand})
        return np.asarray(found, np.float32)


class SequenceOnnxRuntime:
    """Implements base.SequenceEngine."""

    name = NAME

    def __init__(self, backbone: Any, head: Any) -> None:
        self._backbone, self._head = backbone, head

    def features(self, frames: Pixels) -> NDArray[np.float32]:
        (found,) = self._backbone.run(["features"], {"frames": frames})
        return np.asarray(found, np.float32)

    def head(self, features: NDArray[np.float32], lengths: NDArray[np.int64]) -> Logits:
        (logits,) = self._head.run(["logits"], {"features": features, "lengths": lengths})
        return np.asarray(logits, np.float32)


def session(bundle: Bundle[Any], artifact: Artifact, provider: str, threads: int | None) -> Any:
    """An artifact loaded from checked bytes. Raises GestaError if it refers to outside data or is no valid network."""
    data = bundle.read(artifact)
    check_onnx(bundle, artifact, data)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        loaded = ort.InferenceSession(data, options, providers=[provider])
    except Exception as error:  # onnxruntime raises its own classes, which share no base but Exception
        reason = str(error).strip().splitlines()[-1]
        raise GestaError(
            f"{bundle.path}: {artifact.file} is no network that ONNX Runtime can read ({reason}). "
            "Get the bundle again, or export the model again."
        ) from error
    check_interface(bundle, artifact, _interface(loaded.get_inputs()), _interface(loaded.get_outputs()))
    return loaded


def _interface(ports: Any) -> dict[str, tuple[str, tuple[int, ...]]]:
    """ONNX Runtime's description of inputs or outputs; a dynamic axis has a name, or None, for its length."""
    return {
        port.name: (
            TYPES.get(port.type, port.type),
            tuple(axis if isinstance(axis, int) else -1 for axis in port.shape),
        )
        for port in ports
    }
