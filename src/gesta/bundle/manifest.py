"""What stands in a bundle's `manifest.json`: labels, transform, recipe, provenance, metrics and artifacts."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

from gesta.clips.hand_transform import HandTransform
from gesta.clips.transform import Transform
from gesta.untrusted import same_text

FORMAT_VERSION = 1
"""Of a classifier's bundle."""
POSE_FORMAT_VERSION = 2
"""Of a hand pose model's: a gesta that knows classifiers alone refuses it as newer."""
SEQUENCE_FORMAT_VERSION = 3
"""Of a chain of a frozen backbone and a classifier of its features."""


MAX_AXES = 8
MAX_ELEMENTS = 2**26
"""Of one tensor for one clip: a state is made of zeros before anything is looked at."""


def bounded_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape that can be made. Raises ValueError for axes that are none, and for more numbers than any network has."""
    if len(shape) > MAX_AXES or any(n < -1 for n in shape):
        raise ValueError(f"at most {MAX_AXES} axes, each a length or -1")
    if math.prod(max(n, 1) for n in shape) > MAX_ELEMENTS:
        raise ValueError(f"more than {MAX_ELEMENTS:,} numbers")
    return shape


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tensor(_Strict):
    """Name, element type and shape of an input, output or state tensor; -1 stands for a dynamic axis."""

    name: str
    dtype: str
    shape: Annotated[tuple[int, ...], AfterValidator(bounded_shape)]


class Parity(_Strict):
    """How an artifact compares with the PyTorch network on the same prepared clips."""

    clips: int
    largest_difference: float = Field(description="of the probabilities")
    top_class_agreement: float = Field(ge=0, le=1)


class Measured(_Strict):
    """What an exported artifact reaches and costs, beside the PyTorch network on the same clips in the same run."""

    clips: str = Field(description="where the clips come from: validation, training or random")
    bytes: int = Field(description="file and companions")
    accuracy: float | None = Field(None, description="on the labelled ones of those clips")
    accuracy_torch: float | None = None
    latency_ms: tuple[float, float] | None = Field(None, description="p50, p95 on one core: a chunk (step) or a clip")
    latency_torch_ms: tuple[float, float] | None = None
    machine: str = ""


class PoseMeasured(_Strict):
    """How an artifact of a hand pose model compares with the PyTorch network on the same prepared frames."""

    frames: int
    source: str = Field(description="where the frames come from: validation, training or random")
    largest_difference_mm: float = Field(description="of a joint, over all frames")
    mean_difference_mm: float
    bytes: int = Field(0, description="file and companions")
    error_mm: float | None = Field(None, description="mean joint error on the frames with joints")
    error_mm_torch: float | None = None
    latency_ms: tuple[float, float] | None = Field(None, description="p50, p95 a frame on one core")
    latency_torch_ms: tuple[float, float] | None = None
    machine: str = ""


class Artifact(_Strict):
    """One file that runs or loads: the weights, the whole network or its streaming step, in one engine's format.

    `whole`: clip uint8 [B, S, C, T, H, W], lengths int64 [B] -> logits [B, N] (for sampling "central": no lengths).
    `step`: chunk uint8 [B, S, C, chunk, H, W] and the state tensors -> logits [B, N] and the state tensors.
    `whole` of a hand pose model: hand float32 [B, C, H, W] -> joints float32 [B, J, 3] in units of half a cube.
    `whole` of a chain, stage "backbone": frames uint8 [B, H, W, 3] (or windows [B, w, H, W, 3]) -> features [B, D];
    stage "head": features float32 [B, T, D], lengths int64 [B] -> logits [B, N].
    """

    role: Literal["weights", "whole", "step"]
    engine: Literal["torch", "openvino", "onnxruntime"]
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
    pose: PoseMeasured | None = Field(None, description="of hand pose models, in the place of parity and measured")
    stage: str = "network"

    @model_serializer(mode="wrap")
    def _without_what_is_not_used(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """An artifact of a classifier is written as it was before there were hand pose models."""
        document: dict[str, Any] = handler(self)
        if self.pose is None:
            document.pop("pose", None)
        return document


class Provenance(_Strict):
    """Where a model comes from. People are kept as salted hashes, so that meeting one again can be told, no more."""

    created: str = Field(description="UTC, ISO 8601")
    gesta: str
    seed: int
    layout: str = Field(description="the data's layout, e.g. chalearn2014")
    data_fingerprint: str = Field(description="sha256 over the sorted fingerprints of the training files")
    people: tuple[str, ...] = Field((), description="fingerprints of the people trained on")
    clips: dict[str, int] = Field(default_factory=dict, description="clips (or hand frames) used by split")
    skipped: int = 0
    split_notes: tuple[str, ...] = ()
    seconds: float = Field(0.0, description="training time")
    machine: str = ""


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names or len(set(names)) != len(names):
        raise ValueError("at least one name, each once")
    same = tuple(map(same_text, names))
    return same if len(set(same)) == len(same) else names  # older bundles may hold one name in two spellings


Names = Annotated[tuple[str, ...], AfterValidator(_distinct)]


class _Model(_Strict):
    """What the manifests of all kinds say."""

    format_version: int = Field(ge=1, strict=True)
    kind: str
    name: str
    recipe: dict[str, Any]
    parameters: int = Field(description="of a chain: of the head")
    notes: tuple[str, ...] = Field((), description="what the data lacked and what was done instead")
    provenance: Provenance
    metrics: dict[str, Any] = Field(default_factory=dict)
    artifacts: tuple[Artifact, ...] = ()


class Manifest(_Model):
    """Of a classifier of clips."""

    format_version: int = Field(FORMAT_VERSION, ge=1, strict=True)
    kind: Literal["classifier"] = "classifier"
    labels: Names
    transform: Transform
    reset_after_chunks: int | None = Field(None, description="streaming: state is reset after so many chunks")


class PoseManifest(_Model):
    """Of a hand pose model. `joints` are the names of the J joints that it gives, in their order."""

    format_version: int = Field(POSE_FORMAT_VERSION, ge=1, strict=True)
    kind: Literal["pose"] = "pose"
    joints: Names
    transform: HandTransform


class BackboneUse(_Strict):
    """The frozen backbone of a chain: which one, and what of a video it sees. `weights`: sha256 over its tensors."""

    name: str
    weights: str
    stage: str = Field(description="where its features are taken")
    size: int = Field(ge=1, description="pixels of a side")
    frames: int | None = Field(None, ge=1, description="exactly so many frames of each video")
    every: int | None = Field(None, ge=1, description="or every n-th")
    window: int = Field(1, ge=1, description="frames that one feature sees")
    features: int = Field(ge=1, description="numbers of a feature, D")

    @property
    def shape(self) -> tuple[int, ...]:
        """Of what it makes one feature of: a frame [H, W, 3], or a window [w, H, W, 3]."""
        frame = (self.size, self.size, 3)
        return frame if self.window == 1 else (self.window, *frame)


class SequenceManifest(_Model):
    """Of a classifier of a frozen backbone's features: a chain of the stages "backbone" and "head".

    A backbone that is not among the artifacts has to be given when the model runs; its hash tells whether it is it.
    """

    format_version: int = Field(SEQUENCE_FORMAT_VERSION, ge=1, strict=True)
    kind: Literal["sequence"] = "sequence"
    labels: Names
    backbone: BackboneUse
