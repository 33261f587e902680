"""From hand frames and a recipe to a pose bundle: the whole of training in one call (Kazakos, section 4.4.3)."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from gesta.clips.hand_store import HandWindows, collect
from gesta.clips.hand_transform import HandTransform
from gesta.models.pose_catalog import build_pose
from gesta.models.pose_layers import PoseNet
from gesta.recipes import PoseRecipe
from gesta.schema import GestaError, HandFrame, Problem
from gesta.training.checkpoints import full_disk_explained, seed_everything
from gesta.training.data import ClipData
from gesta.training.figure import draw_history
from gesta.training.pose_data import HandSet, color_statistics
from gesta.training.pose_save import pose_provenance, write_pose_bundle
from gesta.training.pose_task import Halving, PoseTask, ShowPose
from gesta.training.stage import Machine, Stage, run_stage

LEAST = 4
"""Training frames below which nothing is tried."""


@dataclass(frozen=True)
class PoseFit:
    """`metrics`: as in the manifest. `history`: a row an epoch. `rank` 0 wrote the bundle, if one was asked for.

    `mean_pose_mm`: the validation error of always saying the mean training pose: what a network must beat.
    """

    bundle: Path
    network: PoseNet
    metrics: dict[str, Any]
    history: list[dict[str, float]]
    seconds: float
    skipped: tuple[Problem, ...]
    notes: tuple[str, ...]
    mean_pose_mm: float
    rank: int = 0


def fit_pose(
    frames: Sequence[HandFrame],
    recipe: PoseRecipe,
    out: Path,
    *,
    layout: str,
    joint_names: Sequence[str],
    joint_indices: Sequence[int] | None = None,
    seed: int = 0,
    resume: bool = False,
    devices: int = 1,
    nodes: int = 1,
    device: str = "auto",
    notes: Sequence[str] = (),
    progress: bool = True,
    cache: Path | None = None,
    save: bool = True,
    callbacks: Sequence[Any] = (),
    network: PoseNet | None = None,
) -> PoseFit:
    """Trains on the frames of split "train" and chooses the best epoch on "val"; the bundle is left at out/bundle.

    Frames that cannot be used are skipped and reported. With `resume`, training goes on after the last finished epoch
    in `out`. `save` false: no bundle. `callbacks`: Lightning's, called before an epoch is saved. `network`: one of the
    recipe's, trained on from its weights. Raises GestaError for data that cannot be learned from, another run's
    checkpoint, a loss that is not finite, or a full disk.
    """
    machine = Machine(device, devices, nodes)
    machine.precision(recipe.training.precision)
    transform = HandTransform(
        **recipe.input.model_dump(), joint_indices=None if joint_indices is None else tuple(joint_indices)
    )
    started = time.perf_counter()
    with full_disk_explained(out):
        out.mkdir(parents=True, exist_ok=True)
        sets, transform, skipped = _sets(frames, recipe, transform, len(joint_names), seed, progress, cache)
        if not resume:
            for name in ("checkpoints", "logs"):
                shutil.rmtree(out / name, ignore_errors=True)
        seed_everything(seed)
        if network is None:
            network = _network(recipe, transform, joint_names)
            network.start_from(sets.train.poses())
        stage = _stage(recipe, out, seed, joint_names, len(sets.train), resume, progress, callbacks)
        trained = _train_parts(network, stage, sets, recipe, machine)
        history, rank = [row for part in trained.values() for row in part[0]], trained[next(iter(trained))][2]
        network.settle(_batches(network, sets.val, recipe.training.batch))
        errors, squared = measure(network, sets.val, recipe.training.batch)
        best = trained["training"][1] if "training" in trained else _best_of(network, trained, sets, recipe)
        metrics = _metrics(best, history, errors, squared, sets)
        told = (*notes, *_remarks(sets, transform))
        if rank == 0:
            for name, (rows, _, _) in trained.items():
                draw_history(rows, out / f"{name}.png", recipe.name, ("error_mm", "mse"))
            if save:
                used = [*sets.train_frames, *sets.val_frames]
                provenance = pose_provenance(
                    used,
                    layout=layout,
                    seed=seed,
                    skipped=len(skipped),
                    notes=notes,
                    seconds=sum(row["seconds"] for row in history),
                    accelerator=machine.accelerator,
                )
                write_pose_bundle(
                    out / "bundle",
                    network,
                    joints=joint_names,
                    transform=transform,
                    recipe=recipe,
                    provenance=provenance,
                    metrics=metrics,
                    notes=_remarks(sets, transform),
                )
    seconds = time.perf_counter() - started
    mean = mean_pose_error(sets.train, sets.val)
    return PoseFit(out / "bundle", network, metrics, history, seconds, skipped, told, mean, rank)


Trained = dict[str, tuple[list[dict[str, float]], dict[str, float], int]]
"""Part of a network -> (history, best row, rank of this process)."""


def _train_parts(network: PoseNet, stage: Stage, sets: _Sets, recipe: PoseRecipe, machine: Machine) -> Trained:
    """Trains what the network says is to be trained by itself, one part after the other, in place."""
    trained: Trained = {}
    for number, (name, part) in enumerate(network.parts(), 1):
        halving = [Halving(recipe.training)] if recipe.training.schedule == "plateau" else []
        own = replace(stage, name=name, number=number, callbacks=[*halving, *stage.callbacks])
        data = ClipData(sets.train, sets.val, recipe.training.batch, stage.seed)
        trained[name] = run_stage(own, part, data, machine, task_for=partial(_task, part, recipe))
    return trained


def _task(part: PoseNet, recipe: PoseRecipe, steps: int) -> PoseTask:
    return PoseTask(part, recipe.training, steps=steps)


def _best_of(network: PoseNet, trained: Trained, sets: _Sets, recipe: PoseRecipe) -> dict[str, float]:
    """The row of a network of several parts: errors of the whole on the training part, the last of the best epochs."""
    errors, squared = measure(network, sets.train, recipe.training.batch)
    epoch = max(best["epoch"] for _, best, _ in trained.values())
    return {"epoch": epoch, "train_mse": squared, "train_error_mm": float(errors.mean())}


def measure(network: PoseNet, hands: HandSet, batch: int) -> tuple[NDArray[np.float64], float]:
    """(errors [n, J] in mm, mean squared error of the 3J outputs in half cubes) of a set, as recorded."""
    errors, squared = [], []
    network.eval()
    with torch.inference_mode():
        for hand, truth in _batches(network, hands, batch):
            apart = (network(hand) - truth).double().cpu()
            squared.append(apart.square().mean((1, 2)).numpy())
            errors.append(apart.norm(dim=-1).numpy())
    halves = np.array([cube.side_mm / 2 for cube in hands.windows.cubes])
    return np.concatenate(errors) * halves[:, None], float(np.concatenate(squared).mean())


def mean_pose_error(train: HandSet, hands: HandSet) -> float:
    """Mean joint error in mm of always saying the mean training pose, in the cube."""
    mean = train.poses().mean(0)
    halves = torch.tensor([cube.side_mm / 2 for cube in hands.windows.cubes])
    return float(((hands.poses() - mean).norm(dim=-1).mean(1) * halves).mean())


def prepare_hands(
    frames: Sequence[HandFrame],
    transform: HandTransform,
    *,
    joints: int,
    wide: bool = False,
    progress: bool = True,
    cache: Path | None = None,
) -> tuple[HandWindows, list[HandFrame], tuple[Problem, ...]]:
    """Windows of frames with that many joints; those of another number are left out, too. Raises GestaError."""
    odd = [f for f in frames if f.joints_mm is None or len(f.joints_mm) != joints]
    fitting = [f for f in frames if f.joints_mm is not None and len(f.joints_mm) == joints]
    problems = [
        Problem(str(f.depth), "joints", f"has {0 if f.joints_mm is None else len(f.joints_mm)} joints, not {joints}.")
        for f in odd
    ]
    with _bar("prepare", progress) as tick:
        windows, kept, found = collect(fitting, transform, wide=wide, root=cache, progress=tick)
    return windows, kept, (*problems, *found)


@dataclass(frozen=True)
class _Sets:
    train: HandSet
    val: HandSet
    train_frames: list[HandFrame]
    val_frames: list[HandFrame]


def _sets(
    frames: Sequence[HandFrame],
    recipe: PoseRecipe,
    transform: HandTransform,
    joints: int,
    seed: int,
    progress: bool,
    cache: Path | None,
) -> tuple[_Sets, HandTransform, tuple[Problem, ...]]:
    """Training and validation hands; the transform with colour's mean and deviation; what was left out."""
    wide = recipe.augmentation.active
    parts = {name: [f for f in frames if f.split == name] for name in ("train", "val")}
    if min(len(part) for part in parts.values()) < 1 or len(parts["train"]) < LEAST:
        raise GestaError(
            f"{len(parts['train'])} training and {len(parts['val'])} validation frames have joints; at least {LEAST} "
            "and 1 are needed. Add frames with joints."
        )
    found = {
        name: prepare_hands(
            part, transform, joints=joints, wide=wide and name == "train", progress=progress, cache=cache
        )
        for name, part in parts.items()
    }
    usable, problems = found["train"][1:]
    if len(usable) < LEAST:
        raise GestaError(
            f"Only {len(usable)} training frames can be used; at least {LEAST} are needed. "
            f"The first left out: {problems[0]}"
        )
    if transform.needs_color:
        mean, deviation = color_statistics(found["train"][0], transform)
        transform = transform.model_copy(update={"color_mean": mean, "color_deviation": deviation})
    sets = {
        name: HandSet(windows, np.stack([_joints(f) for f in kept]), transform, seed=seed)
        for name, (windows, kept, _) in found.items()
    }
    sets["train"].augmentation = recipe.augmentation
    skipped = (*found["train"][2], *found["val"][2])
    return _Sets(sets["train"], sets["val"], found["train"][1], found["val"][1]), transform, skipped


