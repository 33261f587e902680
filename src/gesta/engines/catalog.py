"""The registry of engines, and the choice of an engine for a bundle."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from gesta.bundle.io import Bundle
from gesta.engines.base import Engine, Placement
from gesta.engines.part import Part
from gesta.schema import GestaError
from gesta.words import did_you_mean, install

ENGINES = {
    "openvino": "gesta.engines.openvino",
    "onnxruntime": "gesta.engines.onnx",
    "torch": "gesta.engines.torch",
}
"""Engine name (also the package it requires) -> its module, in order of preference."""

EXTRAS = {"openvino": None, "onnxruntime": "export", "torch": "train"}
"""The package extra that installs an engine; None: it is part of the base install."""

READS = {
    "openvino": ("openvino", "onnxruntime"),
    "onnxruntime": ("onnxruntime",),
    "torch": ("torch",),
}
"""Engine name -> the engines whose artifacts it can run: that of the base install also reads ONNX."""


def choose(bundle: Bundle[Any], engine: str | None, device: str = "auto") -> str:
    """The name of the engine to use: the requested one, or the first installed one of ENGINES that the bundle was
    exported for, else one that can read the bundle's artifacts. PyTorch for an NVIDIA GPU ("cuda").

    Raises GestaError for an unknown name (usage), and if no engine fits, stating what to install.
    """
    if engine is not None:
        if engine not in ENGINES:
            meant = did_you_mean(engine, ENGINES)
            raise GestaError(f"unknown engine {engine!r}; choose from {', '.join(ENGINES)}.{meant}", usage=True)
        return engine
    if device.startswith("cuda"):
        return "torch"
    there: set[str] = {artifact.engine for artifact in bundle.manifest.artifacts}
    made_for = [name for name in ENGINES if name in there]
    made_for += [name for name in ENGINES if name not in there and there.intersection(READS[name])]
    installed = [name for name in made_for if importlib.util.find_spec(name) is not None]
    if not made_for:
        raise GestaError(f"{bundle.path}: lists no weights and no network, so nothing can run it. Train it again.")
    if not installed:
        them = " or ".join(made_for)
        raise GestaError(f"{bundle.path}: runs with {them}, which is not installed. {_install(made_for[0])}")
    return installed[0]


def open_engine(
    bundle: Bundle[Any],
    at: Placement,
    parts: Callable[[], Sequence[Part]],
    stages: Sequence[str] = ("network",),
    others: Mapping[str, Bundle[Any]] | None = None,
) -> Engine:
    """An engine with the bundle's networks loaded: for PyTorch the `parts`, else the exported networks of `stages`.

    `others`: stages whose networks are in another bundle. Raises GestaError if the engine is not installed, the bundle
    has no artifact for it, or a file is damaged.
    """
    name = choose(bundle, at.engine, at.device)
    module = _module(name)
    if name == "torch":
        return cast(Engine, module.open_parts(parts(), at))
    return cast(Engine, module.FORMAT.open_bundle(bundle, at, stages, others or {}))


def _module(name: str) -> Any:
    if importlib.util.find_spec(name) is None:
        raise GestaError(f"The engine {name} is not installed. {_install(name)}")
    return importlib.import_module(ENGINES[name])


def _install(name: str) -> str:
    extra = EXTRAS[name]
    return f"Install it: {install(extra)}" if extra else f"Install it: pip install {name}"
