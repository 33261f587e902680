"""Export of a bundle's networks to OpenVINO's format, which the base install runs.

The frontend is called directly, since `openvino.convert_model` sends telemetry unless told not to.
"""

from __future__ import annotations

import copy
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import openvino.opset13 as opset
import torch
from openvino.frontend import FrontEndManager
from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder
from openvino.passes import ConstantFolding, Manager

from gesta.engines.part import Part
from gesta.engines.quantize import Feed, quantized
from gesta.models.layers import StreamEncoder

ENGINE = "openvino"
SMALL_BYTES = 4096
"""Constants smaller than this are unchanged: scales and biases."""


def convert(part: Part, stem: str, precision: str = "fp32", feeds: Sequence[Feed] = ()) -> dict[str, bytes]:
    """One part as `stem.xml` and `stem.bin`. "fp16": half-precision weights. "int8": calibrated on `feeds`."""
    if precision == "int8":
        model = _narrowed(quantized(_folded(_model(_unfolded(part))), feeds, ENGINE))
    else:
        model = _model(part)
    return _saved(model, stem, halved=precision != "fp32")


def _saved(model: Any, stem: str, *, halved: bool) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as scratch:
        xml = Path(scratch) / f"{stem}.xml"
        ov.save_model(model, xml, compress_to_fp16=halved)
        xml.write_bytes(b"\n".join(line.strip() for line in xml.read_bytes().splitlines()))  # a third is indentation
        return {path.name: path.read_bytes() for path in (xml, xml.with_suffix(".bin"))}


def convert_stored(part: Part, stem: str) -> dict[str, bytes]:
    """One part with its matrices stored in 8 bits, one scale per row; it computes in fp32, so needs no calibration.

    For recurrent classifiers. Vectors (biases, z-normalization statistics) are unchanged.
    """
    return _saved(_narrowed(_folded(_model(part)), vectors=False), stem, halved=False)


def _unfolded(part: Part) -> Part:
    """The part with true 3D convolutions: unrolling them in time takes a third more weights for the same values."""
    module = copy.deepcopy(part.module)
    for inner in module.modules():
        if isinstance(inner, StreamEncoder):
            inner.folded = False
    return replace(part, module=module)


def _folded(model: Any) -> Any:
    """The model with constants folded: 8-bit layers need their weights as constants."""
    manager = Manager()
    manager.register_pass(ConstantFolding())
    manager.run_passes(model)
    return model


def _narrowed(model: Any, *, vectors: bool = True) -> Any:
    """Large 32-bit constants (the LSTM's) stored in 8 bits with one scale per row; they are unpacked on loading.

    `vectors`: also those with a single axis. Rows of one element are skipped, as nothing would be saved.
    """
    for constant in [node for node in model.get_ops() if node.get_type_name() == "Constant"]:
        output = constant.output(0)
        shape = list(output.get_shape())
        rows = vectors or sum(n > 1 for n in shape) > 1
        if rows and shape[-1:] != [1] and output.element_type == ov.Type.f32 and constant.get_byte_size() > SMALL_BYTES:
            values = constant.data
            scale = np.maximum(np.abs(values).max(axis=-1, keepdims=True), 1e-12) / 127
            small = opset.constant(np.round(values / scale).astype(np.int8))
            wide = opset.multiply(opset.convert(small, "f32"), opset.constant(scale.astype(np.float32))).output(0)
            for reader in output.get_target_inputs():
                reader.replace_source_output(wide)
    return model


def _model(part: Part) -> Any:
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # from tracing: the parity check verifies what it makes constant
        traced = torch.jit.trace(part.module, part.example, check_trace=False)
    frontend = FrontEndManager().load_by_framework("pytorch")
    decoder = TorchScriptPythonDecoder(traced, example_input=part.example)  # must outlive the conversion
    loaded = frontend.load(decoder)
    model = frontend.convert(loaded)
    for port, tensor in zip((*model.inputs, *model.outputs), (*part.inputs, *part.outputs), strict=True):
        port.get_tensor().set_names({tensor.name})
    model.reshape({t.name: ov.PartialShape(list(t.shape)) for t in part.inputs})
    return model
