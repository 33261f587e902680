"""8-bit quantization: NNCF measures the range of the activations on real clips, and quantizes accordingly.

Convolutions and linear layers become 8-bit. The LSTM, the vote over time and elementwise operations stay in floating
point: they are a small share of the computation, and their errors would accumulate from chunk to chunk.
"""

from __future__ import annotations

import contextlib
import io as text_io
import logging
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from gesta.schema import GestaError, evenly
from gesta.words import install

Feed = dict[str, np.ndarray]
LIMIT = 300
"""The maximum number of calibration inputs per network."""
UNTOUCHED = {
    "openvino": (
        *("LSTMSequence", "SoftMax", "Log", "Add", "Subtract", "Multiply", "Divide"),
        *("ReduceSum", "Round", "CumSum", "Power", "Select", "GreaterEqual", "Maximum", "Clamp"),
    ),
    "onnxruntime": (
        *("LSTM", "Softmax", "Log", "Add", "Sub", "Mul", "Div"),
        *("ReduceSum", "Round", "CumSum", "Pow", "Where", "GreaterOrEqual", "Max", "Clip"),
    ),
}
"""Operations that stay in floating point, by their names in each format."""


def quantized(model: Any, inputs: Sequence[Feed], engine: str) -> Any:
    """An OpenVINO or ONNX model with 8-bit convolutions and linear layers, calibrated on the inputs."""
    os.environ.setdefault("NNCF_CI", "1")  # disables the telemetry of NNCF
    with contextlib.redirect_stdout(text_io.StringIO()), contextlib.redirect_stderr(text_io.StringIO()):
        try:
            import nncf
        except ImportError as error:
            raise GestaError(f"int8 needs nncf, which is not installed: {install('export')}") from error
        logging.getLogger("nncf").setLevel(logging.ERROR)
        return nncf.quantize(
            model,
            nncf.Dataset(list(inputs)),
            subset_size=len(inputs),
            ignored_scope=nncf.IgnoredScope(types=list(UNTOUCHED[engine]), validate=False),
        )


def spread(inputs: list[Feed]) -> list[Feed]:
    """At most LIMIT of the inputs, evenly spaced."""
    return evenly(inputs, LIMIT)
