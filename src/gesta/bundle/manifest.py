"""Schema of a bundle's `manifest.json`: labels, transform, recipe, provenance, metrics and artifacts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    model_validator,
)

from gesta.schema import is_none
from gesta.untrusted import same_text

FORMAT_VERSION = 5
"""The newest format: that of bundles with counts or a hand detector."""
USUAL_VERSION = 4
"""That of all other bundles, which an older gesta reads, too. Versions 1 to 3 called the tasks classifier, pose and
sequence."""

MAX_AXES = 8
MAX_ELEMENTS = 2**26
"""Limit for one tensor of one clip: states are allocated as zeros before anything else is checked."""


def bounded_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Validates a shape. Raises ValueError for invalid axes or more elements than any network has."""
    if len(shape) > MAX_AXES or any(n < -1 for n in shape):
        raise ValueError(f"at most {MAX_AXES} axes, each a length or -1")
    if math.prod(max(n, 1) for n in shape) > MAX_ELEMENTS:
        raise ValueError(f"more than {MAX_ELEMENTS:,} numbers")
    return shape


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tensor(Strict):
    """Name, element type and shape of an input, output or state tensor; -1 marks a dynamic axis."""

    name: str
    dtype: str
    shape: Annotated[tuple[int, ...], AfterValidator(bounded_shape)]


Interface = Mapping[str, tuple[str, tuple[int, ...]]]
"""Name of an input or output -> (numpy element type, shape with -1 for dynamic axes)."""


def alike(one: tuple[str, tuple[int, ...]] | None, other: tuple[str, tuple[int, ...]] | None) -> bool:
    """Returns whether type, rank and all fixed axes match."""
    if one is None or other is None or one[0] != other[0] or len(one[1]) != len(other[1]):
        return False
    return all(a == b or -1 in (a, b) for a, b in zip(one[1], other[1], strict=True))


def shown(tensor: tuple[str, tuple[int, ...]] | None) -> str:
    """Returns an element type and shape as text."""
    return "missing" if tensor is None else f"{tensor[0]} {list(tensor[1])}"


def unfit_answers(outputs: Interface, classes: int) -> str | None:
    """Returns why logits cannot have this number of classes, as the end of a sentence, or None if they can."""
    answers = outputs.get("logits")
    if answers is None or not answers[1] or answers[1][-1] in (-1, classes):
        return None
    return f"has outputs for {answers[1][-1]} classes, but the manifest names {classes}."


class Parity(Strict):
    """How an artifact compares with the PyTorch network on the same preprocessed clips."""

    clips: int
    largest_difference: float = Field(description="of the probabilities")
    top_class_agreement: float = Field(ge=0, le=1)


class Measured(Strict):
    """Quality and cost of an exported artifact and of the PyTorch network on the same clips in the same run."""

    clips: str = Field(description="source of the clips: validation, training or random")
    bytes: int = Field(description="the file and its companion files")
    accuracy: float | None = Field(None, description="on the labeled ones of those clips")
    accuracy_torch: float | None = None
    latency_ms: tuple[float, float] | None = Field(None, description="p50, p95 on one core, per chunk (step) or clip")
    latency_torch_ms: tuple[float, float] | None = None
    machine: str = ""


class PoseMeasured(Strict):
    """How an artifact of a hand pose model compares with the PyTorch network on the same preprocessed frames."""

    frames: int
    source: str = Field(description="source of the frames: validation, training or random")
    largest_difference_mm: float = Field(description="of any joint in any frame")
    mean_difference_mm: float
    center_difference_mm: float | None = Field(
        None, exclude_if=is_none, description="of the center by the hand detector, if there is one; 99th percentile"
    )
    bytes: int = Field(0, description="the file and its companion files")
    error_mm: float | None = Field(None, description="mean joint error on the frames with joints")
    error_mm_torch: float | None = None
    latency_ms: tuple[float, float] | None = Field(None, description="p50, p95 per frame on one core")
    latency_torch_ms: tuple[float, float] | None = None
    machine: str = ""


