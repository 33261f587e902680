"""8-bit networks: NNCF measures on real clips how large the numbers between the layers get, and rounds accordingly.

Convolutions and linear layers become 8-bit. The LSTM, the vote over time and what is added or multiplied one by one
stay as they are: they hold a small share of the work, and their errors would add up from chunk to chunk.
"""

from __future__ import annotations

import contextlib
import io as text_io
import logging
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from gesta.bundle.manifest import Manifest
from gesta.clips.sampling import central_window, to_network
from gesta.runtime.engines.torch import Torch
from gesta.runtime.recogniser import LONG_FRAMES
from gesta.runtime.streaming import windows
from gesta.schema import Clip, GestaError

Feed = dict[str, np.ndarray]
LIMIT = 300
"""Inputs that are looked at, at most, for each network."""
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
"""Operations that stay in floating point, as each format names them."""


def feeds(torch: Torch, manifest: Manifest, clips: Sequence[Clip]) -> dict[str, list[Feed]]:
    """Role -> inputs by name, as the network meets them: of a clip the whole, or its chunks with the state they find.

    Raises GestaError without clips.
    """
    if not clips:
        raise GestaError(
            "int8 needs real training clips to calibrate on and got none. Give the data the model was trained on: "
            "--data DATA.",
            usage=True,
        )
    transform = manifest.transform
    if torch.windowed:
        spans = (central_window(len(clip.pixels), transform.window) for clip in clips)
        central = [clip.pixels[start:end] for clip, (start, end) in zip(clips, spans, strict=True)]
        return {"whole": _spread([{"clip": windows([pixels], transform.window)[0]} for pixels in central])}
    found: dict[str, list[Feed]] = {"whole": [], "step": []}
    for clip in clips:
        batch, lengths = to_network([clip.pixels[:LONG_FRAMES]], transform.chunk)
        found["whole"].append({"clip": batch, "lengths": lengths})
        state = torch.start(1)
        for start in range(0, batch.shape[3], transform.chunk):
            chunk = np.ascontiguousarray(batch[:, :, :, start : start + transform.chunk])
            found["step"].append({"chunk": chunk, **state})
            _, state = torch.step(chunk, state)
    return {role: _spread(inputs) for role, inputs in found.items()}


def quantised(model: Any, inputs: Sequence[Feed], engine: str) -> Any:
    """A model of OpenVINO or ONNX with 8-bit convolutions and linear layers, calibrated on the inputs."""
    os.environ.setdefault("NNCF_CI", "1")  # else NNCF reports each use to its maker over the net
    with contextlib.redirect_stdout(text_io.StringIO()), contextlib.redirect_stderr(text_io.StringIO()):
        try:
            import nncf
        except ImportError as error:
            raise GestaError("int8 needs nncf, which is not installed: pip install 'gesta[export]'") from error
        logging.getLogger("nncf").setLevel(logging.ERROR)
        return nncf.quantize(
            model,
            nncf.Dataset(list(inputs)),
            subset_size=len(inputs),
            ignored_scope=nncf.IgnoredScope(types=list(UNTOUCHED[engine]), validate=False),
        )


def _spread(inputs: list[Feed]) -> list[Feed]:
    """At most LIMIT of them, evenly spread."""
    count = min(LIMIT, len(inputs))
    return [inputs[i * len(inputs) // count] for i in range(count)]
