"""The manifest of a gesture spotter."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from gesta.bundle.manifest import Interface, Manifest, Names, alike, shown, unfit_answers
from gesta.clips.skeleton_space import SkeletonSpace
from gesta.decoding import DecoderSpec

NONE = DecoderSpec().none
"""The class of frames without a gesture; always the network's first class."""


def _first_is_none(classes: tuple[str, ...]) -> tuple[str, ...]:
    if classes[0] != NONE or len(classes) < 2:
        raise ValueError(f"the first class must be {NONE!r}, followed by at least one gesture")
    return classes


class SpottingManifest(Manifest):
    """Manifest of a spotter. `classes`: the classes predicted for each frame: `none` first, then the gestures."""

    title: ClassVar[str] = "a gesture spotter"
    unit: ClassVar[str] = "recordings"
    pipeline_tag: ClassVar[str | None] = "video-classification"

    kind: Literal["spotting"] = "spotting"
    classes: Annotated[Names, AfterValidator(_first_is_none)]
    space: SkeletonSpace
    fps: float = Field(gt=0, le=240, description="frames per second that the network sees")
    delay_frames: int = Field(
        0, ge=0, le=480, description="a prediction is for the frame this many frames before the last one"
    )
    decoder: DecoderSpec

    def unfit(self, inputs: Interface, outputs: Interface) -> str | None:
        expected = ("float32", (-1, -1, len(self.space.joints), self.space.dimensions))
        found = inputs.get("skeleton")
        if inputs and not alike(expected, found):
            return f"takes {shown(found)}, but its manifest says {shown(expected)}."
        return unfit_answers(outputs, len(self.classes))

    @property
    def gestures(self) -> tuple[str, ...]:
        return self.classes[1:]

    @property
    def delay_s(self) -> float:
        return self.delay_frames / self.fps

    @property
    def summary(self) -> str:
        return f"Spots {len(self.gestures)} gestures in a stream: {', '.join(self.gestures)}."

    @property
    def input_lines(self) -> list[str]:
        space = self.space
        return [
            f"skeletons of {len(space.joints)} joints in {space.dimensions}-D, {self.fps:g} frames a second",
            f"a prediction after every frame, for the frame {self.delay_s:.2f} s earlier",
            self.decoder.line,
        ]
