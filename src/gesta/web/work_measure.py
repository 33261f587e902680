"""Evaluation jobs: each person is held out once from a training run, and recognized as a live stream.

With only one person, clips are held out instead, which says nothing about other people.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta.clips.decode import iter_frames
from gesta.engines.base import Placement
from gesta.experiments.crossval import Folding, crossval
from gesta.experiments.parallel import Job, Workers
from gesta.experiments.trial import trial_job
from gesta.files import write_json
from gesta.schema import GestaError, Sample, grouped
from gesta.tasks import catalog
from gesta.tasks.base import Parts, need
from gesta.training.run import Run
from gesta.web.folder import HIDDEN
from gesta.web.jobfiles import STOP, Asked
from gesta.web.looks import look_at, span_of_motion
from gesta.web.messages import NONE
from gesta.web.work_train import RECIPE

RESULTS = "measured.json"
FOLDS_OF_ONE = 3
REST_S = 1.0
"""A held-out recording is extended with its last image for this long, so that an event can end."""
NEAR_S = 0.5
"""An event matches a gesture if they overlap or are at most this far apart."""
Tell = Callable[..., None]


def measure(root: Path, folder: Path, asked: Asked, tell: Tell) -> dict[str, Any]:
    """Writes `measured.json` next to the bundle. Raises GestaError."""
    run = root / HIDDEN / "runs" / asked.model
    facts = json.loads((run / "model.json").read_text(encoding="utf-8"))
    recipe = catalog.load_recipe(asked.recipe or facts.get("recipe") or RECIPE)
    task = catalog.find(recipe.task)
    listing = task.read(root)
    people = sorted({s.subject for s in listing.samples if s.label is not None and s.subject is not None})
    alone = len(people) < 2 or any(s.subject is None for s in listing.samples if s.label is not None)
    folding = Folding("label", FOLDS_OF_ONE) if alone else Folding("subject")
    tell(unit="person", of=FOLDS_OF_ONE if alone else len(people), doing="Holding out each person once")

    def progress(done: int, of: int) -> None:
        if (folder / STOP).exists():
            raise GestaError("Measuring was stopped. Finished work is kept; measure again to continue.")
        tell(done=done, of=of, doing=f"{done} of {of} people measured")

    jobs: list[Job] = []

    def job(*given: Any) -> Job:
        jobs.append(fold_job(*given))
        return jobs[-1]

    crossval(task, listing, {recipe.name: recipe}, run / "measure", folding, Workers(2, "cpu", progress), job)
    folds = [found for one in jobs if (found := one.finished()) is not None]
    write_json(run / RESULTS, {"alone": alone, "people": people, "folds": folds})
    return {"people": len(people)}


def fold_job(title: str, parts: Parts, recipe: Any, folder: Path, seed: int, device: str = "auto") -> Job:
    """A fold as an experiment's job: a trial, with the outcome of each recording."""
    return replace(trial_job(title, parts, recipe, folder, seed, device), function=f"{__name__}:fold")


def fold(
    task: str, parts: Parts, recipe: Any, folder: Path, seed: int, device: str, start: Path | None = None
) -> dict[str, Any]:
    """Trains without the held-out samples and recognizes them, as clips and as a stream."""
    kind = catalog.find(task)
    fitted = kind.fit(parts, recipe, Run(folder, seed, resume=True, device=device, progress=False), start)
    predictor: Any = kind.load(catalog.read_bundle(fitted.bundle), Placement("torch", device))
    held = [sample for sample in parts.of("test") if sample.label is not None]
    answers = [_answer(predictor, sample) for sample in held]
    errors = [one for one in answers if one["truth"] != one["called"]]
    recordings = [_followed(kind, predictor, members) for members in by_recording(held)]
    shutil.rmtree(folder, ignore_errors=True)
    n = len(answers)
    return {
        kind.quality.measured: (n - len(errors)) / max(n, 1),
        "n": n,
        "errors": errors,
        "answers": answers,
        "recordings": recordings,
        "skipped": [],
        "seconds": fitted.seconds,
    }


def _answer(predictor: Any, sample: Sample) -> dict[str, Any]:
    found = predictor.predict(sample)
    confidence = float(found.probabilities[found.label])
    return {
        "id": sample.id,
        "subject": sample.subject,
        "truth": sample.label,
        "called": found.label,
        "confidence": round(confidence, 4),
    }


def by_recording(samples: Sequence[Sample]) -> list[list[Sample]]:
    """Groups samples by file."""
    return list(grouped((sample.recording, sample) for sample in samples).values())


def _followed(kind: Any, predictor: Any, members: Sequence[Sample]) -> dict[str, Any]:
    """Streams one held-out file as a camera would: seconds of nothing and false alarms, or the delay of the event."""
    follower = need(kind, "follow", "measuring live")(predictor)
    resource = members[0].color
    assert resource is not None
    events, time_s, image = [], 0.0, None
    for time_s, image in iter_frames(resource, "rgb"):
        if image is not None:
            events += follower.push(image, time_s)
    file_s = time_s
    if image is not None:
        events += _rest(follower, image, time_s)
    events += follower.finish()
    label = members[0].label
    if label == NONE:
        return {"label": NONE, "seconds": round(file_s, 3), "events": len(events)}
    start_s, end_s = _gesture(members[0])
    own = [e for e in events if e.label == label and e.end_s >= start_s - NEAR_S and e.start_s <= end_s + NEAR_S]
    delay_s = round(own[0].decided_s - end_s, 3) if own else None
    return {"label": label, "seconds": round(file_s, 3), "events": len(events), "found": bool(own), "delay_s": delay_s}


def _rest(follower: Any, image: NDArray[Any], time_s: float) -> list[Any]:
    times = np.arange(time_s + 1 / 15, time_s + REST_S, 1 / 15)
    return [event for at in times.tolist() for event in follower.push(image, at)]


def _gesture(sample: Sample) -> tuple[float, float]:
    """Start and end of a clip's gesture: the motion within its span."""
    assert sample.color is not None
    rows = look_at(sample.color.path)
    end_s = rows[-1, 0] if sample.end_s is None else sample.end_s
    inside = rows[(rows[:, 0] >= (sample.start_s or 0.0)) & (rows[:, 0] <= end_s)]
    return span_of_motion(inside if len(inside) > 1 else rows)
