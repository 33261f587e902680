"""The page of the Python API: a list of objects, which mkdocstrings reads from the source."""

from __future__ import annotations

import gesta

CALLS = ("train", "load", "evaluate", "inspect", "crossval", "enroll", "export", "compress", "benchmark")
VALUES = ("Prediction", "Sample", "Frame", "GestaError")
GROUPS = {
    "Functions": ("The commands as functions.", tuple(f"gesta.{name}" for name in CALLS)),
    "Results": (
        "The return values of the functions.",
        ("gesta.results.Result", "gesta.experiments.train.Trained", "gesta.api.Measured", "gesta.api.Made"),
    ),
    "Models": (
        "What `gesta.load` returns: a Recognizer for clips, a Spotter for skeletons, a PoseRecognizer for hands.",
        (
            "gesta.tasks.clips.predict.Recognizer",
            "gesta.tasks.clips.stream.Stream",
            "gesta.tasks.clips.follow.EventStream",
            "gesta.tasks.spotting.predict.Spotter",
            "gesta.tasks.spotting.predict.SpottingStream",
            "gesta.tasks.hands.predict.PoseRecognizer",
        ),
    ),
    "Values": (
        "Inputs and outputs.",
        (*(f"gesta.{name}" for name in VALUES), "gesta.schema.HandEstimate", "gesta.decoder.GestureEvent"),
    ),
}


def page() -> str:
    """The page as input for mkdocstrings. Raises ValueError if it lacks a public name of the package."""
    missing = set(gesta.__all__) - {*CALLS, *VALUES, "__version__"}
    if missing:
        raise ValueError(f"not on the page of the API: {', '.join(sorted(missing))} (tools/site/api.py)")
    lines = [
        "# Python API",
        "",
        "A test runs every example on this page. `import gesta` is fast: functions import what they need when called.",
        "",
    ]
    for title, (about, names) in GROUPS.items():
        lines += [f"## {title}", "", about, ""]
        for name in names:
            lines += [f"::: {name}", ""]
    return "\n".join(lines)
