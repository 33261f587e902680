"""The networks on the CPU through OpenVINO, each with its own timing."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import preprocess

from gesta.schema import GestaError

Outputs = tuple[NDArray[np.float32], ...]


class Network:
    """One TFLite network: uint8 RGB [S, S, 3] in, float32 arrays out. `seconds` and `calls` accumulate.

    `low`, `high`: values that 0 and 255 are mapped to. `keep`: indices of the outputs to compute. Raises GestaError
    naming the file if OpenVINO cannot read it or the shapes are not as expected.
    """

    def __init__(
        self,
        file: Path,
        size: int,
        outputs: Sequence[tuple[int, ...]],
        *,
        keep: Sequence[int] | None = None,
        low: float = 0.0,
        high: float = 1.0,
        threads: int | None = None,
    ) -> None:
        self.name, self.size = file.stem, size
        self.seconds, self.calls = 0.0, 0
        chosen = list(range(len(outputs)) if keep is None else keep)
        try:
            model = _checked(ov.Core().read_model(file), file, size, outputs)
            model = ov.Model([model.outputs[i] for i in chosen], model.get_parameters(), self.name)
            options: dict[str, object] = {
                "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_PRECISION_HINT": "f32",  # never bf16
                "ENABLE_CPU_PINNING": False,  # several processes would all take the first core
            }
            if threads is not None:
                options["INFERENCE_NUM_THREADS"] = threads
            self._request = ov.Core().compile_model(_scaled(model, low, high), "CPU", options).create_infer_request()
            self._input = self._request.get_input_tensor().data  # 1 S S 3
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise GestaError(
                f"{file}: is not a network that OpenVINO can read ({reason}). Get it again: gesta fetch trackers."
            ) from error

    def __call__(self, image: NDArray[np.uint8]) -> Outputs:
        """The outputs for one image; the next call overwrites them."""
        start = time.perf_counter()
        self._input[0] = image
        self._request.infer(share_outputs=True)  # in this thread, without copies
        out = tuple(tensor.data for tensor in self._request.output_tensors)
        self.seconds += time.perf_counter() - start
        self.calls += 1
        return out


def _checked(model: ov.Model, file: Path, size: int, outputs: Sequence[tuple[int, ...]]) -> ov.Model:
    shapes = [tuple(port.shape) for port in [*model.inputs, *model.outputs]]
    wanted = [(1, size, size, 3), *outputs]
    if shapes != wanted:
        raise GestaError(f"{file}: has the shapes {shapes}, expected {wanted}. Get it again: gesta fetch trackers.")
    return model


def _scaled(model: ov.Model, low: float, high: float) -> ov.Model:
    """The network with uint8 input: conversion and scaling become its first step."""
    steps = preprocess.PrePostProcessor(model)
    steps.input().tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    scale = 255 / (high - low)
    chain = steps.input().preprocess().convert_element_type(ov.Type.f32)
    if low:
        chain.mean(-low * scale)
    chain.scale(scale)
    return steps.build()
