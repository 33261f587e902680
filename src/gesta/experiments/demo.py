"""The whole pipeline in minutes: a first look, then generate, inspect, train, evaluate on unseen people, stream.

Each step writes `out/steps/<name>.json`; steps whose file exists are not repeated, so an interrupted demo resumes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gesta import metrics
from gesta.engines.base import Placement
from gesta.experiments.catalog import DATA_SEED
from gesta.experiments.parallel import Progress, key_of
from gesta.files import read_json, write_json
from gesta.recipes import Recipe
from gesta.schema import GestaError, Prediction, Sample
from gesta.tasks import catalog
from gesta.tasks.base import Parts
from gesta.training import run as training

PEOPLE = 24
RECORDINGS = 1
LAYOUT = "chalearn2014"
PARITY_CLIPS = 16
LESS_FPS = 10
"""Frames per second to generate if the recipe needs no more: half the time for the same examples."""


@dataclass(frozen=True)
class Run:
    """State shared by all steps. `told`: called with messages on steps and results; `progress`: progress in a step."""

    out: Path
    recipe: Recipe
    people: int
    recordings: int
    seed: int
    device: str
    told: Callable[[str], None]
    progress: Progress
    key: str

    @property
    def data(self) -> Path:
        return self.out / "data"

    @property
    def bundle(self) -> Path:
        return self.out / "model" / "bundle"


def demo(
    out: Path,
    recipe: Recipe,
    *,
    people: int = PEOPLE,
    recordings: int = RECORDINGS,
    seed: int = DATA_SEED,
    device: str = "auto",
    told: Callable[[str], None] = lambda line: None,  # noqa: ARG005
    progress: Progress = lambda done, total: None,  # noqa: ARG005
) -> dict[str, Any]:
    """Runs the unfinished steps of STEPS in order.

    Returns first_look (of the packaged model), accuracy, accuracy_interval, n and people (none of whom were trained
    on), streaming (recording, gestures, recognized, share), files, problems (found by inspect), seconds, and seconds
    per step. Raises GestaError.
    """
    key = key_of(recipe.model_dump(mode="json"), people, recordings, seed)
    run = Run(out, recipe, people, recordings, seed, device, told, progress, key)
    done = {name: _step(run, name, title, work) for name, (title, work) in STEPS.items()}
    document = {
        "first_look": _result(done["first_look"]),
        **_result(done["evaluate"]),
        "streaming": _result(done["stream"]),
        "problems": done["inspect"]["problems"],
        "files": {
            "data": str(run.data),
            "inspection": done["inspect"]["page"],
            "bundle": str(run.bundle),
            "report": str(out / "report" / "report.html"),
            "video": str(out / "stream.mp4"),
        },
        "seconds": sum(step["seconds"] for step in done.values()),
        "steps": {name: step["seconds"] for name, step in done.items()},
    }
    write_json(out / "demo.json", document)
    return document


def _step(run: Run, name: str, title: str, work: Callable[[Run], dict[str, Any]]) -> dict[str, Any]:
    """Returns the result of a step, from its file if the same step has finished, else by running it."""
    path = run.out / "steps" / f"{name}.json"
    found = read_json(path) or {}
    if found.get("key") == run.key:
        return found
    run.told(f"{list(STEPS).index(name) + 1} of {len(STEPS)}: {title}")
    started = time.monotonic()
    result = work(run)
    result |= {"key": run.key, "seconds": round(time.monotonic() - started, 1)}
    write_json(path, result)
    return result


def _result(step: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in step.items() if name not in ("key", "seconds")}


def _first_look(run: Run) -> dict[str, Any]:
    from gesta.experiments.first_look import first_look

    result = first_look(run.out / "first_look")
    run.told(f"        It recognizes {result['recognized']} of {result['gestures']} gestures; see {result['picture']}")
    return result


def _generate(run: Run) -> dict[str, Any]:
    from gesta.synthetic import chalearn2014
    from gesta.synthetic.recording import FPS

    fps = FPS if run.recipe.input.fps > LESS_FPS else LESS_FPS  # type: ignore[attr-defined]
    names = chalearn2014.make(
        run.data, people=run.people, recordings=run.recordings, seed=run.seed, fps=fps, progress=run.progress
    )
    return {"recordings": len(names)}


def _inspect(run: Run) -> dict[str, Any]:
    from gesta.audit.inspection import inspect
    from gesta.audit.page import write_html

    listing = catalog.find(catalog.DEFAULT).read(run.data, LAYOUT)
    report = inspect(listing, run.progress)
    if report.usable == 0:
        raise GestaError(f"{run.data}: nothing in it can be used. Delete it and start the demo again.")
    page = write_html(report, listing, run.out / "inspect")
    return {"page": str(page), "usable": report.usable, "problems": [str(problem) for problem in report.problems]}


def parts(run: Run) -> Parts:
    """Returns gestures for training (validation people are included: no epoch is selected) and of unseen people."""
    listing = catalog.find(catalog.DEFAULT).read(run.data, LAYOUT)
    labeled = [s for s in listing.samples if s.label is not None]
    return Parts(listing).only([s if s.split == "test" else replace(s, split="train") for s in labeled])


def _train(run: Run) -> dict[str, Any]:
    import torch

    from gesta.exporting.run import add

    torch.set_num_threads(1)  # two are hardly faster for networks this small, and far slower on a busy machine
    task, known = catalog.find(catalog.DEFAULT), parts(run)
    result = task.fit(known, run.recipe, training.Run(run.out / "model", run.seed, device=run.device))
    manifest = catalog.read_bundle(result.bundle).manifest
    agreements = add(result.bundle, task.examples(manifest, known.of("train"), PARITY_CLIPS, "training"))
    parity = max(agreements, key=lambda one: one.difference).document
    return {"parity": parity, "training_seconds": round(result.seconds, 1)}


def _evaluate(run: Run) -> dict[str, Any]:
    from gesta.evaluation.run import evaluate

    result = evaluate(run.bundle, parts(run).of("test"), layout=LAYOUT)
    catalog.find(catalog.DEFAULT).report(result, run.out / "report")
    names = ("accuracy", "accuracy_interval", "n", "people", "engine", "warnings")
    return {name: result.metrics[name] for name in names}


def _stream(run: Run) -> dict[str, Any]:
    from gesta.clips.decode import probe
    from gesta.tasks.clips.annotate import annotate

    test = parts(run).of("test")
    spans = [s for s in test if s.recording == test[0].recording]
    whole = replace(spans[0], id=spans[0].recording, label=None, first_frame=None, last_frame=None)
    fps = probe(whole.files[0]).fps
    task, bundle = catalog.of_bundle(run.bundle)
    recognizer: Any = task.load(bundle, Placement())
    predictions = list(annotate(recognizer, whole, run.out / "stream.mp4"))
    got = recognized(spans, predictions, recognizer.labels, fps)
    return {
        "recording": whole.recording,
        "gestures": len(spans),
        "recognized": int(got.sum()),
        "share": float(got.mean()),
        "missed": [s.label for s, right in zip(spans, got, strict=True) if not right],
    }


def recognized(
    spans: list[Sample], predictions: list[Prediction], labels: tuple[str, ...], fps: float
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Returns which gestures of a recording (spans in frames at `fps`) were recognized in the stream, as in metrics."""
    truth = [(labels.index(s.label or ""), (s.first_frame or 0) / fps, ((s.last_frame or 0) + 1) / fps) for s in spans]
    times = [p.time_s or 0.0 for p in predictions]
    scores = np.array([[p.probabilities[label] for label in labels] for p in predictions])
    return metrics.recognized_in_stream(truth, times, scores)


STEPS: dict[str, tuple[str, Callable[[Run], dict[str, Any]]]] = {
    "first_look": ("Running the model that comes with gesta on a new person", _first_look),
    "generate": ("Generating recordings of people", _generate),
    "inspect": ("Checking the recordings", _inspect),
    "train": ("Training the small 3D-CNN + LSTM", _train),
    "evaluate": ("Measuring it on people it has not seen", _evaluate),
    "stream": ("Running it over a whole recording", _stream),
}
"""Name -> (title, function), in order of execution."""
