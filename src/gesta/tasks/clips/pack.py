"""Plans `gesta data pack`: which clips, preceding rests and skeletons a training by a recipe reads."""

from __future__ import annotations

from dataclasses import replace

from gesta.clips.packing import Plan
from gesta.clips.shards import MAIN, REST, REST_ID, SKELETONS, Part
from gesta.schema import GestaError
from gesta.tasks.base import Parts
from gesta.tasks.clips.choose import compares
from gesta.tasks.clips.context import before
from gesta.tasks.clips.facts import resolve_for, transform_for
from gesta.tasks.clips.lookups import of_skeletons
from gesta.tasks.clips.recipe import ClipRecipe


def plan_of(parts: Parts, recipe: ClipRecipe, shard_bytes: int) -> tuple[Plan, list[str]]:
    """Returns what to pack for a recipe, and how its "auto" values were resolved. Raises GestaError (usage) for recipes
    that use whole recordings."""
    if recipe.continuous is not None:
        raise GestaError(
            f"recipe {recipe.name} trains on whole recordings, but shards contain clips. Train on the recordings.",
            usage=True,
        )
    samples = parts.listing.samples
    resolved, notes = resolve_for(samples, recipe)
    transform = transform_for(resolved, samples)
    listed, rests = [Part(name=MAIN, transform=transform)], {}
    if resolved.augmentation.context > 0:
        earlier = before([replace(s, split="train") for s in samples])
        rests = {name: found[-1] for name, found in earlier.items() if found and found[-1].id == name + REST_ID}
    if rests:
        listed.append(Part(name=REST, transform=transform, rest=True))
    if compares(resolved, transform) and transform.pictures and any(s.skeleton is not None for s in samples):
        listed.append(Part(name=SKELETONS, transform=transform_for(of_skeletons(resolved), samples)))
    return Plan(recipe.name, tuple(listed), rests, shard_bytes), notes