class Artifact(Strict):
    """One file that runs or loads: the weights, the whole network or its streaming step, in one engine's format.

    `whole`: clip uint8 [B, S, C, T, H, W], lengths int64 [B] -> logits [B, N] (for sampling "central": no lengths).
    `step`: chunk uint8 [B, S, C, chunk, H, W] and the state tensors -> logits [B, N] and the state tensors.
    `whole` of a hand pose model: hand float32 [B, C, H, W] -> joints float32 [B, J, 3] in units of half a cube;
    stage "center", its hand detector: patch float32 [B, 1, S, S] -> offset float32 [B, 3].
    `whole`, stage "backbone": frames uint8 [B, H, W, 3] (or windows [B, w, H, W, 3]) -> features [B, D];
    stage "head": features float32 [B, T, D], lengths int64 [B] -> logits [B, N].
    `counts`, engine numpy: what was counted rather than trained, such as an n-gram; used with any engine's network.
    """

    role: Literal["weights", "whole", "step", "counts"]
    engine: Literal["torch", "openvino", "onnxruntime", "numpy"]
    precision: Literal["fp32", "fp16", "bf16", "int8"] = "fp32"
    file: str = Field(description="path inside the bundle")
    sha256: str
    companions: dict[str, str] = Field(default_factory=dict, description="further files -> sha256 (OpenVINO's .bin)")
    inputs: tuple[Tensor, ...] = ()
    outputs: tuple[Tensor, ...] = ()
    states: tuple[Tensor, ...] = Field(
        (), max_length=64, description="named state arrays, fed back by name; zeros at a reset"
    )
    parity: Parity | None = None
    measured: Measured | None = None
    pose: PoseMeasured | None = Field(
        None, exclude_if=is_none, description="hand pose models: instead of parity and measured"
    )
    stage: str = "network"


class Provenance(Strict):
    """Origin of a model. People are stored as salted hashes, only to detect whether one occurs again."""

    created: str = Field(description="UTC, ISO 8601")
    gesta: str
    seed: int
    layout: str = Field(description="the data's layout, e.g. chalearn2014")
    data_fingerprint: str = Field(description="sha256 over the sorted fingerprints of the training files")
    people: tuple[str, ...] = Field((), description="fingerprints of the people in the training data")
    samples: tuple[str, ...] = Field((), description="content hashes of the training and validation samples")
    clips: dict[str, int] = Field(default_factory=dict, description="clips (or hand frames) used by split")
    skipped: int = 0
    split_notes: tuple[str, ...] = ()
    seconds: float = Field(0.0, description="training time")
    machine: str = ""


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names or len(set(names)) != len(names):
        raise ValueError("at least one name, each once")
    same = tuple(map(same_text, names))
    return same if len(set(same)) == len(same) else names  # older bundles may contain one name in two spellings


Names = Annotated[tuple[str, ...], AfterValidator(_distinct)]


class Manifest(Strict):
    """Fields shared by the manifests of all tasks; subclasses add the rest. `kind` is the task's name.

    `title`: the kind of model, for messages; `unit`: what it is trained on; `former`: names of the task in older
    bundles; `transform_version`: the newest known transform, if any; `pipeline_tag`: the task's name on model hubs.
    """

    title: ClassVar[str]
    unit: ClassVar[str] = "clips"
    former: ClassVar[tuple[str, ...]] = ()
    transform_version: ClassVar[int | None] = None
    pipeline_tag: ClassVar[str | None] = None

    format_version: int = Field(USUAL_VERSION, ge=1, strict=True)
    kind: str
    name: str
    recipe: dict[str, Any]
    parameters: int = Field(description="of the classifier only, if there is a backbone")
    notes: tuple[str, ...] = Field((), description="what the data lacked, and what was used instead")
    provenance: Provenance
    metrics: dict[str, Any] = Field(default_factory=dict)
    artifacts: tuple[Artifact, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _brought_up_to_date(cls, document: Any) -> Any:
        if isinstance(document, dict) and document.get("kind") in cls.former:
            return cls.upgraded({**document, "kind": cls.model_fields["kind"].default})
        return document

    @classmethod
    def upgraded(cls, document: dict[str, Any]) -> dict[str, Any]:
        """Converts the document of an older bundle to the current format version."""
        return {**document, "format_version": USUAL_VERSION}

    @property
    def networks(self) -> tuple[Artifact, ...]:
        """The artifacts that an engine runs."""
        return tuple(artifact for artifact in self.artifacts if artifact.role != "counts")

    @property
    def counts(self) -> tuple[Artifact, ...]:
        """The artifacts that go with any engine's network."""
        return tuple(artifact for artifact in self.artifacts if artifact.role == "counts")

    def with_artifacts(self, artifacts: tuple[Artifact, ...]) -> Self:
        """Returns a copy with other artifacts."""
        return self.model_copy(update={"artifacts": artifacts})

    def unfit(self, inputs: Interface, outputs: Interface) -> str | None:  # noqa: ARG002
        """Returns why this interface does not fit the model's network, as the end of a sentence, or None if it does."""
        return None

    @property
    def network(self) -> str:
        """Name of the network in the recipe."""
        model = self.recipe.get("model", {})
        return str(model.get("name", "unknown")) if isinstance(model, dict) else "unknown"

    @property
    def summary(self) -> str:
        """What the model does, as a sentence for its card."""
        raise NotImplementedError

    @property
    def input_lines(self) -> list[str]:
        """The model's inputs, as lines for its card."""
        raise NotImplementedError
