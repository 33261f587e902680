"""Distillation: the teachers' softened answers, and the loss against them (Mullick 2018, chapter 4; spec 2).

Softened: P_i = exp(z_i / T) / sum_j exp(z_j / T). A teacher is any clip classifier with the same classes. It sees a
sample through its own transform, which can differ from the student's in streams, rate or sampling (a central window of
frames instead of chunks).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gesta.bundle import io
from gesta.clips.transform import Transform
from gesta.schema import GestaError, Problem, Sample
from gesta.tasks.clips.augment import warp
from gesta.tasks.clips.data import ClipSet
from gesta.tasks.clips.manifest import ClipManifest
from gesta.tasks.clips.network import as_input, load_network
from gesta.tasks.clips.recipe import ClipRecipe, DistillationSettings
from gesta.tasks.clips.views import ClipStore, View
from gesta.training.losses import Over, chunk_weights

BATCH = 16
"""Batch size of the teachers."""


@dataclass(frozen=True)
class Teacher:
    """A trained network in eval mode, `forward(clip, lengths) -> logits [B, N]`; N in the order of its `labels`."""

    name: str
    network: nn.Module
    labels: tuple[str, ...]
    transform: Transform

    def order(self, labels: Sequence[str]) -> list[int]:
        """Returns the position of each of the student's labels among the teacher's.

        Raises GestaError if the classes differ, naming those that only one side has.
        """
        lacking, surplus = sorted(set(labels) - set(self.labels)), sorted(set(self.labels) - set(labels))
        if lacking or surplus:
            sides = [("only the data have", lacking), ("only the teacher has", surplus)]
            found = "; ".join(f"{what} {_some(names)}" for what, names in sides if names)
            raise GestaError(
                f"{self.name}: this teacher does not know the classes of the training part ({found}). "
                "Use a teacher trained on the same classes, or remove the clips of other classes."
            )
        return [self.labels.index(label) for label in labels]


def soften(logits: Tensor, temperature: float) -> Tensor:
    """Logits [..., N] -> probabilities [..., N] at the temperature."""
    return (logits.float() / temperature).softmax(-1)


def mean_softened(logits: Sequence[Tensor], temperature: float) -> Tensor:
    """Returns the mean [B, N] of several teachers' softened answers, given logits [B, N] in one order of labels."""
    return torch.stack([soften(z, temperature) for z in logits]).mean(0)


def soft_loss(
    steps: Tensor,
    soft: Tensor,
    chunks: Tensor,
    over: Over,
    settings: DistillationSettings,
    start: Tensor | None = None,
) -> Tensor:
    """Loss of the student's logits `steps` [B, K, N] against the teachers' softened answers `soft` [B, N], clip mean.

    mse: mean over classes of (softmax(z) - soft)^2, the student not softened, as in the document.
    kl: T^2 sum_i soft_i (log soft_i - log softmax(z / T)_i) (Hinton et al. 2015).
    The same chunks count as in the hard loss.
    """
    wanted = soft.unsqueeze(1)  # B 1 N
    if settings.loss == "mse":
        each = (steps.softmax(-1) - wanted).square().mean(-1)  # B K
    else:
        found = (steps / settings.temperature).log_softmax(-1)
        each = settings.temperature**2 * F.kl_div(found, wanted.expand_as(found), reduction="none").sum(-1)  # B K
    return (each * chunk_weights(chunks, steps.shape[1], over, start)).sum() / len(steps)


def mixed(soft: Tensor, hard: Tensor, alpha: float) -> Tensor:
    """L = alpha L_soft + (1 - alpha) L_hard."""
    return alpha * soft + (1 - alpha) * hard


