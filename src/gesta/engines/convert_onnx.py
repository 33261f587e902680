"""Export of a bundle's networks to ONNX, for ONNX Runtime; OpenVINO reads it too."""

from __future__ import annotations

import inspect
import logging
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gesta.engines.part import Part
from gesta.engines.quantize import Feed, quantized

OPSET = 20
ENGINE = "onnxruntime"
SMALL = 64
"""Constants with fewer elements stay in single precision: fp16 would save nothing."""


def convert(part: Part, stem: str, precision: str = "fp32", feeds: Sequence[Feed] = ()) -> dict[str, bytes]:
    """One part as `stem.onnx` with embedded weights. "fp16": half-precision weights. "int8": calibrated on `feeds`."""
    model = _model(part)
    if precision == "fp16":
        _halve(model)
    elif precision == "int8":
        model = quantized(_folded(model), feeds, ENGINE)
    return {f"{stem}.onnx": model.SerializeToString()}


def _model(part: Part) -> Any:
    """The part as an ONNX model, without the metadata about source files that the exporter adds."""
    dynamic: tuple[Any, ...] = tuple(
        {axis: torch.export.Dim.AUTO for axis, n in enumerate(tensor.shape) if n == -1} for tensor in part.inputs
    )
    kinds = [parameter.kind for parameter in inspect.signature(part.module.forward).parameters.values()]
    if inspect.Parameter.VAR_POSITIONAL in kinds:  # forward(self, clip, *states): the states are one argument
        alone = kinds.index(inspect.Parameter.VAR_POSITIONAL)
        dynamic = (*dynamic[:alone], dynamic[alone:])
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # hides a note about torchvision, not needed here
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program: Any = torch.onnx.export(
            part.module,
            part.example,
            input_names=[tensor.name for tensor in part.inputs],
            output_names=[tensor.name for tensor in part.outputs],
            dynamic_shapes=dynamic,
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    model = program.model_proto
    for node in model.graph.node:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    _free_length(model)
    return model


def _free_length(model: Any) -> None:
    """Makes the sequence length of recurrent layers dynamic: the exporter fixes it in the Reshape after an LSTM.

    The fixed length is replaced by 0, which copies the size from the input.
    """
    from onnx import numpy_helper

    made_by = {name: node for node in model.graph.node for name in node.output}
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        turned = made_by.get(node.input[0]) if node.op_type == "Reshape" else None
        layer = made_by.get(turned.input[0]) if turned is not None and turned.op_type == "Transpose" else None
        shape = constants.get(node.input[1]) if layer is not None and layer.op_type in ("LSTM", "GRU") else None
        if shape is not None:
            _, *others = numpy_helper.to_array(shape).tolist()
            free = numpy_helper.from_array(np.array([0, *others], np.int64), f"{node.output[0]}_shape")
            model.graph.initializer.append(free)
            node.input[1] = free.name
            node.ClearField("attribute")  # only allowzero, which would make 0 a literal size


def _halve(model: Any) -> None:
    """Stores the weights as float16; each is cast back when the model is loaded, so computation stays in fp32."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or values.size < SMALL:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_fp16"))
        casts.append(helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    kept = [info for info in model.graph.value_info if info.name not in {cast.output[0] for cast in casts}]
    del model.graph.value_info[:]
    model.graph.value_info.extend(kept)


def _folded(model: Any) -> Any:
    """The model with constants folded by ONNX Runtime: 8-bit layers need their weights as constants."""
    import onnx
    import onnxruntime

    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "folded.onnx"
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(file)
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        folded = onnx.load(file)
    used = {node.domain for node in folded.graph.node} | {""}
    kept = [entry for entry in folded.opset_import if entry.domain in used]
    del folded.opset_import[:]
    folded.opset_import.extend(kept)
    return folded
