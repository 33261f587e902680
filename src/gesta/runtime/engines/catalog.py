"""The engines by name, and which one runs a bundle."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
from pathlib import Path
from typing import Any, cast

from gesta.bundle.io import Bundle
from gesta.bundle.manifest import PoseManifest, SequenceManifest
from gesta.runtime.engines.base import Engine, PoseEngine, SequenceEngine
from gesta.schema import GestaError

ENGINES = {
    "openvino": "gesta.runtime.engines.openvino",
    "onnxruntime": "gesta.runtime.engines.onnx",
    "torch": "gesta.runtime.engines.torch",
}
"""Engine name (also the module it needs) -> its file, in the order in which they are preferred."""

EXTRAS = {"openvino": None, "onnxruntime": "export", "torch": "train"}
"""The extra of the package that brings an engine; None: the base install has it."""

READS = {
    "openvino": ("openvino", "onnxruntime"),
    "onnxruntime": ("onnxruntime",),
    "torch": ("torch",),
}
"""Engine name -> the artifacts it can run, by the engine they are made for: the base install's also reads ONNX."""


def choose(bundle: Bundle[Any], engine: str | None, device: str = "auto") -> str:
    """The engine's name: the one asked for, or the first of ENGINES that the bundle is made for and that is installed;
    else one that can read what the bundle has. For an NVIDIA GPU ("cuda") PyTorch.

    Raises GestaError for an unknown name (usage), and where none fits, naming what to install.
    """
    if engine is not None:
        if engine not in ENGINES:
            near = difflib.get_close_matches(engine, ENGINES, n=1, cutoff=0.4)
            meant = f" Did you mean {near[0]}?" if near else ""
            raise GestaError(f"unknown engine {engine!r}; there are {', '.join(ENGINES)}.{meant}", usage=True)
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


def open_engine(bundle: Bundle, name: str, device: str, threads: int | None, precision: str | None = None) -> Engine:
    """The engine of that name with the bundle's network in it.

    Raises GestaError if it is not installed, the bundle has nothing for it, or a file is damaged.
    """
    opened = _module(name).open_bundle(bundle, device=device, threads=threads, precision=precision)
    return cast(Engine, opened)


def open_pose_engine(
    bundle: Bundle[PoseManifest], name: str, device: str, threads: int | None, precision: str | None = None
) -> PoseEngine:
    """The same for a hand pose model."""
    opened = _module(name).open_pose(bundle, device=device, threads=threads, precision=precision)
    return cast(PoseEngine, opened)


def open_sequence_engine(
    bundle: Bundle[SequenceManifest],
    backbone: Bundle[SequenceManifest] | Path,
    name: str,
    device: str,
    threads: int | None,
    precision: str | None = None,
) -> SequenceEngine:
    """The same for a chain; `backbone`: the bundle that holds it, or (torch only) a file of weights."""
    module = _module(name)
    opened = module.open_sequence(bundle, backbone, device=device, threads=threads, precision=precision)
    return cast(SequenceEngine, opened)


def _module(name: str) -> Any:
    if importlib.util.find_spec(name) is None:
        raise GestaError(f"The engine {name} is not installed. {_install(name)}")
    return importlib.import_module(ENGINES[name])


def _install(name: str) -> str:
    extra = EXTRAS[name]
    return f"Install it: pip install 'gesta[{extra}]'" if extra else f"Install it: pip install {name}"
