"""Training jobs: a live model; with three or more people, some of them are used to choose the epoch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from gesta.experiments import train as flow
from gesta.files import write_json
from gesta.schema import Listing, Sample
from gesta.sources.split import assign_splits
from gesta.tasks.base import Parts
from gesta.training.run import Run
from gesta.web.folder import HIDDEN
from gesta.web.jobfiles import STOP, Asked
from gesta.web.messages_work import Note
from gesta.web.records import now

RECIPE = "live"
FACTS = "model.json"
Tell = Callable[..., None]


def divide(listing: Listing, everyone: bool) -> Parts:
    """Splits people into training and, for three or more, one in five for choosing the epoch. No test split: each
    person is held out once in a separate evaluation."""
    blank = [replace(sample, split=None) for sample in listing.samples]
    people = {sample.subject for sample in blank if sample.label is not None}
    if everyone or len(people) < 3 or None in people:
        samples, notes = [replace(sample, split="train") for sample in blank], list[str]()
    else:
        samples, notes = assign_splits(blank, seed=0, fractions=(0.2, 0.0))
    return Parts(replace(listing, samples=tuple(samples)), tuple(notes))


def people_of(parts: Parts, part: str) -> list[str]:
    return sorted({s.subject for s in parts.of(part) if s.subject is not None})


def train(root: Path, folder: Path, asked: Asked, tell: Tell) -> dict[str, Any]:
    """Writes the bundle and the facts that the page shows about it. Raises GestaError."""
    out = root / HIDDEN / "runs" / asked.model
    parts_seen: list[Parts] = []
    started = now()

    def told(recipe: Any, parts: Parts) -> None:
        parts_seen.append(parts)
        tell(
            unit="epoch",
            of=int(recipe.training.epochs),
            doing="Training",
            notes=[note_of(line) for line in (*parts.picked, *parts.notes)],
            held_out=people_of(parts, "val"),
            train_n=len(parts.of("train")),
            val_n=len(parts.of("val")),
        )

    tell(doing="Preprocessing the clips", unit="epoch")
    run = Run(out, seed=0, resume=(out / "checkpoints").is_dir(), progress=False, stop=folder / STOP)
    recipe = asked.recipe or RECIPE
    done = flow.train(root, run, recipe=recipe, told=told, divide=lambda listing: divide(listing, asked.everyone))
    assert done is not None
    write_json(out / FACTS, facts(parts_seen[-1], asked, started))
    return {"stopped": (folder / STOP).exists(), "epochs": len(done.history)}


def facts(parts: Parts, asked: Asked, started: float) -> dict[str, Any]:
    """Facts stored next to a bundle: who and what it was trained on."""
    used: list[Sample] = [s for part in ("train", "val") for s in parts.of(part)]
    return {
        "made": now(),
        "read": started,
        "seconds": now() - started,
        "everyone": asked.everyone,
        "recipe": asked.recipe or RECIPE,
        "trained_on": people_of(parts, "train"),
        "chose_epoch": people_of(parts, "val"),
        "clips": len(parts.of("train")),
        "samples": sorted(f"{s.id} {s.label}" for s in used),
    }


def note_of(line: str) -> Note:
    """Parses `what: why`, or `what (why)`, the format of a recipe's notes."""
    for mark, end in ((": ", ""), (" (", ")")):
        title, sign, reason = line.partition(mark)
        if sign and title:
            return Note(title=title[:1].upper() + title[1:], reason=reason.removesuffix(end))
    return Note(title=line)
