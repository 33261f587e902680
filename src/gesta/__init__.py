"""gesta: from labelled recordings of people to small, fast models that recognise gestures, signs and actions.

    import gesta
    recogniser = gesta.load("demo")
    print(recogniser.predict("video.mp4").label)
    for p in recogniser.stream(frames):
        print(p.time_s, p.label)

Nothing heavy is imported until it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gesta.schema import GestaError, Prediction
    from gesta.tasks.clips.predict import Recogniser, load

__all__ = ["GestaError", "Prediction", "Recogniser", "load"]

_PLACES = {
    "load": "gesta.tasks.clips.predict",
    "Recogniser": "gesta.tasks.clips.predict",
    "GestaError": "gesta.schema",
    "Prediction": "gesta.schema",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'gesta' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_PLACES[name]), name)
