"""The manifest of a hand pose model."""

from __future__ import annotations

from typing import ClassVar, Literal

from gesta.bundle.manifest import Manifest, Names
from gesta.tasks.hands.detect import CENTER
from gesta.tasks.hands.transform import HAND_TRANSFORM_VERSION, HandTransform


class HandManifest(Manifest):
    """Manifest of a hand pose model. `joints`: the names of the J estimated joints, in order."""

    title: ClassVar[str] = "a hand pose model"
    pipeline_tag: ClassVar[str | None] = "keypoint-detection"
    unit: ClassVar[str] = "frames"
    former: ClassVar[tuple[str, ...]] = ("pose",)
    transform_version: ClassVar[int | None] = HAND_TRANSFORM_VERSION

    kind: Literal["hands"] = "hands"
    joints: Names
    transform: HandTransform

    @property
    def has_detector(self) -> bool:
        """Whether the model includes a network that finds the hand's center."""
        return any(artifact.stage == CENTER for artifact in self.artifacts)

    @property
    def summary(self) -> str:
        return f"Estimates {len(self.joints)} joints of a hand in 3D: {', '.join(self.joints)}."

    @property
    def input_lines(self) -> list[str]:
        transform = self.transform
        what = {"depth": "depth", "rgb": "color registered to depth", "rgbd": "depth, and color registered to it"}
        lines = [
            f"{what[transform.inputs]}, a patch of {transform.size} x {transform.size} pixels",
            f"a cube of {transform.cube_mm:g} mm around the hand's center",
        ]
        if self.has_detector:
            lines.append("without a given center: found by the model's hand detector, starting at the nearest object")
        if transform.needs_color and transform.mask:
            lines.append("color is black where depth shows no hand, so color needs depth as well")
        return lines
