"""The Python API: the calls that the commands make, without the printing. `import gesta` gives all of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gesta.engines.base import Placement
from gesta.tasks import catalog


def load(
    bundle: Path | str,
    engine: str | None = None,
    device: str = "auto",
    threads: int | None = None,
    precision: str | None = None,
    **options: Any,
) -> Any:
    """The model of a bundle, of any task: a folder, a zip, or "demo" for the one that comes with the package.

    `engine`: openvino, onnxruntime or torch; the best that the bundle is made for if left out. `threads` of the CPU.
    `options`: those of the task, such as backbone_weights. Raises GestaError for what is no bundle, is damaged or newer,
    and for an engine that is missing or unknown.

        model = gesta.load("demo")
        print(model.predict("wave.mp4").label)
    """
    task, opened = catalog.of_bundle(bundle)
    return task.load(opened, Placement(engine, device, threads, precision), **options)
