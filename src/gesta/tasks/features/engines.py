"""Engines that compute features: PyTorch, or OpenVINO on a CPU. Each is a function of uint8 frames."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gesta.schema import GestaError
from gesta.tasks.features.backbones import Extractor

Engine = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""uint8 [b, H, W, 3] or [b, w, H, W, 3] -> float32 [b, D] or [b, C, h, w]."""


def torch_engine(ready: Extractor, device: str, threads: int | None) -> Engine:
    """Return a PyTorch engine on "cpu" or "cuda"."""
    if threads is not None and device == "cpu":
        torch.set_num_threads(threads)
    module = ready.module.to(device)

    def run(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return np.asarray(module(torch.from_numpy(frames).to(device)).float().cpu().numpy())

    return run


def openvino_engine(ready: Extractor, device: str, threads: int | None) -> Engine:
    """Return an OpenVINO engine on the CPU, in fp32, for any batch size."""
    import openvino as ov

    from gesta.engines.openvino import options_for

    if device != "cpu":
        raise GestaError(f"--engine openvino computes on the CPU, not on {device}. Use --device cpu.", usage=True)
    request = ov.Core().compile_model(_converted(ready), "CPU", options_for("f32", threads)).create_infer_request()

    def run(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.array(next(iter(request.infer([frames]).values())), np.float32)

    return run


def _converted(ready: Extractor) -> Any:
    """Return the network as an OpenVINO model. Calls the frontend directly: `convert_model` reports each use."""
    import openvino as ov
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    frame = (ready.size, ready.size, 3)
    shape = frame if ready.window == 1 else (ready.window, *frame)
    example = (torch.zeros(2, *shape, dtype=torch.uint8),)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing warns about constants; they are sizes, which are fixed here
        traced = torch.jit.trace(ready.module, example, check_trace=False)
    frontend = FrontEndManager().load_by_framework("pytorch")
    decoder = TorchScriptPythonDecoder(traced, example_input=example)  # must outlive the conversion
    model = frontend.convert(frontend.load(decoder))
    model.reshape(ov.PartialShape([-1, *shape]))
    return model


ENGINES: dict[str, Callable[[Extractor, str, int | None], Engine]] = {
    "torch": torch_engine,
    "openvino": openvino_engine,
}


def engine_for(name: str | None, ready: Extractor, device: str, threads: int | None = None) -> tuple[str, Engine]:
    """Return (name, engine). None: OpenVINO on a CPU, else PyTorch. Raises GestaError (usage) for unknown names."""
    name = name or ("openvino" if device == "cpu" else "torch")
    if name not in ENGINES:
        raise GestaError(f"unknown engine {name!r}; for features, choose from {', '.join(ENGINES)}.", usage=True)
    return name, ENGINES[name](ready, device, threads)
