"""ONNX Runtime: exported networks on the CPU, or on CUDA if its build supports it."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from gesta.bundle.io import Bundle
from gesta.bundle.manifest import Artifact
from gesta.engines.base import Arrays, check_interface, refuse_device
from gesta.engines.catalog import READS
from gesta.engines.graphs import Graph, GraphFormat
from gesta.engines.onnx_file import check as check_onnx
from gesta.schema import GestaError

NAME = "onnxruntime"
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
TYPES = {"tensor(uint8)": "uint8", "tensor(int64)": "int64", "tensor(float)": "float32"}


def _provider(device: str) -> str:
    """Raises GestaError (usage) if the device is not available."""
    there = tuple(name for name, provider in PROVIDERS.items() if provider in ort.get_available_providers())
    if device not in (*there, "auto"):
        raise refuse_device(NAME, device, ("auto", *there))
    return PROVIDERS["cuda" if device in ("auto", "cuda") and "cuda" in there else "cpu"]


def _load(bundle: Bundle[Any], artifact: Artifact, provider: str, threads: int | None) -> Graph:
    loaded = session(bundle, artifact, provider, threads)
    names = [port.name for port in loaded.get_outputs()]

    def run(feed: Arrays) -> dict[str, NDArray[np.float32]]:
        outputs = loaded.run(names, dict(feed))
        return {name: np.asarray(output, np.float32) for name, output in zip(names, outputs, strict=True)}

    return run


def session(bundle: Bundle[Any], artifact: Artifact, provider: str, threads: int | None) -> Any:
    """A session for an artifact, from verified bytes. Raises GestaError if it uses external data or is not valid."""
    data = bundle.read(artifact)
    check_onnx(bundle, artifact, data)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        loaded = ort.InferenceSession(data, options, providers=[provider])
    except Exception as error:  # the only common base of onnxruntime's own exceptions is Exception
        reason = str(error).strip().splitlines()[-1]
        raise GestaError(
            f"{bundle.path}: {artifact.file} is not a network that ONNX Runtime can read ({reason}). "
            "Get the bundle again, or export the model again."
        ) from error
    check_interface(bundle, artifact, _interface(loaded.get_inputs()), _interface(loaded.get_outputs()))
    return loaded


def _interface(ports: Any) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Types and shapes of ONNX Runtime's inputs or outputs; a dynamic axis (a name or None) becomes -1."""
    return {
        port.name: (
            TYPES.get(port.type, port.type),
            tuple(axis if isinstance(axis, int) else -1 for axis in port.shape),
        )
        for port in ports
    }


FORMAT = GraphFormat(NAME, READS[NAME], _provider, _load)
