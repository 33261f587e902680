"""gesta: from labeled recordings of people to small, fast models that recognize gestures, signs and actions.

    import gesta

    run = gesta.train("my_gestures", out="runs/mine")
    model = gesta.load(run.bundle)
    print(model.predict("new_video.mp4").top(3))
    for p in model.stream("new_video.mp4"):
        print(p.time_s, p.label)

Heavy dependencies are imported only when used.
"""

from __future__ import annotations

TYPE_CHECKING = False  # type checkers treat it as true; importing typing would double the time of `import gesta`
if TYPE_CHECKING:
    from typing import Any

    from gesta.api import benchmark, compress, crossval, enroll, evaluate, export, inspect, load, train
    from gesta.schema import Frame, GestaError, Prediction, Sample

__all__ = [
    "Frame",
    "GestaError",
    "Prediction",
    "Sample",
    "__version__",
    "benchmark",
    "compress",
    "crossval",
    "enroll",
    "evaluate",
    "export",
    "inspect",
    "load",
    "train",
]

_PLACES = {
    **dict.fromkeys(
        ("benchmark", "compress", "crossval", "enroll", "evaluate", "export", "inspect", "load", "train"), "gesta.api"
    ),
    **dict.fromkeys(("Frame", "GestaError", "Prediction", "Sample"), "gesta.schema"),
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("gesta-vision")
    if name not in _PLACES:
        raise AttributeError(f"module 'gesta' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
