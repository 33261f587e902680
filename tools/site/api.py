"""The page of the Python API: which objects it names; mkdocstrings reads them from the source."""

from __future__ import annotations

import gesta

CALLS = ("train", "load", "evaluate", "inspect", "crossval", "enroll", "export", "compress", "benchmark")
VALUES = ("Prediction", "Sample", "Frame", "GestaError")
GROUPS = {
    "Calls": ("What the commands do, as functions of `gesta`.", tuple(f"gesta.{name}" for name in CALLS)),
    "Results": (
        "What the calls return.",
        ("gesta.results.Result", "gesta.experiments.train.Trained", "gesta.api.Measured", "gesta.api.Made"),
    ),
    "Models at work": (
        "What `gesta.load` returns depends on the task; these are its methods.",
        (
            "gesta.tasks.clips.predict.Recognizer",
            "gesta.tasks.clips.stream.Stream",
            "gesta.tasks.spotting.predict.Spotter",
            "gesta.tasks.hands.predict.PoseRecognizer",
        ),
    ),
    "Values": ("What goes in and out.", (*(f"gesta.{name}" for name in VALUES), "gesta.schema.HandEstimate")),
}


def page() -> str:
    """The page as mkdocstrings takes it. Raises ValueError where the package has a public name that is not on it."""
    missing = set(gesta.__all__) - {*CALLS, *VALUES, "__version__"}
    if missing:
        raise ValueError(f"not on the page of the API: {', '.join(sorted(missing))} (tools/site/api.py)")
    lines = ["# Python API", "", "`import gesta` is quick; what a call needs is imported when it is called.", ""]
    for title, (about, names) in GROUPS.items():
        lines += [f"## {title}", "", about, ""]
        for name in names:
            lines += [f"::: {name}", ""]
    return "\n".join(lines)
