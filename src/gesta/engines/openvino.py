"""OpenVINO: exported networks on the CPU or GPU, compiled on first use. Reads its own format and ONNX."""

from __future__ import annotations

from typing import Any

import numpy as np
import openvino as ov
import openvino.opset13 as opset
from numpy.typing import NDArray

from gesta.bundle.io import Bundle
from gesta.bundle.manifest import Artifact
from gesta.engines.base import Arrays, check_interface, refuse_device
from gesta.engines.catalog import READS
from gesta.engines.graphs import Graph, GraphFormat
from gesta.engines.onnx_file import check as check_onnx
from gesta.schema import GestaError

NAME = "openvino"
DEVICES = {"auto": "CPU", "cpu": "CPU", "gpu": "GPU"}
HINTS = {"fp32": "f32", "fp16": "f32", "int8": "f32", "bf16": "bf16"}
"""Artifact precision -> compute precision. Explicit, since OpenVINO would choose bf16 if the CPU supports it."""

RECURRENT_WEIGHTS = {"LSTMSequence": (4, 5), "GRUSequence": (3, 4)}
"""Operation -> the indices of its weights: those for the input and those for the hidden state."""


def _device(device: str) -> str:
    if device not in DEVICES:
        raise refuse_device(NAME, device, tuple(DEVICES))
    return DEVICES[device]


def options_for(precision: str, threads: int | None, device: str = "CPU") -> dict[str, Any]:
    """Compilation options. Threads are not pinned to cores, as several processes would all use the first ones."""
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": precision,
        **({"ENABLE_CPU_PINNING": False} if device == "CPU" else {}),
        **({} if threads is None else {"INFERENCE_NUM_THREADS": threads}),
    }


def _load(bundle: Bundle[Any], artifact: Artifact, device: str, threads: int | None) -> Graph:
    options = options_for(HINTS[artifact.precision], threads, device)
    names, batch = [tensor.name for tensor in artifact.outputs], batch_of(artifact)
    requests: dict[bool, Any] = {}

    def run(feed: Arrays) -> dict[str, NDArray[np.float32]]:
        one = batch is not None and feed[batch[0]].shape[batch[1]] == 1
        if one not in requests:
            requests[one] = compiled(bundle, artifact, device, options, one).create_infer_request()
        request = requests[one]
        request.infer(dict(feed), share_inputs=True)
        return {name: np.array(request.get_tensor(name).data, dtype=np.float32) for name in names}

    return run


def batch_of(artifact: Artifact) -> tuple[str, int] | None:
    """An input of a step network and its axis that is the batch; None if another size is free, too."""
    if artifact.role != "step" or any(tensor.shape.count(-1) > 1 for tensor in artifact.inputs):
        return None
    return next(((state.name, state.shape.index(-1)) for state in artifact.states if -1 in state.shape), None)


def compiled(bundle: Bundle[Any], artifact: Artifact, device: str, options: dict[str, Any], one: bool = False) -> Any:
    """An artifact compiled from verified bytes, so that it cannot refer to other files. `one`: for a batch of one,
    the only free size; with fixed sizes, a small network is up to twice as fast.

    Raises GestaError, naming the file, if it is not a valid network, and if the device is not available.
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
        if one:
            model.reshape({tensor.name: [1 if n == -1 else n for n in tensor.shape] for tensor in artifact.inputs})
        return core.compile_model(model, device, options)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise GestaError(
            f"{bundle.path}: {artifact.file} is not a network that OpenVINO can read ({reason}). "
            "Get the bundle again, or export the model again."
        ) from error


def _unpack_recurrent(model: ov.Model) -> None:
    """Turns recurrent weights into plain constants, as OpenVINO requires; an 8-bit network stores them with scales."""
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


FORMAT = GraphFormat(NAME, READS[NAME], _device, _load)
