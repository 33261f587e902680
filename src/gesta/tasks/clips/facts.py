"""Resolves a recipe and derives its transform from samples."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Any

from gesta.clips import shards
from gesta.clips.cache import default_root
from gesta.clips.skeleton import serves_crops
from gesta.clips.skeleton_frames import rate_of, skeletons_of
from gesta.clips.skeleton_space import SkeletonSpace
from gesta.clips.tracker_spec import TrackerSpec
from gesta.clips.transform import Transform
from gesta.models.catalog import steps_on_skeletons, takes_chunks
from gesta.models.start import padding_for
from gesta.models.weights import WeightsError
from gesta.recipes import RecipeError
from gesta.schema import GestaError, Listing, Sample
from gesta.tasks.clips.auto import Facts, resolve
from gesta.tasks.clips.offer import offer
from gesta.tasks.clips.recipe import ClipRecipe, SkeletonSettings
from gesta.trackers.joints import SOUGHT, What, joint_names

_PROBED = 25
LONGEST_CONTEXT = 5
"""Frames to which short clips are padded for spatio-temporal ResNets, at most (Iqbal, table 5.7)."""


def resolve_for(found: Listing | Sequence[Sample], recipe: ClipRecipe) -> tuple[ClipRecipe, list[str]]:
    """Returns the recipe with every "auto" resolved from the training samples (without any, all labeled ones).

    Also returns notes on what was chosen and why. Raises GestaError (usage) if the data does not suit the recipe.
    """
    samples = found.samples if isinstance(found, Listing) else found
    try:
        splits = ("train",) if recipe.training.validation else ("train", "val")
        resolved, notes = resolve(recipe, facts_of(samples, splits, recipe.input.tracker))
    except RecipeError as error:
        raise GestaError(f"recipe {recipe.name}: {error}", usage=True) from error
    return resolved, [*notes, *offer(samples, recipe)]


def resolve_padding(recipe: ClipRecipe) -> ClipRecipe:
    """Returns the recipe with the padding of its pretrained weights, unless it sets one.

    Raises GestaError (usage) if there are no such weights, or those of the two streams use different padding.
    """
    model = recipe.model
    found = {}
    for name in ("weights", "motion_weights"):
        file = getattr(model, name)
        if file is not None and model.padding is None:
            try:
                found[name] = padding_for(model.name, file, default_root() / "weights")
            except WeightsError as error:
                raise GestaError(f"model.{name}: {error}", usage=True) from error
    if len(set(found.values())) > 1:
        raise GestaError(
            "model.weights and model.motion_weights: one file is of an image network, the other of I3D, and they are "
            "padded differently. Give two files of the same kind, or set model.padding=same or "
            "model.padding=inception_v1.",
            usage=True,
        )
    padding = next(iter(found.values()), model.padding)
    return recipe.model_copy(update={"model": model.model_copy(update={"padding": padding})})


def facts_of(samples: Sequence[Sample], splits: Sequence[str] = ("train",), tracker: What | None = None) -> Facts:
    """Returns what the training samples provide; `tracker`: finds skeletons in those with color.

    Raises GestaError if none has a label.
    """
    labeled = [s for s in samples if s.label is not None]
    used = [s for s in labeled if s.split in splits] or labeled
    if not used:
        raise GestaError("No recording has a label, so there is nothing to learn. See docs/data_conventions.md.")
    share = {
        **{m: sum(m in s.modalities for s in used) / len(used) for m in ("color", "depth", "mask")},
        "skeleton": sum(map(serves_crops, used)) / len(used),
        "joints": sum(s.skeleton is not None for s in used) / len(used),
    }
    if tracker is not None:
        share |= {"joints": share["color"], "skeleton": share["color"] * SOUGHT[tracker].body}
    return Facts(len(used), tuple(sorted({str(s.label) for s in used})), median_fps(used), share)


def median_fps(samples: Sequence[Sample]) -> float | None:
    """Returns the median frame rate from the headers of up to 25 recordings, to 0.01; None if there is none."""
    rates = [rate for sample in _some_of(samples) if (rate := rate_of(sample))]
    return round(statistics.median_low(rates), 2) if rates else None


def _some_of(samples: Sequence[Sample]) -> list[Sample]:
    """Returns up to about 25 recordings, evenly spread."""
    first = list({s.recording: s for s in samples}.values())
    return first[:: max(1, len(first) // _PROBED)]


def space_for(settings: SkeletonSettings, samples: Sequence[Sample]) -> SkeletonSpace:
    """Returns the space of the joint set of most samples. Raises GestaError if no skeleton can be read."""
    if space := next((shards.space_of(s) for s in samples if s.files[0].is_packed), None):
        return SkeletonSpace.model_validate(space.model_dump(include={"joints", "dimensions"}) | settings.model_dump())
    found: Counter[tuple[tuple[str, ...], int]] = Counter()
    first = ""
    for sample in _some_of([s for s in samples if s.skeleton is not None]):
        try:
            read = skeletons_of(sample)
        except GestaError as error:
            first = first or str(error)
            continue
        found[(read.joints, read.values.shape[2])] += 1
    if not found:
        raise GestaError(f"No skeleton can be read. The first problem: {first or 'there is no skeleton'}")
    (joints, dimensions), _ = found.most_common(1)[0]
    return SkeletonSpace.model_validate({**settings.model_dump(), "joints": joints, "dimensions": dimensions})


def transform_for(recipe: ClipRecipe, samples: Sequence[Sample]) -> Transform:
    """Returns the transform of a resolved recipe; an unresolved one is resolved from the samples first."""
    recipe, _ = resolve_for(samples, recipe) if "auto" in recipe.input.model_dump().values() else (recipe, [])
    given = recipe.input
    own: dict[str, Any] = {"sampling": given.sampling if takes_chunks(recipe.model.name) else "central"}
    if "skeleton" in given.streams:
        own = _of_skeletons(recipe, samples)
    elif given.sampling == "whole":
        own = {"sampling": "whole", "chunk": LONGEST_CONTEXT}
    if given.tracker is not None:
        mask = bool(given.pictures) and SOUGHT[given.tracker].body
        own["tracker"] = TrackerSpec.of_this_computer(given.tracker, mask=mask)
    return Transform.model_validate({**given.model_dump(exclude={"max_fps", "skeleton", "tracker"}), **own})


def _of_skeletons(recipe: ClipRecipe, samples: Sequence[Sample]) -> dict[str, Any]:
    """Returns the skeleton-specific fields of a transform: networks with a step take single frames (beside pixels,
    chunks), the others whole clips.

    If no training clip has a label, the joints are taken from any sample.
    """
    used = [s for s in samples if s.split == "train" and s.label is not None] or samples
    settings, tracker = recipe.input.skeleton or SkeletonSettings(), recipe.input.tracker
    space = (
        space_for(settings, used)
        if tracker is None
        else SkeletonSpace(**settings.model_dump(), joints=joint_names(tracker), dimensions=2)
    )
    steps = steps_on_skeletons((recipe.model.skeleton or recipe.model).name)
    chunk = {"chunk": 1} if steps and recipe.input.of_skeletons else {}
    return {"skeleton": space, "sampling": "chunks" if steps else "whole", **chunk}
