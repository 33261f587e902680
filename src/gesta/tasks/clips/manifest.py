"""Manifest of a gesture or action recognizer for clips."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from gesta.bundle.manifest import Interface, Manifest, Names, alike, shown, unfit_answers
from gesta.clips.skeleton_space import SkeletonSpace
from gesta.clips.transform import TRANSFORM_VERSION, Transform
from gesta.decoding import DecoderSpec
from gesta.outside import is_outside
from gesta.recipes.positions import named
from gesta.schema import is_none


class ClipManifest(Manifest):
    """Manifest of a clip classifier."""

    title: ClassVar[str] = "a gesture recognizer"
    former: ClassVar[tuple[str, ...]] = ("classifier",)
    pipeline_tag: ClassVar[str | None] = "video-classification"
    transform_version: ClassVar[int | None] = TRANSFORM_VERSION

    kind: Literal["clips"] = "clips"
    labels: Names
    transform: Transform
    reset_after_chunks: int | None = Field(None, description="streaming: reset the state after this many chunks")
    decoder: DecoderSpec | None = Field(
        None, exclude_if=is_none, description="continuous recognizer: how events are made from the chunks"
    )

    @model_validator(mode="after")
    def _none_is_a_class(self) -> ClipManifest:
        if self.decoder is not None and (self.decoder.none not in self.labels or len(self.labels) < 2):
            raise ValueError(
                f"decoder: none={self.decoder.none!r} must be one of the labels, next to at least one gesture"
            )
        return self

    @field_validator("recipe", mode="before")
    @classmethod
    def _networks_by_todays_names(cls, recipe: Any) -> Any:
        model = recipe.get("model") if isinstance(recipe, dict) else None
        if isinstance(model, dict) and model.get("name") == "joint":
            return {**recipe, "model": {**model, "name": "cnn3d_lstm"}}
        return recipe

    @classmethod
    def upgraded(cls, document: dict[str, Any]) -> dict[str, Any]:
        """Replaces numeric positions in the recipe by names: in older bundles a block's projection is counted last."""
        recipe = document.get("recipe")
        model = recipe.get("model") if isinstance(recipe, dict) else None
        if (
            isinstance(recipe, dict)
            and isinstance(model, dict)
            and isinstance(model.get("name"), str)
            and isinstance(model.get("context"), str)
        ):
            context = named(model["name"], model["context"], projection_last=True)
            document = {**document, "recipe": {**recipe, "model": {**model, "context": context}}}
        return super().upgraded(document)

    def unfit(self, inputs: Interface, outputs: Interface) -> str | None:
        """Returns why a network does not fit: its input must match the transform, its output the number of labels."""
        transform = self.transform
        first = "chunk" if "chunk" in inputs else "clip"
        whole = transform.window if transform.sampling == "central" else -1
        made = transform.network_inputs(transform.chunk if first == "chunk" else whole, first)
        for name in made.keys() & inputs.keys():
            makes = f"the manifest's transform makes {shown(made[name])}"
            if not alike(made[name], inputs[name]):
                return f"takes {shown(inputs[name])}, but {makes}; they do not fit."
        return unfit_answers(outputs, len(self.labels))

    @property
    def network(self) -> str:
        model = self.recipe.get("model", {})
        if not isinstance(model, dict):
            return "unknown"
        if "width" not in model and is_outside(model.get("name")):
            return str(model["name"])
        width = "with pruned channels" if model.get("layers") else f"at width {model.get('width', 1.0)}"
        return f"{model.get('name', 'unknown')} {width}"

    @property
    def gestures(self) -> tuple[str, ...]:
        """The labels that events can have."""
        none = None if self.decoder is None else self.decoder.none
        return tuple(label for label in self.labels if label != none)

    @property
    def space(self) -> SkeletonSpace | None:
        """Joints and normalization of a recognizer that uses skeletons and no pictures."""
        return None if self.transform.decoded else self.transform.skeleton

    @property
    def chunk_s(self) -> float:
        """Duration of a chunk in seconds."""
        return self.transform.chunk / self.transform.fps

    @property
    def summary(self) -> str:
        if self.decoder is not None:
            return f"Spots {len(self.gestures)} gestures in a stream: {', '.join(self.gestures)}."
        return f"Recognizes {len(self.labels)} classes: {', '.join(self.labels)}."

    @property
    def input_lines(self) -> list[str]:
        transform = self.transform
        window = {
            "central": f"the central {transform.window} frames",
            "chunks": f"chunks of {transform.chunk}",
            "whole": f"whole clips (streams: the last {transform.window} frames)",
        }[transform.sampling]
        lines = [f"needs: {', '.join(transform.needs)}", f"{transform.fps:g} frames a second, {window}"]
        lines += [space.line for space in (transform.tracker, transform.skeleton) if space is not None]
        if transform.pictures:
            lines += [
                f"streams {', '.join(transform.pictures)} of {transform.size} x {transform.size} pixels, "
                f"channels {', '.join(transform.channels)}",
                f"body crop from: {transform.body}",
            ]
        if self.decoder is not None:
            lines.append(self.decoder.line)
        if transform.fused:
            lines.append("uses pixels and skeletons together, or either alone")
        if self.reset_after_chunks:
            lines.append(f"streaming: the state is reset after {self.reset_after_chunks} chunks")
        return lines
