"""Manifest of a classifier of stored features."""

from __future__ import annotations

from operator import not_
from typing import Any, ClassVar, Literal, Self

from pydantic import Field

from gesta.bundle.manifest import Artifact, Manifest, Names, Strict

_COMPUTED = ("weights", "stage", "size", "window", "letterbox")


class BackboneUse(Strict):
    """The frozen backbone, and which frames of a video it sees. `weights`: SHA-256 over its tensors."""

    name: str
    weights: str
    stage: str = Field(description="layer of the features")
    size: int = Field(ge=1, description="height and width, pixels")
    frames: int | None = Field(None, ge=1, description="exactly this many frames of each video")
    every: int | None = Field(None, ge=1, description="or every n-th frame")
    window: int = Field(1, ge=1, description="frames per feature")
    letterbox: bool = Field(
        False, exclude_if=not_, description="frames get black bars to be square, instead of being stretched"
    )
    features: int = Field(ge=1, description="length of a feature vector, D")

    @property
    def computed(self) -> dict[str, Any]:
        """How features are computed, as a FeatureRecipe names it; which frames they are computed of is not included."""
        return {"backbone": self.name, **{name: getattr(self, name) for name in _COMPUTED}}

    @property
    def shape(self) -> tuple[int, ...]:
        """Input shape for one feature: a frame [H, W, 3] or a window [w, H, W, 3]."""
        frame = (self.size, self.size, 3)
        return frame if self.window == 1 else (self.window, *frame)


class FeatureManifest(Manifest):
    """Manifest of a classifier of a frozen backbone's features, with stages "backbone" and "head".

    A backbone that is not among the artifacts must be supplied to run the model; its hash is checked.
    """

    title: ClassVar[str] = "a classifier of stored features"
    former: ClassVar[tuple[str, ...]] = ("sequence",)
    pipeline_tag: ClassVar[str | None] = "video-classification"

    kind: Literal["features"] = "features"
    labels: Names
    backbone: BackboneUse

    def with_artifacts(self, artifacts: tuple[Artifact, ...]) -> Self:
        """Replace the artifacts; the note about a missing backbone is removed if they now include it."""
        held = any(artifact.stage == "backbone" for artifact in artifacts)
        notes = tuple(note for note in self.notes if not held or "is not in the bundle" not in note)
        return self.model_copy(update={"artifacts": artifacts, "notes": notes})

    @property
    def network(self) -> str:
        return f"the frozen backbone {self.backbone.name}, then {super().network}"

    @property
    def summary(self) -> str:
        return f"Recognizes {len(self.labels)} classes: {', '.join(self.labels)}."

    @property
    def input_lines(self) -> list[str]:
        used = self.backbone
        held = any(artifact.stage == "backbone" for artifact in self.artifacts)
        inside = "in this bundle" if held else "NOT in this bundle: give it with --backbone-weights"
        which = (
            f"{used.frames} frames, evenly spread" if used.frames is not None else f"one of every {used.every} frames"
        )
        fitted = "letterboxed" if used.letterbox else "stretched"
        return [
            f"RGB video (depth as gray), {fitted} to {used.size} x {used.size} pixels; {which}",
            f"backbone {used.name} up to {used.stage}, {used.features} features, {inside}",
            f"the backbone's weights: {used.weights}",
        ]
