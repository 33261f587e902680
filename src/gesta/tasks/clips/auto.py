"""Resolves a recipe's "auto" values from the data, and notes what was chosen and why."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from gesta.recipes.load import RecipeError
from gesta.recipes.schema import TrainingSettings
from gesta.tasks.clips.passages import is_none
from gesta.tasks.clips.recipe import ClipRecipe, InputSettings, SkeletonSettings
from gesta.tasks.clips.recipe_model import OF_FLOW

ENOUGH = 0.9
"""A modality is used if at least this fraction of the clips has it; the other clips are skipped and listed."""

MAX_FPS, MAX_FPS_DEPTH = 30.0, 15.0
"""The rates of `max_fps: auto`. Without depth the second channel is the difference of consecutive frames: walking and
running were distinguished better at 25 than at 12.5 frames/s, within training parts (docs/results.md, Weizmann)."""

UNKNOWN_FPS = 30.0

FEW_CLIPS = 150
"""Below this number of clips the batch size is reduced, so that an epoch has enough steps."""

_SIDED = re.compile(
    r"(?<![a-z])(left|right|(counter ?|anti ?)?clockwise|cw|ccw"
    r"|links|rechts|gauche|droite|sinistra|destra|izquierda|derecha)(?![a-z])"
)


@dataclass(frozen=True)
class Facts:
    """What the data provides. `share`: fraction of the clips with color, depth, mask, skeleton (usable for crops),
    joints (any skeleton); `fps`: the median."""

    clips: int
    labels: tuple[str, ...]
    fps: float | None
    share: Mapping[str, float] = field(default_factory=dict)

    def has(self, modality: str) -> bool:
        return self.share.get(modality, 0.0) >= ENOUGH


def resolve(recipe: ClipRecipe, facts: Facts) -> tuple[ClipRecipe, list[str]]:
    """Returns the recipe with every "auto" resolved and every missing input replaced, and a note for each.

    Raises RecipeError if there is no replacement: only the hand stream without skeletons, neither color nor depth.
    """
    notes: list[str] = []
    given = recipe.input
    if given.tracker is not None and not facts.has("color"):
        raise RecipeError(
            f"input.tracker={given.tracker} needs color video, and {facts.share.get('color', 0):.0%} of the "
            "clips have it. Set input.tracker=null."
        )
    if "skeleton" in given.streams:
        _need_joints(facts)
    if given.of_skeletons:
        return _resolve_skeletons(recipe, facts, notes), notes
    body = _body(given, facts, notes)
    channels = _channels(given, facts, notes)
    if recipe.model.fusion in OF_FLOW and channels != tuple(given.channels):
        raise RecipeError("model.fusion needs color for the optical flow, and the recordings have none.")
    resolved: dict[str, object] = {
        "fps": _fps(given, facts, notes),
        "max_fps": _max_fps(given, facts),
        "body": body,
        "streams": _streams(given, facts, body, notes),
        "channels": channels,
        "box_smoothing": _smoothing(given, body, notes),
    }
    if given.fused:
        resolved["skeleton"] = given.skeleton or SkeletonSettings()
    if given.tracker is not None and given.hand_rule == "clip":
        notes.append("hand_rule so_far: a tracker only knows past frames.")
        resolved["hand_rule"] = "so_far"
    nothing = next((label for label in facts.labels if is_none(label)), None)
    if nothing is not None and recipe.continuous is None:
        notes.append(f"{nothing!r} is a class like the others; to report each gesture once in a stream: --recipe live.")
    return _resolved(recipe, facts, resolved, _flip(recipe, facts, body, notes), notes), notes


def _need_joints(facts: Facts) -> None:
    """Raises RecipeError if the recordings have no skeletons and no tracker finds them."""
    if not facts.has("joints"):
        raise RecipeError(
            f"input.streams contains skeleton, but {facts.share.get('joints', 0):.0%} of the clips have one. In "
            "plain RGB, "
            "a tracker finds hands and bodies: --set input.tracker=pose (or hands, both; first `gesta fetch "
            "trackers`), "
            "or run `gesta track DATA --out TRACKED` once and train on TRACKED."
        )


def _resolve_skeletons(recipe: ClipRecipe, facts: Facts, notes: list[str]) -> ClipRecipe:
    """Resolves a recipe for the skeleton stream: no crops, no channels."""
    given = recipe.input
    resolved = {
        "fps": _fps(given, facts, notes),
        "max_fps": _max_fps(given, facts),
        "body": "frame",
        "channels": (),
        "box_smoothing": 0.0,
        "skeleton": given.skeleton or SkeletonSettings(),
    }
    return _resolved(recipe, facts, resolved, 0.0, notes)


def _resolved(
    recipe: ClipRecipe, facts: Facts, resolved: Mapping[str, object], flip: float, notes: list[str]
) -> ClipRecipe:
    changes = {
        "input": recipe.input.model_copy(update=resolved),
        "augmentation": recipe.augmentation.model_copy(update={"flip": flip}),
        "training": _enough(
            recipe.training.model_copy(
                update={"epochs": _epochs(recipe, facts, notes), "batch": _batch(recipe, facts, notes)}
            ),
            facts,
            notes,
        ),
    }
    return ClipRecipe.model_validate(recipe.model_copy(update=changes).model_dump())


def epochs_for(clips: int) -> int:
    """80 epochs for up to 80 clips, 44 for 300, 12 from 5,000 on: steps grow slightly more slowly than clips."""
    return min(80, max(12, round(80 * (80 / max(clips, 1)) ** 0.45)))


def is_sided(label: str) -> bool:
    """Returns whether a label names a side or a direction of turning, so that its mirror image is another class."""
    words = re.sub(r"[_\-./]+", " ", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", label)).lower()
    return _SIDED.search(words) is not None


def _max_fps(given: InputSettings, facts: Facts) -> float | None:
    if given.max_fps == "auto":
        return MAX_FPS_DEPTH if facts.has("depth") else MAX_FPS
    return given.max_fps


def _fps(given: InputSettings, facts: Facts, notes: list[str]) -> float:
    if given.fps != "auto":
        return given.fps
    most = _max_fps(given, facts)
    rate = facts.fps or UNKNOWN_FPS
    every = 1 if most is None else math.ceil(rate / most - 0.01)
    fps = round(rate / every, 3)
    thinned = f"; one of every {every} frames is used (max_fps {most:g})" if every > 1 else ""
    known = "the median of the training recordings is" if facts.fps else "no recording has a frame rate, assumed to be"
    notes.append(f"fps {fps:g}: {known} {rate:g}{thinned}.")
    return fps


def _body(given: InputSettings, facts: Facts, notes: list[str]) -> str:
    if given.body == "auto" and given.fused and given.pictures == ("body",):
        notes.append("body crop from motion, so that pixels can be used if the skeleton is missing.")
        return "motion"
    if given.body == "auto":
        if facts.has("skeleton"):
            notes.append("body crop from the skeleton: the recordings have one.")
            return "skeleton"
        notes.append("body crop from motion, the whole frame until something moves: there are no skeletons.")
        return "motion"
    if given.body == "skeleton" and not facts.has("skeleton"):
        notes.append("body crop from motion instead of the skeleton: the recordings have none.")
        return "motion"
    return given.body


def _streams(given: InputSettings, facts: Facts, body: str, notes: list[str]) -> tuple[str, ...]:
    possible = ("body", "hand") if body == "skeleton" else ("body",)
    if given.streams == "auto":
        why = "a skeleton shows where the hand is" if len(possible) == 2 else "the hand stream needs skeletons"
        notes.append(f"streams {', '.join(possible)}: {why}.")
        return possible
    kept = tuple(s for s in given.streams if s in (*possible, "skeleton"))
    if not set(kept) & set(possible):
        raise RecipeError(
            f"input.streams is only hand, which needs skeletons and input.body = skeleton; "
            f"{facts.share.get('skeleton', 0):.0%} of the clips have a skeleton. Set input.streams=[body]."
        )
    if kept != tuple(given.streams):
        notes.append("no hand stream: it needs skeletons, and the recordings have none.")
    return kept


def _channels(given: InputSettings, facts: Facts, notes: list[str]) -> tuple[str, ...]:
    color, depth = facts.has("color"), facts.has("depth")
    if not (color or depth):
        raise RecipeError(
            f"neither color nor depth is available in {ENOUGH:.0%} of the clips: "
            + ", ".join(f"{name} in {part:.0%}" for name, part in facts.share.items())
            + ". Train on recordings of one kind only."
        )
    if color and depth:
        possible, why = ("gray", "depth"), "the recordings have both"
    elif color:
        possible, why = (
            ("gray", "gray_difference"),
            "there is no depth, so the temporal difference of gray is used instead",
        )
    else:
        possible, why = (
            ("depth", "depth_difference"),
            "there is no color, so the temporal difference of depth is used instead",
        )
    if given.channels == "auto":
        notes.append(f"channels {', '.join(possible)}: {why}.")
        return possible
    needed = {"depth" if c.startswith("depth") else "color" for c in given.channels}
    if all(facts.has(modality) for modality in needed):
        return tuple(given.channels)
    notes.append(f"channels {', '.join(possible)} instead of {', '.join(given.channels)}: {why}.")
    return possible


def _smoothing(given: InputSettings, body: str, notes: list[str]) -> float:
    if given.box_smoothing != "auto":
        return given.box_smoothing
    value = 0.5 if body == "motion" else 0.0
    if value:
        notes.append(f"box smoothing {value:g}: boxes from motion jump.")
    return value


def _flip(recipe: ClipRecipe, facts: Facts, body: str, notes: list[str]) -> float:
    flip = recipe.augmentation.flip
    if flip != "auto":
        return flip
    sided = [label for label in facts.labels if is_sided(label)]
    if body == "skeleton":
        notes.append("no random mirror: with a skeleton the input is mirrored to one hand already.")
        return 0.0
    if sided:
        notes.append(f"no random mirror: labels name a side ({', '.join(sided[:3])}).")
        return 0.0
    notes.append("random mirror of half the clips: no label names a side.")
    return 0.5


def _epochs(recipe: ClipRecipe, facts: Facts, notes: list[str]) -> int:
    if recipe.training.epochs != "auto":
        return recipe.training.epochs
    epochs = epochs_for(facts.clips)
    notes.append(f"{epochs} epochs: for {facts.clips} training clips.")
    return epochs


def _enough(training: TrainingSettings, facts: Facts, notes: list[str]) -> TrainingSettings:
    """Increases the number of epochs to reach the minimum number of updates."""
    if training.least_updates is None:
        return training
    each = -(-facts.clips // int(training.batch))
    epochs = -(-training.least_updates // each)
    if epochs <= int(training.epochs):
        return training
    notes.append(
        f"{epochs} epochs, not {training.epochs}: at least {training.least_updates} updates, {each} per epoch."
    )
    return training.model_copy(update={"epochs": epochs})


def _batch(recipe: ClipRecipe, facts: Facts, notes: list[str]) -> int:
    if recipe.training.batch != "auto":
        return recipe.training.batch
    batch = 8 if facts.clips < FEW_CLIPS else 16
    notes.append(f"batch {batch}: for {facts.clips} training clips.")
    return batch
