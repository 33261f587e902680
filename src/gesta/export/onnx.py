"""A bundle's network in ONNX, for ONNX Runtime."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from gesta.bundle.manifest import Parity
from gesta.export.add import add_parts
from gesta.export.torch_model import Part
from gesta.schema import Clip, GestaError

OPSET = 20


def add(bundle_dir: Path | str, clips: Sequence[Clip], precision: str = "fp32") -> Parity:
    """Exports the whole network and (networks of chunks) the streaming step, compares them, adds them to the bundle.

    Raises GestaError, and leaves the bundle as it was, if a network does not agree with PyTorch on all clips.
    """
    if precision != "fp32":
        raise GestaError(f"ONNX export knows fp32, not precision {precision!r}.", usage=True)
    return add_parts(bundle_dir, clips, "onnxruntime", precision, convert)


def convert(part: Part, stem: str) -> dict[str, bytes]:
    """One part as `stem.onnx`, weights inside, without the exporter's notes about our source files."""
    dynamic: tuple[Any, ...] = tuple(
        {axis: torch.export.Dim.AUTO for axis, n in enumerate(tensor.shape) if n == -1} for tensor in part.inputs
    )
    if part.role == "step":
        dynamic = (dynamic[0], dynamic[1:])  # as in its signature: the states are one argument, *states
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it tells of torchvision, which is not needed
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
    return {f"{stem}.onnx": model.SerializeToString()}
