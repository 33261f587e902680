"""`gesta train` with a recipe for hand poses: from frames with joints to a pose bundle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.text import Text

from gesta.cli.common import command, console, emit, need
from gesta.schema import GestaError

if TYPE_CHECKING:
    from gesta.recipes import PoseRecipe
    from gesta.schema import HandFrame, HandListing
    from gesta.training.pose_fit import PoseFit

SHOWN_SKIPPED = 10
PARITY_FRAMES = 32


def train_pose(
    data: Path,
    recipe: str,
    sets: Sequence[str],
    folder: Path,
    *,
    seed: int,
    resume: bool,
    devices: int,
    nodes: int,
    device: str,
    layout: str | None,
    json: bool,
    first: bool,
) -> None:
    """Trains and writes what came of it; `first`: whether this process is to speak. Raises GestaError."""
    need("train", "scipy", "h5py")
    chosen = pose_recipe_for(recipe, sets)
    listing, frames, notes = hands(data, layout, seed, chosen.training.validation_share)
    from gesta.training.pose_fit import fit_pose

    if first:
        console.print(
            f"Recipe {chosen.name}: {chosen.title} Results go to {folder}.",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
        for line in notes:
            console.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)
    result = fit_pose(
        frames,
        chosen,
        folder,
        layout=listing.layout,
        joint_names=listing.joint_names,
        joint_indices=indices_of(listing),
        seed=seed,
        resume=resume,
        devices=devices,
        nodes=nodes,
        device=device,
        notes=notes,
        progress=not json,
    )
    if result.rank != 0:
        return
    skipped = [*listing.problems, *result.skipped]
    document = {
        "bundle": str(result.bundle),
        "recipe": chosen.model_dump(mode="json"),
        "notes": list(result.notes),
        "metrics": result.metrics,
        "mean_pose_mm": result.mean_pose_mm,
        "parity": _export(result, frames),
        "seconds": round(result.seconds, 1),
        "skipped": [{"path": p.path, "kind": p.kind, "reason": p.reason} for p in skipped],
    }
    emit(document, _summary(result, document, skipped, data), json)


def pose_recipe_for(name: str, sets: Sequence[str]) -> PoseRecipe:
    """The recipe with its `--set` changes. Raises GestaError (usage) for what is unknown or does not fit."""
    from gesta.recipes import RecipeError, load_pose_recipe

    try:
        return load_pose_recipe(name, sets)
    except RecipeError as error:
        raise GestaError(str(error), usage=True) from error


def hands(
    data: Path, layout: str | None, seed: int, validation_share: float
) -> tuple[HandListing, list[HandFrame], list[str]]:
    """What lies in a folder of hands, its frames with their splits, and notes on those. Raises GestaError."""
    from gesta.sources.hand_catalog import read
    from gesta.sources.hand_split import assign_hand_splits

    listing = read(data, layout)
    frames, notes = assign_hand_splits(listing.frames, seed=seed, validation_share=validation_share)
    return listing, frames, notes


def indices_of(listing: HandListing) -> tuple[int, ...] | None:
    """Which of the data set's joints are taken, where not all: NYU's 14 of 36."""
    from gesta.sources.nyu import PROTOCOL

    return PROTOCOL if listing.layout == "nyu" else None


def _export(result: PoseFit, frames: Sequence[HandFrame]) -> dict[str, Any]:
    """Adds the OpenVINO network to the bundle, compared with torch on validation frames."""
    from gesta.bundle import io
    from gesta.clips.hand_transform import prepare_hand
    from gesta.export import pose as export_pose

    bundle = io.read_pose(result.bundle)
    left_out = {problem.path for problem in result.skipped}
    chosen = [f for f in frames if f.split == "val" and str(f.depth) not in left_out]
    chosen = chosen[:: max(1, len(chosen) // PARITY_FRAMES)][:PARITY_FRAMES]
    images = np.stack([prepare_hand(frame, bundle.manifest.transform).image for frame in chosen])
    return export_pose.add(result.bundle, images).model_dump()


def _summary(result: PoseFit, document: dict[str, Any], skipped: Sequence[Any], data: Path) -> Text:
    metrics, parity = result.metrics, document["parity"]
    lines = [
        f"trained   {metrics['epochs']} epochs in {result.seconds:.0f} s, best epoch {metrics['best_epoch']}",
        f"error     {metrics['val_error_mm']:.2f} mm on {metrics['val_frames']} validation frames "
        f"(the mean pose: {result.mean_pose_mm:.2f} mm), MSE {metrics['val_mse']:.5f}",
        f"OpenVINO  largest difference {parity['largest_difference_mm']:.1g} mm on {parity['frames']} frames",
    ]
    lines += [f"note      {note}" for note in result.notes]
    lines += [f"skipped   {problem}" for problem in skipped[:SHOWN_SKIPPED]]
    if len(skipped) > SHOWN_SKIPPED:
        lines.append(f"          ... {len(skipped)} in all; --json lists them")
    lines += [f"bundle    {result.bundle}", f"next      {command('gesta', 'evaluate', result.bundle, data)}"]
    return Text("\n".join(lines))