@dataclass(frozen=True)
class DistillationTargets:
    """Soft targets of a training stage. `orders`: for each teacher, its classes in the student's order.

    If a batch contains stored answers (`soft`), the teachers are not run; with few views they are run once for each.
    """

    settings: DistillationSettings
    teachers: Sequence[Teacher] = ()
    orders: Sequence[Sequence[int]] = ()
    _said: dict[tuple[int, ...], Tensor] = field(default_factory=dict, repr=False)

    @torch.no_grad()
    def soft(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Returns the teachers' softened answers to a batch, [B, N]; their input is warped like the student's."""
        if "soft" in batch:
            return batch["soft"]
        if "view_id" not in batch:
            return self._asked(batch)
        views = [tuple(row) for row in batch["view_id"].tolist()]
        if any(view_id not in self._said for view_id in views):
            self._said.update(zip(views, self._asked(batch), strict=True))
        return torch.stack([self._said[view_id] for view_id in views])

    def _asked(self, batch: Mapping[str, Tensor]) -> Tensor:
        said = []
        for j, (teacher, order) in enumerate(zip(self.teachers, self.orders, strict=True)):
            clip = batch[f"view{j}"]
            clip = warp(clip, batch["theta"]) if "theta" in batch else clip
            network = teacher.network.to(clip.device).eval()
            said.append(network(clip, batch[f"view{j}_lengths"])[:, list(order)])
        return mean_softened(said, self.settings.temperature)


def targets_of(
    settings: DistillationSettings | None, teachers: Sequence[Teacher], labels: Sequence[str]
) -> DistillationTargets | None:
    """Returns a student's soft targets from its teachers; None without distillation."""
    if settings is None:
        return None
    return DistillationTargets(settings, teachers, [teacher.order(labels) for teacher in teachers])


def precompute_targets(
    train: ClipSet,
    settings: DistillationSettings | None,
    teachers: Sequence[Teacher],
    device: str,
    prepare: Callable[[Sequence[Sample], Transform], Sequence[Problem]],
) -> dict[str, Any]:
    """Computes the teachers' answers to the training clips, or (sees = "same") adds the teachers' views to the clips.

    Returns metrics: fingerprints and, for stored answers, their accuracy on the training clips. Raises GestaError if
    there is no teacher, or one has other classes or cannot see a clip.
    """
    if settings is None:
        return {}
    if not teachers:
        raise GestaError("This recipe learns from a teacher, but none is given: --set teacher=BUNDLE", usage=True)
    targets_of(settings, teachers, train.labels)
    views = [View(teacher.transform) for teacher in teachers]
    for teacher, view in zip(teachers, views, strict=True):
        problems = prepare(train.samples, teacher.transform if settings.sees == "clip" else view.whole)
        if problems:
            raise GestaError(
                f"{teacher.name}: this teacher cannot use every training clip. The first problem: {problems[0]}"
            )
    noted: dict[str, Any] = {"teachers": ", ".join(fingerprint(teacher) for teacher in teachers)}
    if settings.sees == "same":
        train.views, train.view_count = views, settings.views
        return noted
    train.soft = soft_targets(teachers, train.samples, train.labels, train.store, settings.temperature, device)
    truth = [list(train.labels).index(str(sample.label)) for sample in train.samples]
    right = train.soft.argmax(1) == torch.tensor(truth)
    return {**noted, "teacher_train_accuracy": float(right.float().mean())}


@torch.no_grad()
def soft_targets(
    teachers: Sequence[Teacher],
    samples: Sequence[Sample],
    labels: Sequence[str],
    store: ClipStore,
    temperature: float,
    device: str = "cpu",
) -> Tensor:
    """Returns the mean of the teachers' softened answers to each whole clip as recorded, [n, N].

    Raises GestaError if a teacher has other classes, or a sample lacks what a teacher needs.
    """
    orders = [teacher.order(labels) for teacher in teachers]
    said = [
        _answers(teacher, samples, store, device)[:, order] for teacher, order in zip(teachers, orders, strict=True)
    ]
    return mean_softened(said, temperature)


def _answers(teacher: Teacher, samples: Sequence[Sample], store: ClipStore, device: str) -> Tensor:
    """Returns a teacher's logits [n, N] on the CPU. Clips of similar length are batched together: less padding."""
    transform, network = teacher.transform, teacher.network.to(device).eval()
    clips = [store.load(sample, transform).pixels for sample in samples]  # memory-mapped
    order = sorted(range(len(clips)), key=lambda i: len(clips[i]))
    logits = torch.zeros(len(clips), len(teacher.labels))
    for first in range(0, len(order), BATCH):
        rows = order[first : first + BATCH]
        logits[rows] = network(*as_input([clips[i] for i in rows], transform, device)).float().cpu()
    network.cpu()
    return logits


def fingerprint(teacher: Teacher) -> str:
    """Returns a short hash of a teacher's weights, which identifies it."""
    digest = hashlib.sha256()
    for name, tensor in sorted(teacher.network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def open_teacher(path: Path | str) -> Teacher:
    """Opens a trained classifier of any kind as a teacher. Raises GestaError if there is no bundle with weights."""
    bundle = io.read(path, ClipManifest)
    return Teacher(str(path), load_network(bundle), bundle.manifest.labels, bundle.manifest.transform)


def teachers_of(recipe: ClipRecipe) -> tuple[Teacher, ...]:
    """Opens the teachers that a recipe names; empty without distillation.

    Raises GestaError (usage) if a recipe with distillation names none.
    """
    if recipe.distillation is None:
        return ()
    if not recipe.distillation.teachers:
        message = f"recipe {recipe.name} learns from a teacher, but none is given. Give a trained bundle: "
        raise GestaError(message + "--set teacher=BUNDLE (repeat it for several).", usage=True)
    return tuple(open_teacher(path) for path in recipe.distillation.teachers)
