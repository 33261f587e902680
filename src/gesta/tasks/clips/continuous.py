"""Training on continuous recordings: windows of passages, one class per chunk; then tuning of the decoder.

An epoch is a number of windows at random positions in the passages, the same in every run with the same seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gesta.clips.sampling import to_network
from gesta.clips.skeleton_sets import joint_set
from gesta.clips.transform import Transform
from gesta.decoding import DecoderSpec, Scored, choose, event_quality
from gesta.engines.base import Placement
from gesta.engines.torch import open_parts
from gesta.metrics_events import Event, delays
from gesta.schema import GestaError, Problem, Sample
from gesta.tasks.clips.augment import at_speed, draw_affine, generator, moves_pixels, warp
from gesta.tasks.clips.network import parts_of
from gesta.tasks.clips.passages import NONE, Passage, classes_of, passages
from gesta.tasks.clips.recipe import AugmentationSettings, ClipRecipe
from gesta.tasks.clips.spot import Following, chunk_probabilities, measured
from gesta.training.data import Batch, TrainingData
from gesta.training.steps import IGNORED, StepLearner

AGREED = 0.75
"""Fraction of a chunk's frames that must have one class; otherwise the chunk's class is undefined."""
VAL_SEED = 7919
WAIT_COST = 0.1
"""Quality traded for one second of delay from a gesture's end to its event."""


