"""Train a pose bundle from hand frames and a recipe in one call (Kazakos, section 4.4.3)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gesta.models.pose_catalog import build_pose
from gesta.models.pose_layers import PoseNet
from gesta.models.pose_prior import PosePrior
from gesta.progress import bar
from gesta.schema import GestaError, HandFrame, HandListing, Problem
from gesta.sources.nyu import PROTOCOL
from gesta.tasks.hands import detector
from gesta.tasks.hands.cache import HandWindows, collect
from gesta.tasks.hands.data import HandSet, color_statistics
from gesta.tasks.hands.detect import CENTER
from gesta.tasks.hands.evaluate import identities
from gesta.tasks.hands.manifest import HandManifest
from gesta.tasks.hands.module import Halving, LearnPose
from gesta.tasks.hands.recipe import HandRecipe
from gesta.tasks.hands.transform import HandTransform
from gesta.training.checkpoints import full_disk_explained, seed_everything
from gesta.training.data import TrainingData
from gesta.training.figure import FIGURE, draw_history
from gesta.training.learner import Row
from gesta.training.run import Fitted, Run, clear
from gesta.training.save import provenance_of, write_bundle
from gesta.training.stage import Stage, precision_for, run_stage

LEAST = 4
"""Minimum number of training frames."""


def fit(
    listing: HandListing,
    recipe: HandRecipe,
    run: Run,
    *,
    cache: Path | None = None,
    callbacks: Sequence[Any] = (),
    network: PoseNet | None = None,
) -> Fitted:
    """Train on split "train", select the best epoch on "val" and write the bundle to run.out/bundle.

    Unusable frames are skipped and reported. `callbacks`: Lightning callbacks, called before an epoch is saved.
    `network`: a network of the recipe whose training is continued from its weights. `facts` of the result contains
    "mean_pose_mm", the validation error of always predicting the mean training pose. Raises GestaError for unusable
    data, a checkpoint of another run, a non-finite loss, or a full disk.
    """
    precision_for(recipe.training.precision, run.device)
    names = listing.joint_names
    transform = HandTransform(**recipe.input.model_dump(), joint_indices=joint_indices(listing.layout))
    started = time.perf_counter()
    with full_disk_explained(run.out):
        run.out.mkdir(parents=True, exist_ok=True)
        sets, transform, skipped = _sets(listing.frames, recipe, transform, len(names), run, cache)
        clear(run)
        seed_everything(run.seed)
        if network is None:
            network = _network(recipe, transform, names)
            network.start_from(sets.train.poses())
        learning: PoseNet = network
        trained = _train_parts(learning, _stage(recipe, run, names, len(sets.train), callbacks), sets, recipe)
        history, rank = [row for part in trained.values() for row in part[0]], next(iter(trained.values()))[2]
        network.calibrate(_batches(network, sets.val, recipe.training.batch))
        errors, squared = measure(network, sets.val, recipe.training.batch)
        best = trained["training"][1] if "training" in trained else _best_of(network, trained, sets, recipe)
        metrics = _metrics(best, history, errors, squared, sets)
        warnings = _warnings(sets, transform)
        if rank == 0:
            begun = time.perf_counter()
            others, measured, told = _detector(sets, recipe, run)
            detecting = time.perf_counter() - begun
            metrics, warnings = {**metrics, **measured}, (*warnings, *told)
            for name, (rows, _, _) in trained.items():
                draw_history(
                    rows, run.out / (FIGURE if len(trained) == 1 else f"{name}.png"), recipe.name, ("error_mm", "mse")
                )
            used = [*sets.train_frames, *sets.val_frames]
            spent = sum(row["seconds"] for row in history) + detecting
            data_of = frames_content([f for f in used if f.split == "train"])
            known: dict[str, Any] = {"layout": listing.layout, "data": data_of, "identities": identities}
            origin = provenance_of(used, run, **known, skipped=len(skipped), seconds=spent)
            fields: dict[str, Any] = {"joints": names, "transform": transform, "metrics": metrics}
            fields |= {"notes": warnings, "others": others}
            write_bundle(run.out / "bundle", HandManifest, network, recipe, origin, **fields)
    facts = {"mean_pose_mm": mean_pose_error(sets.train, sets.val)}
    seconds = time.perf_counter() - started
    told = (*run.notes, *warnings)
    bundle = run.out / "bundle"
    return Fitted(bundle, metrics, history, seconds, recipe, skipped, told, (), rank, network, facts)


def joint_indices(layout: str) -> tuple[int, ...] | None:
    """Return the indices of the joints used, if not all of the data set's: NYU's 14 of 36."""
    return PROTOCOL if layout == "nyu" else None


def frames_content(frames: Sequence[HandFrame]) -> bytes:
    """Serialize what identifies the frames: id, size of the depth file, split, camera, unit, center, joints.

    The images themselves, possibly tens of thousands, are not read.
    """
    content = bytearray()
    for frame in sorted(frames, key=lambda f: f.id):
        size = frame.depth.path.stat().st_size if frame.depth.path.is_file() else 0
        content += repr((frame.id, size, frame.split, asdict(frame.camera), frame.depth_unit_mm)).encode()
        for points in (frame.center_mm, frame.joints_mm):
            content += b"-" if points is None else points.astype("<f4").tobytes()
    return bytes(content)


Trained = dict[str, tuple[list[Row], Row, int]]
"""Part of a network -> (history, best row, rank of this process)."""


def _train_parts(network: PoseNet, stage: Stage, sets: _Sets, recipe: HandRecipe) -> Trained:
    """Train the parts that the network declares as trained separately, one after the other, in place."""
    trained: Trained = {}
    prior = PosePrior(sets.train.poses()) if recipe.training.prior else None
    for number, (name, part) in enumerate(network.parts(), 1):
        halving = [Halving(recipe.training)] if recipe.training.schedule == "plateau" else []
        own = replace(stage, name=name, number=number, callbacks=[*halving, *stage.callbacks])
        data = TrainingData(sets.train, sets.val, recipe.training.batch, stage.run.seed)
        trained[name] = run_stage(own, part, data, partial(_learner, part, recipe, prior))
    return trained


def _learner(part: PoseNet, recipe: HandRecipe, prior: PosePrior | None, steps: int) -> LearnPose:
    return LearnPose(part, recipe.training, prior=prior, steps=steps)


def _detector(
    sets: _Sets, recipe: HandRecipe, run: Run
) -> tuple[dict[str, nn.Module], dict[str, float], tuple[str, ...]]:
    """Return (the trained hand detector by stage, its metrics, notes); nothing if the recipe has none."""
    if not recipe.detector:
        return {}, {}, ()
    side_mm, turn = recipe.input.cube_mm, recipe.augmentation.rotation_deg
    found, metrics, notes = detector.fit(sets.train_frames, sets.val_frames, side_mm, turn, run)
    return ({} if found is None else {CENTER: found}), metrics, notes


def _best_of(network: PoseNet, trained: Trained, sets: _Sets, recipe: HandRecipe) -> Row:
    """Return the row of a multi-part network: its errors on the training set, the last of the best epochs."""
    errors, squared = measure(network, sets.train, recipe.training.batch)
    epoch = max(best["epoch"] for _, best, _ in trained.values())
    return {"epoch": epoch, "train_mse": squared, "train_error_mm": float(errors.mean())}


def measure(network: PoseNet, hands: HandSet, batch: int) -> tuple[NDArray[np.float64], float]:
    """Return (errors [n, J] in mm, MSE of the 3J outputs in units of half a cube) on a set, not augmented."""
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
    """Return the mean joint error in mm of always predicting the mean training pose, in the cube."""
    mean = train.poses().mean(0)
    halves = torch.tensor([cube.side_mm / 2 for cube in hands.windows.cubes])
    return float(((hands.poses() - mean).norm(dim=-1).mean(1) * halves).mean())


def preprocess_hands(
    frames: Sequence[HandFrame],
    transform: HandTransform,
    *,
    joints: int,
    wide: bool = False,
    progress: bool = True,
    cache: Path | None = None,
) -> tuple[HandWindows, list[HandFrame], tuple[Problem, ...]]:
    """Return the windows, the frames used, and problems. Frames without `joints` joints are skipped, too.

    Raises GestaError if no frame is left.
    """
    odd = [f for f in frames if f.joints_mm is None or len(f.joints_mm) != joints]
    fitting = [f for f in frames if f.joints_mm is not None and len(f.joints_mm) == joints]
    problems = [
        Problem(str(f.depth), "joints", f"has {0 if f.joints_mm is None else len(f.joints_mm)} joints, not {joints}.")
        for f in odd
    ]
    with bar("prepare", progress) as tick:
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
    recipe: HandRecipe,
    transform: HandTransform,
    joints: int,
    run: Run,
    cache: Path | None,
) -> tuple[_Sets, HandTransform, tuple[Problem, ...]]:
    """Return training and validation hands, the transform with color mean and deviation, and what was skipped."""
    wide = recipe.augmentation.active
    parts = {name: [f for f in frames if f.split == name] for name in ("train", "val")}
    if min(len(part) for part in parts.values()) < 1 or len(parts["train"]) < LEAST:
        raise GestaError(
            f"{len(parts['train'])} training and {len(parts['val'])} validation frames have joints; at least {LEAST} "
            "and 1 are needed. Add frames with joints."
        )
    found = {
        name: preprocess_hands(
            part, transform, joints=joints, wide=wide and name == "train", progress=run.progress, cache=cache
        )
        for name, part in parts.items()
    }
    usable, problems = found["train"][1:]
    if len(usable) < LEAST:
        raise GestaError(
            f"Only {len(usable)} training frames can be used; at least {LEAST} are needed. "
            f"The first problem: {problems[0]}"
        )
    if transform.needs_color:
        mean, deviation = color_statistics(found["train"][0], transform)
        transform = transform.model_copy(update={"color_mean": mean, "color_deviation": deviation})
    sets = {
        name: HandSet(windows, np.stack([_joints(f) for f in kept]), transform, seed=run.seed)
        for name, (windows, kept, _) in found.items()
    }
    sets["train"].augmentation = recipe.augmentation
    skipped = (*found["train"][2], *found["val"][2])
    return _Sets(sets["train"], sets["val"], found["train"][1], found["val"][1]), transform, skipped


def _joints(frame: HandFrame) -> NDArray[np.float32]:
    assert frame.joints_mm is not None
    return frame.joints_mm


def _network(recipe: HandRecipe, transform: HandTransform, joint_names: Sequence[str]) -> PoseNet:
    try:
        return build_pose(
            recipe.model.model_dump(), joint_names=joint_names, inputs=transform.inputs, size=transform.size
        )
    except ValueError as error:
        raise GestaError(f"{recipe.name}: {error}.", usage=True) from error


def _stage(recipe: HandRecipe, run: Run, joint_names: Sequence[str], frames: int, callbacks: Sequence[Any]) -> Stage:
    identity = {
        "recipe": recipe.model_dump(mode="json", exclude={"detector"}),  # trained afterwards
        "seed": run.seed,
        "set of joints": list(joint_names),
        "number of training frames": frames,
    }
    settings = recipe.training
    return Stage("training", 1, "train", settings.epochs, settings, run, identity, ("val_mse",), callbacks)


def _batches(network: PoseNet, hands: HandSet, batch: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield images and joints of a set, not augmented, on the network's device."""
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


def _warnings(sets: _Sets, transform: HandTransform) -> tuple[str, ...]:
    """Return warnings about the data that matter for interpreting the results."""
    beyond = (sets.train.poses().abs() > 1).any(-1).any(-1)
    if not bool(beyond.any()):
        return ()
    return (
        f"{int(beyond.sum())} of {len(beyond)} training frames have joints outside the cube of {transform.cube_mm:g} "
        "mm, which networks with tanh cannot reach; --set input.cube_mm=... makes it larger.",
    )
