"""OpenVINO: exported networks on the CPU, compiled when first used. Reads its own format and ONNX."""

from __future__ import annotations

from typing import Any

import numpy as np
import openvino as ov
import openvino.opset13 as opset
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

NAME = "openvino"
DEVICES = {"auto": "CPU", "cpu": "CPU", "gpu": "GPU"}
HINTS = {"fp32": "f32", "fp16": "f32", "int8": "f32", "bf16": "bf16"}
"""Precision of the artifact -> of the computing. Stated, since OpenVINO would choose bf16 where the CPU has it."""


def open_bundle(bundle: Bundle, *, device: str, threads: int | None, precision: str | None) -> OpenVino:
    """The bundle's networks on `device`. Raises GestaError if it has none for OpenVINO, or for an unknown device."""
    if device not in DEVICES:
        raise refuse_device(NAME, device, tuple(DEVICES))
    whole, step = artifacts_for(bundle, NAME, precision, also=("onnxruntime",))
    return OpenVino(bundle, whole, step, DEVICES[device], threads)


def open_pose(bundle: Bundle[PoseManifest], *, device: str, threads: int | None, precision: str | None) -> PoseOpenVino:
    """The hand pose model's network on `device`. Raises GestaError as `open_bundle` does."""
    if device not in DEVICES:
        raise refuse_device(NAME, device, tuple(DEVICES))
    whole, _ = artifacts_for(bundle, NAME, precision, also=("onnxruntime",))
    assert whole is not None  # hand pose models have no streaming step
    return PoseOpenVino(_infer_request(bundle, whole, DEVICES[device], threads))


def open_sequence(
    bundle: Bundle[SequenceManifest],
    backbone: Bundle[SequenceManifest],
    *,
    device: str,
    threads: int | None,
    precision: str | None,
) -> SequenceOpenVino:
    """The head of `bundle` and the backbone of `backbone`. Raises GestaError as `open_bundle` does."""
    if device not in DEVICES:
        raise refuse_device(NAME, device, tuple(DEVICES))
    stages = []
    for holder, stage in ((backbone, "backbone"), (bundle, "head")):
        whole, _ = artifacts_for(holder, NAME, precision, also=("onnxruntime",), stage=stage)
        assert whole is not None  # chains have no streaming step
        stages.append(_infer_request(holder, whole, DEVICES[device], threads))
    return SequenceOpenVino(*stages)


RECURRENT_WEIGHTS = {"LSTMSequence": (4, 5), "GRUSequence": (3, 4)}
"""Operation -> its inputs that are weights: of what comes in, and of what it remembers."""


class OpenVino:
    """Implements base.Engine."""

    name = NAME

    def __init__(
        self, bundle: Bundle, whole: Artifact | None, step: Artifact | None, device: str, threads: int | None
    ) -> None:
        self.wholes, self.steps, self.windowed = whole is not None, step is not None, is_windowed(whole)
        self._bundle, self._artifacts = bundle, {"whole": whole, "step": step}
        self._device, self._threads = device, threads
        self._requests: dict[str, Any] = {}

    def whole(self, clip: Pixels, lengths: NDArray[np.int64]) -> Logits:
        artifact, request = self._request("whole")
        feed = {"clip": clip, "lengths": lengths}
        request.infer({tensor.name: feed[tensor.name] for tensor in artifact.inputs}, share_inputs=True)
        return _copied(request, "logits")

    def start(self, batch: int) -> State:
        artifact = self._artifacts["step"]
        return zeros(artifact.states if artifact else (), batch)

    def step(self, chunk: Pixels, state: State) -> tuple[Logits, State]:
        artifact, request = self._request("step")
        request.infer({"chunk": chunk, **state}, share_inputs=True)
        return _copied(request, "logits"), {s.name: _copied(request, f"{s.name}_out") for s in artifact.states}

    def _request(self, role: str) -> tuple[Artifact, Any]:
        artifact = self._artifacts[role]
        if artifact is None:
            raise GestaError(f"{self._bundle.path}: has no {role} network for {NAME}.")
        if role not in self._requests:
            self._requests[role] = _infer_request(self._bundle, artifact, self._device, self._threads)
        return artifact, self._requests[role]


class PoseOpenVino:
    """Implements base.PoseEngine."""

    name = NAME

    def __init__(self, request: Any) -> None:
        self._request = request

    def joints(self, hand: Hands) -> NDArray[np.float32]:
        self._request.infer({"hand": hand}, share_inputs=True)
        return _copied(self._request, "joints")


class SequenceOpenVino:
    """Implements base.SequenceEngine."""

    name = NAME

    def __init__(self, backbone: Any, head: Any) -> None:
        self._backbone, self._head = backbone, head

    def features(self, frames: Pixels) -> NDArray[np.float32]:
        self._backbone.infer({"frames": frames}, share_inputs=True)
        return _copied(self._backbone, "features")

    def head(self, features: NDArray[np.float32], lengths: NDArray[np.int64]) -> Logits:
        self._head.infer({"features": features, "lengths": lengths}, share_inputs=True)
        return _copied(self._head, "logits")


def _infer_request(bundle: Bundle[Any], artifact: Artifact, device: str, threads: int | None) -> Any:
    options: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": HINTS[artifact.precision],
    }
    if threads is not None:
        options["INFERENCE_NUM_THREADS"] = threads
    return compiled(bundle, artifact, device, options).create_infer_request()


def compiled(bundle: Bundle[Any], artifact: Artifact, device: str, options: dict[str, Any]) -> Any:
    """An artifact compiled from checked bytes, so that it can refer to no other file.

    Raises GestaError naming the file if it is no valid network, and if the device is not there.
    """
    data, weights = bundle.read(artifact), b"".join(bundle.read(artifact, name) for name in artifact.companions)
    if artifact.engine == "onnxruntime":
        check_onnx(bundle, artifact, data)
    core = ov.Core()
    if device not in core.available_devices:
        raise GestaError(f"OpenVINO finds no {device} here; it has {', '.join(core.available_devices)}.", usage=True)
    try:
        model = core.read_model(data, weights)
        check_interface(bundle, artifact, _interface(model.inputs), _interface(model.outputs))
        _unpack_recurrent(model)
        return core.compile_model(model, device, options)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise GestaError(
            f"{bundle.path}: {artifact.file} is no network that OpenVINO can read ({reason}). "
            "Get the bundle again, or export the model again."
        ) from error


def _unpack_recurrent(model: ov.Model) -> None:
    """Recurrent weights as plain constants, as OpenVINO wants them; an 8-bit network stores them with scales."""
    for node in model.get_ops():
        for place in RECURRENT_WEIGHTS.get(node.get_type_name(), ()):
            scaled = node.input_value(place).get_node()
            if scaled.get_type_name() != "Multiply":
                continue
            small, scale = (value.get_node() for value in scaled.input_values())
            small = small.input_value(0).get_node() if small.get_type_name() == "Convert" else small
            if small.get_type_name() == scale.get_type_name() == "Constant":
                values = small.data.astype(np.float32) * scale.data
                node.input(place).replace_source_output(opset.constant(values).output(0))


def _interface(ports: Any) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {
        port.get_any_name() if port.get_names() else "": (
            np.dtype(port.get_element_type().to_dtype()).name,
            tuple(axis.get_length() if axis.is_static else -1 for axis in port.get_partial_shape()),
        )
        for port in ports
    }


def _copied(request: Any, name: str) -> NDArray[np.float32]:
    return np.array(request.get_tensor(name).data, dtype=np.float32)