def _joints(frame: HandFrame) -> NDArray[np.float32]:
    assert frame.joints_mm is not None
    return frame.joints_mm


def _network(recipe: PoseRecipe, transform: HandTransform, joint_names: Sequence[str]) -> PoseNet:
    try:
        return build_pose(
            recipe.model.model_dump(), joint_names=joint_names, inputs=transform.inputs, size=transform.size
        )
    except ValueError as error:
        raise GestaError(f"{recipe.name}: {error}.", usage=True) from error


def _stage(
    recipe: PoseRecipe,
    out: Path,
    seed: int,
    joint_names: Sequence[str],
    frames: int,
    resume: bool,
    progress: bool,
    callbacks: Sequence[Any],
) -> Stage:
    identity = {
        "recipe": recipe.model_dump(mode="json"),
        "seed": seed,
        "set of joints": list(joint_names),
        "number of training frames": frames,
    }
    settings = recipe.training
    return Stage(
        "training",
        1,
        "train",
        settings.epochs,
        settings,
        "last",
        out,
        seed,
        identity,
        resume,
        progress,
        callbacks=callbacks,
        show=ShowPose,
    )


def _batches(network: PoseNet, hands: HandSet, batch: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Images and joints of a set as recorded, where the network is."""
    device = next(network.parameters()).device
    for start in range(0, len(hands), batch):
        made = hands.collate([hands[i] for i in range(start, min(start + batch, len(hands)))])
        yield made["hand"].to(device), made["joints"].to(device)


def _metrics(
    best: dict[str, float], history: Sequence[Any], errors: NDArray[np.float64], squared: float, sets: _Sets
) -> dict[str, Any]:
    kept = {k: v for k, v in best.items() if k.startswith("train_")}
    return {
        **kept,
        "val_mse": squared,
        "val_error_mm": float(errors.mean()),
        "val_per_joint_mm": errors.mean(0).tolist(),
        "best_epoch": int(best["epoch"]),
        "epochs": len(history),
        "train_frames": len(sets.train),
        "val_frames": len(sets.val),
    }


def _remarks(sets: _Sets, transform: HandTransform) -> tuple[str, ...]:
    """What about the data a reader of the results should know."""
    beyond = (sets.train.poses().abs() > 1).any(-1).any(-1)
    if not bool(beyond.any()):
        return ()
    return (
        f"{int(beyond.sum())} of {len(beyond)} training frames have joints outside the cube of {transform.cube_mm:g} "
        "mm, which networks with tanh cannot reach; --set input.cube_mm=... makes it larger.",
    )


class _bar:
    """Progress on stderr where it is a terminal."""

    def __init__(self, title: str, shown: bool) -> None:
        console = Console(stderr=True, emoji=False)
        self.progress = Progress(console=console, disable=not (shown and console.is_terminal))
        self.title = title

    def __enter__(self) -> Callable[[int, int], None]:
        self.progress.start()
        task = self.progress.add_task(self.title, total=None)
        return lambda done, total: self.progress.update(task, completed=done, total=total)

    def __exit__(self, *_: Any) -> None:
        self.progress.stop()
