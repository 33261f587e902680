"""`gesta train`: from labelled recordings to a bundle."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from gesta.cli.common import (
    BackboneOption,
    DeviceOption,
    FormatOption,
    JsonFlag,
    RecipeOption,
    SeedOption,
    SetOption,
    command,
    console,
    emit,
    existing,
    need,
)
from gesta.cli.kinds import refuse
from gesta.schema import GestaError

if TYPE_CHECKING:
    from gesta.experiments.begin import Begun
    from gesta.recipes import Recipe
    from gesta.schema import Clip, Problem, Sample
    from gesta.training.fit import FitResult

SHOWN_SKIPPED = 10
PARITY_CLIPS = 32
_OUT = "GESTA_TRAIN_OUT"  # tells the other processes of a run which folder the first one chose


def train(
    context: typer.Context,
    data: Annotated[Path, typer.Argument(help="Folder of labelled recordings.", show_default=False)],
    recipe: RecipeOption = "auto",
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for the bundle, logs and checkpoints; runs/... if left out.")
    ] = None,
    sets: SetOption = None,
    seed: SeedOption = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on after the last finished epoch in --out.")] = False,
    devices: Annotated[int, typer.Option("--devices", help="Processes (GPUs) on each computer.", min=1)] = 1,
    nodes: Annotated[int, typer.Option("--nodes", help="Computers.", min=1)] = 1,
    protocol: Annotated[
        str, typer.Option("--protocol", help="subject: people apart. document: ChaLearn's Validation is the test.")
    ] = "subject",
    start: Annotated[
        Path | None, typer.Option("--from", help="Bundle to begin with: its network, its last layer if classes agree.")
    ] = None,
    freeze: Annotated[
        str | None, typer.Option("--freeze", help="With --from: none, all (but the last layer), first, or names.")
    ] = None,
    backbone_weights: BackboneOption = None,
    layout: FormatOption = None,
    device: DeviceOption = "auto",
    json: JsonFlag = False,
) -> None:
    """Train a model on labelled recordings; the bundle is left at OUT/bundle."""
    need("train", "torch", "lightning", "matplotlib", "tensorboard")
    existing(data, "data folder")
    if resume and out is None:
        raise GestaError("--resume needs --out: the folder of the run that was stopped.", usage=True)
    if freeze is not None:
        if start is None:
            raise GestaError("--freeze needs --from BUNDLE: a network that has learned.", usage=True)
        sets = [*(sets or ()), *([] if freeze == "none" else [f"training.freeze={freeze}"])]
    given = context.get_parameter_source("recipe")
    own_recipe = start is None or (given is not None and given.name == "COMMANDLINE")
    if for_poses(recipe):
        if start is not None:
            raise GestaError("--from is for recordings and stored features, not for hand poses.", usage=True)
        from gesta.cli.train_pose import train_pose

        train_pose(
            data,
            recipe,
            sets or (),
            out or _new_folder(data, Path(recipe).stem),
            seed=seed,
            resume=resume,
            devices=devices,
            nodes=nodes,
            device=device,
            layout=layout,
            json=json,
            first=_is_first_process(),
        )
        return
    _refuse_hands(data, layout, recipe)
    from gesta.cli.train_features import for_features, train_features

    if for_features(recipe) or (data / "features.json").is_file():
        refuse(context, "sequence", "devices", "nodes", "protocol", "layout")
        folder = out or _new_folder(data, Path(recipe).stem)
        train_features(
            data,
            recipe if own_recipe else None,
            sets or (),
            folder,
            seed=seed,
            resume=resume,
            device=device,
            json=json,
            backbone=backbone_weights,
            start=start,
        )
        return
    if backbone_weights is not None:
        raise GestaError("--backbone-weights is for stored features: gesta train FEATURES.", usage=True)
    from gesta.sources.catalog import read

    listing = read(data, layout)
    samples, notes = split(listing.samples, protocol, seed)
    notes = [*(str(problem) for problem in listing.problems if problem.kind == "folder-roles"), *notes]
    base = None if start is None else _begun(start, recipe if own_recipe else None, sets or (), samples, seed)
    chosen = recipe_for(recipe, sets) if base is None else base.recipe
    notes += [] if base is None else [base.note]
    from gesta.compress.teacher import teachers_of
    from gesta.training.fit import fit, settle_for

    settled, picked = settle_for(samples, chosen)
    teachers = teachers_of(settled)
    folder = out or _new_folder(data, chosen.name)
    if _is_first_process():
        _introduce(settled, picked, notes, listing.problems, folder)
    result = fit(
        samples,
        settled,
        folder,
        layout=listing.layout,
        seed=seed,
        resume=resume,
        devices=devices,
        nodes=nodes,
        device=device,
        notes=notes,
        progress=not json,
        teachers=teachers,
        network=None if base is None else base.network,
        transform=None if base is None else base.transform,
    )
    if result.rank != 0:
        return
    parity = _export(result.bundle, samples)
    skipped = [*listing.problems, *result.skipped]
    document = {
        "bundle": str(result.bundle),
        "recipe": settled.model_dump(mode="json"),
        "picked": picked,
        "notes": notes,
        "metrics": result.metrics,
        "parity": parity,
        "seconds": round(result.seconds, 1),
        "skipped": [{"path": p.path, "kind": p.kind, "reason": p.reason} for p in skipped],
    }
    emit(document, _summary(result, parity, skipped, data, protocol), json)


def recipe_for(name: str, sets: Sequence[str] | None = None) -> Recipe:
    """The recipe with its `--set` changes. Raises GestaError (usage) for what is unknown or does not fit."""
    from gesta.recipes import RecipeError, load_recipe

    try:
        return load_recipe(name, sets or ())
    except RecipeError as error:
        raise GestaError(str(error), usage=True) from error


def _begun(bundle: Path, recipe: str | None, sets: Sequence[str], samples: Sequence[Sample], seed: int) -> Begun:
    """--from: see gesta.experiments.begin. Raises GestaError."""
    from gesta.experiments.begin import begun, recipe_from
    from gesta.recipes import RecipeError

    try:
        chosen = recipe_from(bundle, None if recipe is None else recipe_for(recipe), sets)
    except RecipeError as error:
        raise GestaError(str(error), usage=True) from error
    return begun(bundle, chosen, samples, seed)


def _refuse_hands(data: Path, layout: str | None, recipe: str) -> None:
    """Raises GestaError (usage) for frames of hand poses, which need a recipe of their own."""
    from gesta.sources.hand_catalog import HAND_READERS, detect

    found = layout if layout in HAND_READERS else detect(data) if layout is None and data.is_dir() else None
    if found is not None:
        raise GestaError(
            f"{data}: holds hand poses ({found}), and {recipe} is no recipe for them. "
            "Take one that is, e.g. --recipe kazakos/compact; `gesta recipes` lists them.",
            usage=True,
        )


def for_poses(name: str) -> bool:
    """Whether a recipe is one for hand poses; False where there is no such recipe."""
    from gesta.recipes import RecipeError, is_for_poses

    try:
        return is_for_poses(name)
    except RecipeError:
        return False  # said by what loads it


def split(samples: Sequence[Sample], protocol: str, seed: int) -> tuple[list[Sample], list[str]]:
    """The samples with their splits, and notes on what was done. Raises GestaError (usage) for an unknown protocol."""
    from gesta.sources.split import assign_splits

    if protocol not in ("subject", "document"):
        raise GestaError(f"unknown protocol {protocol!r}; there are subject and document.", usage=True)
    return assign_splits(samples, seed=seed, protocol="document" if protocol == "document" else "subject")


def _is_first_process() -> bool:
    return os.environ.get("LOCAL_RANK", "0") == "0" and os.environ.get("NODE_RANK", "0") == "0"


def _new_folder(data: Path, recipe: str) -> Path:
    """runs/<data>-<recipe>-<number>, the first that is free; the same in every process of a run."""
    if _OUT in os.environ:
        return Path(os.environ[_OUT])
    stem = re.sub(r"[^\w.-]+", "-", f"{data.resolve().name}-{recipe}")
    number = 1
    while (folder := Path("runs") / f"{stem}-{number}").exists():
        number += 1
    os.environ[_OUT] = str(folder)
    return folder


def _introduce(
    recipe: Recipe, picked: Sequence[str], notes: Sequence[str], problems: Sequence[Problem], folder: Path
) -> None:
    """What will be done and why, to stderr."""
    console.print(
        f"Recipe {recipe.name}: {recipe.title} Results go to {folder}.", highlight=False, markup=False, soft_wrap=True
    )
    for line in [*picked, *notes]:
        console.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)
    if problems:
        console.print(f"  {len(problems)} remarks on the data: see gesta data inspect.", highlight=False)


def _export(bundle: Path, samples: Sequence[Sample]) -> dict[str, Any]:
    """Adds OpenVINO networks to the bundle, compared with torch on validation clips, else on training ones."""
    from gesta.bundle import io
    from gesta.clips.cache import ClipCache
    from gesta.export import openvino

    transform, cache = io.read(bundle).manifest.transform, ClipCache()
    clips: list[Clip] = []
    for part in ("val", "train"):
        chosen = [s for s in samples if s.split == part and s.label is not None]
        for sample in chosen[:: max(1, len(chosen) // PARITY_CLIPS)][:PARITY_CLIPS] if not clips else ():
            with contextlib.suppress(GestaError):  # a broken recording, reported already
                clips.append(cache.load(sample, transform))
    return openvino.add(bundle, clips).model_dump()


def _summary(result: FitResult, parity: dict[str, Any], skipped: Sequence[Problem], data: Path, protocol: str) -> Text:
    metrics = result.metrics
    lines = [f"trained   {metrics['epochs']} epochs in {result.seconds:.0f} s, best epoch {metrics['best_epoch']}"]
    if "val_accuracy" in metrics:
        lines.append(f"accuracy  {metrics['val_accuracy']:.3f} on {metrics['val_clips']} validation clips")
    else:
        lines.append("accuracy  not measured: there is no validation clip; the last epoch is kept")
    lines.append(
        f"OpenVINO  same top class on {parity['top_class_agreement']:.0%} of {parity['clips']} clips, "
        f"largest difference {parity['largest_difference']:.1g}"
    )
    lines += [f"skipped   {problem}" for problem in skipped[:SHOWN_SKIPPED]]
    if len(skipped) > SHOWN_SKIPPED:
        lines.append(f"          ... {len(skipped)} in all; --json lists them")
    options = " --protocol document" if protocol == "document" else ""
    lines.append(f"bundle    {result.bundle}")
    lines.append(f"next      {command('gesta', 'evaluate', result.bundle, data)}{options}")
    return Text("\n".join(lines))