@dataclass
class Windows:
    """Draws `count` windows of `frames` frames per epoch; without augmentation, the whole passages in order."""

    passages: Sequence[Passage]
    labels: Sequence[str]
    transform: Transform
    augmentation: AugmentationSettings | None = None
    frames: int = 1
    count: int = 0
    seed: int = 0
    epoch: int = 0

    def __len__(self) -> int:
        return len(self._pieces) if self.augmentation is None else self.count

    @cached_property
    def _pieces(self) -> list[tuple[int, int]]:
        """Returns (passage, first frame) of windows that cover all passages."""
        return [(n, at) for n, p in enumerate(self.passages) for at in range(0, len(p.pixels), self.frames)]

    @cached_property
    def _classes(self) -> list[NDArray[np.int64]]:
        return [passage.classes(self.labels, self.transform.fps) for passage in self.passages]

    @cached_property
    def _pixels(self) -> list[NDArray[Any]]:
        return [passage.pixels for passage in self.passages]

    @cached_property
    def _shares(self) -> NDArray[np.float64]:
        lengths = np.array([len(passage.pixels) for passage in self.passages], float)
        return lengths / lengths.sum()

    def __getitem__(self, index: int) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.float32] | None]:
        """Returns (frames, class of each of their chunks, affine map or None)."""
        if self.augmentation is None:
            number, at = self._pieces[index]
            span = slice(at, at + self.frames)
            return self._pixels[number][span], chunk_classes(self._classes[number][span], self.transform.chunk), None
        settings, rng = self.augmentation, generator(self.seed, self.epoch, index)
        number = int(rng.choice(len(self.passages), p=self._shares))
        pixels, classes = self._pixels[number], self._classes[number]
        low, high = settings.speed if settings.skeleton is None else _about_one(settings.skeleton.speed)
        percent = int(rng.integers(round(100 * low), round(100 * high) + 1))
        wanted = min(self.frames * percent // 100, len(pixels))
        start = int(rng.integers(0, len(pixels) - wanted + 1))
        chosen = start + at_speed(wanted, percent)
        chosen = chosen[: len(chosen) // self.transform.chunk * self.transform.chunk]
        taken, theta = pixels[chosen], None
        if self.transform.skeleton is not None and settings.skeleton is not None:
            taken = settings.skeleton.of_fixed_length(taken, joint_set(self.transform.skeleton.joints), rng)
        elif self.transform.skeleton is None and moves_pixels(settings):
            theta = draw_affine(self.transform.size, settings, rng)
        return taken, chunk_classes(classes[chosen], self.transform.chunk), theta

    def collate(self, items: Sequence[tuple[NDArray[Any], NDArray[np.int64], NDArray[np.float32] | None]]) -> Batch:
        """Batches items; target [B, K] is IGNORED after the end of shorter ones."""
        clip, lengths = to_network([pixels for pixels, _, _ in items], self.transform.chunk)
        target = np.full((len(items), int(-(-lengths.max() // self.transform.chunk))), IGNORED, np.int64)
        for row, (_, classes, _) in zip(target, items, strict=True):
            row[: len(classes)] = classes
        arrays = {"clip": clip, "lengths": lengths, "target": target}
        maps = [theta for _, _, theta in items if theta is not None]
        if maps:
            arrays["theta"] = np.stack(maps)
        return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _about_one(share: float) -> tuple[float, float]:
    return 1 - share, 1 + share


def chunk_classes(classes: NDArray[np.int64], chunk: int) -> NDArray[np.int64]:
    """Returns the class of every whole chunk from those of its frames [T]; IGNORED if they do not agree."""
    rows = classes.reshape(-1, chunk)
    found = np.array([np.bincount(row).argmax() for row in rows], np.int64)
    return np.where((rows == found[:, None]).mean(axis=1) >= AGREED, found, IGNORED)


class ChunkLearner(StepLearner):
    """Classifies every chunk of the clips."""

    def logits(self, batch: Mapping[str, Tensor], training: bool) -> Tensor:
        network: Any = self.network
        clip = warp(batch["clip"], batch["theta"]) if training and "theta" in batch else batch["clip"]
        logits: Tensor = network.forward_steps(clip, batch["lengths"])
        return logits.float()


def check(recipe: ClipRecipe, network: nn.Module) -> None:
    """Raises GestaError (usage) for a network that cannot process streams."""
    if recipe.input.fused:
        raise GestaError(
            "continuous learns from pixels or from skeletons, not yet from both at once. Set input.streams=[body] or "
            "[skeleton].",
            usage=True,
        )
    if not hasattr(network, "step") or getattr(network, "memory", False):
        raise GestaError(
            f"continuous needs a network with a streaming step and model.memory=0 (cnn3d_lstm, lstm, tcn), which "
            f"{recipe.model.name} with these settings is not. Use --recipe live, or set continuous=null.",
            usage=True,
        )


def labels_of(samples: Sequence[Sample]) -> tuple[str, ...]:
    """Returns NONE and the gestures, in order. Raises GestaError if there is no gesture to learn."""
    found = classes_of(samples, continuous=True)
    if len(found) < 2:
        raise GestaError("The training part contains no gestures, only clips without one. Add clips of gestures.")
    return found


def data_of(
    samples: Sequence[Sample],
    labels: Sequence[str],
    transform: Transform,
    recipe: ClipRecipe,
    seed: int,
    progress: Any,
) -> tuple[TrainingData[Windows], list[Problem]]:
    """Returns passages of "train" and "val", and what could not be read. Raises GestaError if nothing is left to train
    on, or a recording is in several parts."""
    assert recipe.continuous is not None
    _refuse_shared(samples)
    settings, chunk, parts = recipe.continuous, transform.chunk, dict[str, Windows]()
    frames = max(1, round(settings.window_s * transform.fps / chunk)) * chunk
    problems: list[Problem] = []
    for part in ("train", "val"):
        own = tuple(s for s in samples if s.split == part)
        found, lost = passages(own, transform, seed + (VAL_SEED if part == "val" else 0), progress)
        problems += lost
        parts[part] = Windows(found, labels, transform, frames=frames)
    if not parts["train"].passages:
        raise GestaError(f"No recording of the training part can be used. The first problem: {problems[0]}")
    train = replace(parts["train"], augmentation=recipe.augmentation, count=settings.windows, seed=seed)
    return TrainingData(train, parts["val"], int(recipe.training.batch), seed), problems


def _refuse_shared(samples: Sequence[Sample]) -> None:
    seen: dict[str, str | None] = {}
    for sample in samples:
        if seen.setdefault(sample.recording, sample.split) != sample.split:
            raise GestaError(
                f"{sample.recording} has gestures in training and validation: continuous recognition trains on whole "
                "recordings. Split them by subject (--protocol subject), or remove `continuous`.",
                usage=True,
            )


def decoded(network: nn.Module, data: Windows) -> tuple[DecoderSpec, dict[str, Any]]:
    """Returns the decoder with the best events on the validation passages, and its metrics there; the default decoder
    if there are none."""
    spec, transform = DecoderSpec(none=NONE), data.transform
    if not any(passage.truth for passage in data.passages):
        return spec, {}
    engine = open_parts(parts_of(network.eval().cpu(), transform, len(data.labels)), Placement(device="cpu"))
    rows = [chunk_probabilities(engine, transform.chunk, passage.pixels) for passage in data.passages]
    half = transform.chunk / transform.fps / 2
    scored = [Scored(p.ends_s - half, row, list(p.truth)) for p, row in zip(data.passages, rows, strict=True)]
    spec, _ = choose(data.labels, scored, start=spec, quality=_quality)
    found = measured(data.passages, rows, Following(tuple(data.labels), transform, spec))
    return spec, {
        f"val_{name}": found[name]
        for name in ("detection_rate", "false_alarms_per_minute", "jaccard", "delay_p95_s", "events", "minutes")
    }


def _quality(truth: Sequence[Sequence[Event]], predicted: Sequence[Sequence[Event]]) -> float:
    waits = [max(wait, 0.0) for wait in delays(truth, predicted, since="end")]
    return event_quality(truth, predicted) - WAIT_COST * (sum(waits) / len(waits) if waits else 0.0)
