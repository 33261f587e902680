"""What stands in the manifest of a gesture or action recognizer of clips."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from gesta.bundle.manifest import Manifest, Names
from gesta.clips.transform import TRANSFORM_VERSION, Transform


class ClipManifest(Manifest):
    """Of a classifier of clips."""

    title: ClassVar[str] = "a gesture recognizer"
    former: ClassVar[tuple[str, ...]] = ("classifier",)
    transform_version: ClassVar[int | None] = TRANSFORM_VERSION

    kind: Literal["clips"] = "clips"
    labels: Names
    transform: Transform
    reset_after_chunks: int | None = Field(None, description="streaming: state is reset after so many chunks")

    @property
    def network(self) -> str:
        model = self.recipe.get("model", {})
        if not isinstance(model, dict):
            return "unknown"
        width = "slimmed" if model.get("layers") else f"at width {model.get('width', 1.0):g}"
        return f"{model.get('name', 'unknown')} {width}"

    @property
    def summary(self) -> str:
        return f"Recognises {len(self.labels)} classes: {', '.join(self.labels)}."

    @property
    def input_lines(self) -> list[str]:
        transform = self.transform
        central = transform.sampling == "central"
        window = f"the central {transform.window} frames" if central else f"chunks of {transform.chunk}"
        lines = [
            f"needs: {', '.join(transform.needs)}",
            f"{transform.fps:g} frames a second, {window}",
            f"streams {', '.join(transform.streams)} of {transform.size} x {transform.size} pixels, "
            f"channels {', '.join(transform.channels)}",
            f"body crop from: {transform.body}",
        ]
        if self.reset_after_chunks:
            lines.append(f"streaming: the state is reset after {self.reset_after_chunks} chunks")
        return lines
