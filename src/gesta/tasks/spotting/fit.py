"""Train a spotter: per-frame classification of windows, then tuning of the decoder on validation data."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gesta.clips.skeleton_sets import joint_set
from gesta.clips.skeleton_space import SkeletonSpace, to_network
from gesta.decoding import Scored, choose
from gesta.engines.base import Placement
from gesta.engines.torch import open_parts
from gesta.models.tcn import CausalNet
from gesta.schema import GestaError, Problem
from gesta.sources.recordings import Recording
from gesta.tasks.base import Parts
from gesta.tasks.spotting import data
from gesta.tasks.spotting.compose import IGNORED, Labeled, Pieces, Windows, late, pieces
from gesta.tasks.spotting.data import Facts, Track
from gesta.tasks.spotting.evaluate import measured
from gesta.tasks.spotting.manifest import NONE, SpottingManifest
from gesta.tasks.spotting.network import build, part
from gesta.tasks.spotting.predict import Spotter
from gesta.tasks.spotting.recipe import SpottingInputSettings, SpottingRecipe, SpottingTrainingSettings
from gesta.training.checkpoints import full_disk_explained, seed_everything
from gesta.training.data import TrainingData
from gesta.training.figure import FIGURE, draw_history
from gesta.training.learner import Row
from gesta.training.run import Fitted, Run, clear
from gesta.training.save import provenance_of, write_bundle
from gesta.training.stage import Stage, run_stage
from gesta.training.steps import StepLearner

BEST_BY = ("-val_accuracy", "val_loss")
REFITTED = (
    "trained once more with the validation recordings, after the decoder was chosen on them; the validation results "
    "are from before"
)


@dataclass
class Drawn:
    """Training windows, redrawn each epoch. Each depends only on (seed, epoch, index)."""

    windows: Windows
    count: int
    seed: int
    delay: int
    epoch: int = 0

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Labeled:
        return self.windows.draw(np.random.default_rng([self.seed, self.epoch, index]))

    def collate(self, items: Sequence[Labeled]) -> dict[str, Tensor]:
        return batch(items, self.delay)


@dataclass
class Whole:
    """Whole recordings for validation."""

    items: Sequence[Labeled]
    delay: int
    epoch: int = 0

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Labeled:
        return self.items[index]

    def collate(self, items: Sequence[Labeled]) -> dict[str, Tensor]:
        return batch(items, self.delay)


def batch(items: Sequence[Labeled], delay: int) -> dict[str, Tensor]:
    """Return skeleton [B, T, J, D], mask [B, T, J], lengths [B], target [B, T]; IGNORED in padding and the delay."""
    skeleton, mask, lengths = to_network([skeleton for skeleton, _ in items])
    target = np.full(mask.shape[:2], IGNORED, np.int64)
    for row, (_, wanted) in enumerate(items):
        target[row, : len(wanted)] = late(wanted, delay)
    arrays = {"skeleton": skeleton, "mask": mask.astype(np.float32), "lengths": lengths, "target": target}
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


class FrameLearner(StepLearner):
    """Trains a per-frame classifier of skeletons."""

    def logits(self, batch: Mapping[str, Tensor], training: bool) -> Tensor:  # noqa: ARG002
        assert isinstance(self.network, CausalNet)
        return self.network.forward_steps(batch["skeleton"], batch["mask"], batch["lengths"]).float()


@dataclass(frozen=True)
class Read:
    """The training and validation recordings as network inputs, and the problems of those that could not be read."""

    space: SkeletonSpace
    fps: float
    classes: tuple[str, ...]
    train: list[Track]
    val: list[Track]
    problems: tuple[Problem, ...]


def fit(parts: Parts, recipe: SpottingRecipe, run: Run, *, drawn: bool = True) -> Fitted:
    """Train on "train" and select epoch and decoder on "val" (without it: the last epoch, the default decoder).

    With `training.refit`, a second training on both parts follows; the decoder and the metrics stay those of the first.
    Raises GestaError for unusable data, a checkpoint of another run, a non-finite loss, or a full disk.
    """
    started, read = time.perf_counter(), read_parts(parts, recipe.input)
    clear(run)
    with full_disk_explained(run.out):
        run.out.mkdir(parents=True, exist_ok=True)
        network, history, metrics, rank = _trained(read, recipe, run)
        facts = Facts(read.space, read.fps, read.classes, _delay(recipe, read))
        if rank == 0:
            facts, more = decoded(network, facts, read.val)
            metrics |= more
        refit = recipe.training.refit and bool(read.val)
        if refit:
            whole = replace(read, train=[*read.train, *read.val], val=[])
            network, *_, rank = _trained(whole, recipe, run, "refit")
        if rank == 0:
            origin = provenance_of(
                [t.recording for t in (*read.train, *read.val)],
                run,
                layout=parts.listing.layout,
                data=_content(read),
                identities=data.identities,
                skipped=sum(problem.kind == data.UNREADABLE for problem in read.problems),
                seconds=sum(row["seconds"] for row in history),
            )
            found = {"metrics": metrics, "notes": (REFITTED,) if refit else (), **vars(facts)}
            write_bundle(run.out / "bundle", SpottingManifest, network, recipe, origin, **found)
            if drawn:
                draw_history(history, run.out / FIGURE, recipe.name)
    seconds = time.perf_counter() - started
    return Fitted(run.out / "bundle", metrics, history, seconds, recipe, read.problems, rank=rank, network=network)


def _trained(
    read: Read, recipe: SpottingRecipe, run: Run, name: str = "training"
) -> tuple[CausalNet, list[Row], dict[str, Any], int]:
    """Run one training; return the network, the history, the metrics and the rank of this process."""
    settings, delay, made = recipe.training, _delay(recipe, read), pieces(read.train)
    windows = Windows(
        made, joint_set(read.space.joints), recipe.augmentation, _frames(settings, read.fps), settings.composed
    )
    digest = hashlib.sha256(_content(read)).hexdigest()
    identity = {"recipe": recipe.model_dump(mode="json"), "seed": run.seed, "data": digest}
    seed_everything(run.seed)
    network = build(recipe.model, len(read.classes), len(read.space.joints), read.space.dimensions)
    stage = Stage(name, 1, recipe.name, settings.epochs, settings, run, identity, BEST_BY)
    sets = Drawn(windows, settings.windows, run.seed, delay), Whole([(t.skeleton, t.target) for t in read.val], delay)
    batches: TrainingData[Any] = TrainingData(*sets, settings.batch, run.seed)

    def learner(steps: int) -> FrameLearner:
        return FrameLearner(network, settings, steps=steps, smoothness=settings.smoothness)

    history, best, rank = run_stage(stage, network, batches, learner)
    return network, history, _metrics(best, len(history), read, made), rank


def _delay(recipe: SpottingRecipe, read: Read) -> int:
    return round(recipe.input.delay_s * read.fps)


def _content(read: Read) -> bytes:
    return b"".join(t.skeleton.tobytes() + t.target.tobytes() for t in (*read.train, *read.val))


def _frames(settings: SpottingTrainingSettings, fps: float) -> int:
    return max(2, round(settings.window_s * fps))


def _metrics(best: Mapping[str, float], epochs: int, read: Read, made: Pieces) -> dict[str, Any]:
    found: dict[str, Any] = {k: v for k, v in best.items() if k.startswith(("val_", "train_"))}
    counts = {
        "train_recordings": len(made.whole),
        "train_gestures": len(made.gestures),
        "val_recordings": len(read.val),
    }
    return found | counts | {"best_epoch": int(best["epoch"]), "epochs": epochs}


def read_parts(parts: Parts, settings: SpottingInputSettings) -> Read:
    """Read the training and validation parts at one frame rate. Raises GestaError if there is nothing to train on."""
    train, val = (
        [r for r in parts.of(name) if r.label is not None and not (name == "val" and r.isolated)]
        for name in ("train", "val")
    )
    labels = sorted({span.label for r in train for span in r.spans})
    if not labels:
        raise GestaError("The training part contains no gestures: no span of any recording has a label. Add labels.")
    kinds = Counter(found for r in train if (found := _joints(r)) is not None)
    if not kinds:
        raise GestaError(
            f"None of the {len(train)} recordings of the training part can be read. See gesta data inspect."
        )
    joints, dimensions = max(kinds, key=lambda kind: kinds[kind])  # the first in case of a tie
    space = SkeletonSpace(joints=joints, dimensions=dimensions, **settings.model_dump(exclude={"fps", "delay_s"}))
    rates = Counter(r.fps for r in train)
    fps = max(rates, key=lambda rate: rates[rate]) if settings.fps == "auto" else settings.fps
    facts = Facts(space, fps, (NONE, *labels))
    (used, broken), (held, lost) = (data.tracks(recordings, facts) for recordings in (train, val))
    return Read(space, fps, facts.classes, used, held, (*broken, *lost))


def _joints(recording: Recording) -> tuple[tuple[str, ...], Any] | None:
    """Return the (joint names, dimensions) of a recording, or None if it cannot be read."""
    try:
        found = data.positions(recording)
    except GestaError:
        return None
    return found.joints, found.values.shape[2]


def decoded(network: CausalNet, facts: Facts, val: Sequence[Track]) -> tuple[Facts, dict[str, Any]]:
    """Return the facts with the decoder that scores best on the validation recordings, and its metrics on them.

    If these contain no event, the decoder keeps its defaults.
    """
    if not any((t.target > 0).any() for t in val):
        return facts, {}
    spotter = Spotter(open_parts([part(network.eval().cpu(), len(facts.classes))], Placement(device="cpu")), facts)
    outputs = [spotter.probabilities(t.skeleton) for t in val]
    truth = [data.events(t.recording, len(t.target), facts.fps) for t in val]
    times = [np.arange(len(p)) / facts.fps for p in outputs]
    scored = [Scored(t, p, events) for t, p, events in zip(times, outputs, truth, strict=True)]
    chosen = replace(facts, decoder=choose(facts.classes, scored)[0])
    found = measured(val, outputs, Spotter(spotter.engine, chosen))
    return chosen, {f"val_{name}": found[name] for name in ("jaccard", "edit_error", "detection_rate")}
