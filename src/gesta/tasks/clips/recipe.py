"""Recipes for clips: the network's input, its architecture, and its training."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer, model_validator

from gesta.clips.skeleton_augment import SkeletonAugmentation
from gesta.recipes.positions import named
from gesta.recipes.schema import OR_OUTSIDE, Auto, NetworkSettings, Recipe, RecipeError, Strict, TrainingSettings
from gesta.schema import is_none, is_zero

Channel = Literal["gray", "depth", "gray_difference", "depth_difference", "red", "green", "blue", "flow_x", "flow_y"]
GROUPS = {"rgb": ("red", "green", "blue"), "flow": ("flow_x", "flow_y")}
"""Group names in `input.channels`."""


class SkeletonSettings(Strict):
    """Normalization of the skeleton stream: see gesta.clips.skeleton_space. Joints are as in the training data."""

    origin: Literal["frame", "first", "none"] = Field("frame", description="middle of each frame, or of the first")
    scale: Literal["so_far", "first", "none"] = Field("so_far", description="mean size until now, or the first one")
    view: Literal["first", "none"] = Field("none", description="turned to face the camera in the first frame (3-D)")
    least_confidence: float = Field(0.0, ge=0, le=1, description="joints below it count as missing")


class InputSettings(Strict):
    """Settings of the transform. "auto" is resolved from the data, with a note."""

    fps: Annotated[float, Field(gt=0, le=240)] | Auto = "auto"
    max_fps: Annotated[float, Field(gt=0)] | Literal["auto"] | None = Field(
        None,
        description="with fps auto: highest frame rate (every n-th frame is used); auto: 15 with depth, 30 without",
    )
    size: int = Field(64, ge=16, le=512)
    streams: tuple[Literal["body", "hand", "skeleton"], ...] | Auto = ("body", "hand")
    channels: tuple[Channel, ...] | Auto = ("gray", "depth")
    flow_stack: int = Field(
        0, ge=0, le=20, exclude_if=is_zero, description="number of flows between consecutive frames up to the kept one"
    )
    body: Literal["skeleton", "motion", "frame"] | Auto = "auto"
    hand_rule: Literal["clip", "so_far"] = "clip"
    mirror: bool = True
    hand_side: float = Field(0.5, gt=0, le=2, description="side of the hand crop, in hip-to-head heights")
    box_smoothing: Annotated[float, Field(ge=0, lt=1)] | Auto = 0.0
    sampling: Literal["chunks", "central", "whole"] = Field(
        "chunks", description="whole: all frames at once, where the network can (st_resnet); else the central window"
    )
    window: int = Field(
        32,
        ge=4,
        description="frames of the central window; for networks on whole skeletons, the last frames of a stream",
    )
    skeleton: SkeletonSettings | None = Field(
        None, exclude_if=is_none, description="normalization of the skeleton stream"
    )
    tracker: Literal["hands", "pose", "both"] | None = Field(
        None, exclude_if=is_none, description="finds skeletons in plain RGB: gesta fetch trackers"
    )

    @property
    def of_skeletons(self) -> bool:
        """Whether the network's input is skeletons only."""
        return self.streams == ("skeleton",)

    @property
    def fused(self) -> bool:
        """Whether the network's input is pixels and skeletons."""
        return "skeleton" in self.streams and not self.of_skeletons

    @property
    def pictures(self) -> tuple[str, ...]:
        """The pixel streams, if they are named."""
        return () if self.streams == "auto" else tuple(stream for stream in self.streams if stream != "skeleton")

    @field_validator("channels", mode="before")
    @classmethod
    def _groups_spelled_out(cls, channels: Any) -> Any:
        if not isinstance(channels, list | tuple):
            return channels
        return tuple(
            one for name in channels for one in (GROUPS.get(name, (name,)) if isinstance(name, str) else (name,))
        )


class LayerSettings(Strict):
    """Widths of individual layers, as left by channel pruning. None: by `width`."""

    convolutions: tuple[tuple[Annotated[int, Field(ge=1)], ...], ...] | None = Field(
        None, description="channels of the convolutions, for each stream"
    )
    linear: int | None = Field(None, ge=1, description="outputs of the linear layer after them")
    lstm: int | None = Field(None, ge=1, description="hidden units")


ST_RESNETS = ("st_resnet18", "st_resnet50")
SKELETON_NETWORKS = ("dd_net", "st_gcn", "tcn")
VIDEO_NETWORKS = ("c3d", "i3d", *ST_RESNETS)
SETTINGS_OF = {
    **dict.fromkeys(("context", "kind", "overlap"), ST_RESNETS),
    **dict.fromkeys(("stack", "weights", "motion_weights"), VIDEO_NETWORKS),
    "fusion": (*VIDEO_NETWORKS, "lstm", "cnn3d_lstm"),
    "padding": ("i3d",),
    "layers": ("cnn3d", "lstm", "cnn3d_lstm"),
    "skeleton": ("lstm", "cnn3d_lstm"),
    "examples": ("nearest", "lstm", "cnn3d_lstm", "dd_net", "st_gcn"),
    "head": ("lstm", "cnn3d_lstm", *SKELETON_NETWORKS),
    "embedding_dropout": ("dd_net",),
    "topology": ("st_gcn",),
}
"""`model` settings that only some networks accept; the others reject them."""
OF_FLOW = ("score", "feature")
FUSIONS = ("scores", "features", "attention")
WITH_MEMORY = ("lstm", "cnn3d_lstm")


class SkeletonNetwork(Strict):
    """The network of the skeleton stream, next to one on pixels."""

    name: Literal["dd_net", "st_gcn", "tcn"] = "dd_net"
    width: float = Field(1.0, gt=0, le=4)
    dropout: float = Field(0.0, ge=0, lt=1, description="inside the network, if it has dropout before its last layer")
    embedding_dropout: float | None = Field(None, ge=0, lt=1, description="dd_net")
    topology: Literal["fixed", "refined"] | None = Field(None, description="st_gcn")

    @model_validator(mode="after")
    def _known_to_the_network(self) -> SkeletonNetwork:
        for setting, name in (("embedding_dropout", "dd_net"), ("topology", "st_gcn")):
            if getattr(self, setting) is not None and self.name != name:
                raise ValueError(f"{setting} is for {name}, not for {self.name}; leave it out")
        return self


class ModelSettings(NetworkSettings):
    """The network. Names are in gesta.models.catalog, or those of other packages, as in my_package.net:MyNet."""

    FORMER: ClassVar[Mapping[str, str]] = {"name=joint": "name=cnn3d_lstm"}

    name: Annotated[
        Literal[
            "cnn3d",
            "lstm",
            "cnn3d_lstm",
            "c3d",
            "i3d",
            "st_resnet18",
            "st_resnet50",
            "nearest",
            "dd_net",
            "st_gcn",
            "tcn",
        ],
        *OR_OUTSIDE,
    ] = "cnn3d_lstm"
    width: float = Field(1.0, gt=0, le=4, description="multiplies every width: 1 original, 0.5 medium, 0.25 small")
    dropout: float = Field(0.0, ge=0, lt=1, description="before the linear layers")
    memory: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="decay of earlier chunks in a weighted vote of all chunks; 0: only the last chunk counts",
    )
    layers: LayerSettings | None = Field(None, description="widths of single layers, left by channel pruning")
    context: str | None = Field(
        None, description="st_resnet: 1, 2, 3, special3 or 5 frames, or pairs of positions such as 98-104; null: 2"
    )
    kind: Literal["identity", "linear", "nonlinear"] | None = Field(
        None, description="st_resnet: type of its temporal connections"
    )
    overlap: bool | None = Field(None, description="st_resnet: sequences begin at every frame; null: disjoint")
    stack: int | None = Field(
        None, ge=1, le=20, description="number of frames whose flow is stacked (c3d, i3d, st_resnet)"
    )
    fusion: Literal["score", "feature", "scores", "features", "attention"] | None = Field(
        None,
        description="score, feature: a second network for the flow (c3d, i3d, st_resnet); scores, features, attention: "
        "of pixels and skeletons (lstm, cnn3d_lstm)",
    )
    skeleton: SkeletonNetwork | None = Field(
        None, description="network of the skeleton stream, with pixels and skeletons"
    )
    padding: Literal["same", "inception_v1"] | None = Field(
        None,
        description="i3d: padding at the borders, inception_v1 for image weights; null: by the weights, same without",
    )
    weights: str | None = Field(
        None, description="published weights to start from: a file, or official (c3d, i3d, st_resnet)"
    )
    examples: int | None = Field(
        None,
        ge=1,
        description="number of training clips that nearest compares with, or that vote with a network; set by training",
    )
    head: Literal["prototypes"] | None = Field(
        None,
        description="prototypes: embedding from metric learning, in which classes can be enrolled; null: linear layer",
    )
    motion_weights: str | None = Field(
        None, description="with fusion: weights of the network for the flow; null: the same"
    )
    embedding_dropout: float | None = Field(
        None, ge=0, lt=1, description="dd_net: share of the channels dropped between convolutions; null: 0.1"
    )
    topology: Literal["fixed", "refined"] | None = Field(
        None, description="st_gcn: graphs as learned, or refined for each clip and channel (CTR-GCN); null: refined"
    )

    @model_validator(mode="after")
    def _known_to_the_network(self) -> ModelSettings:
        strange = [n for n, known in SETTINGS_OF.items() if getattr(self, n) is not None and self.name not in known]
        if strange:
            reasons = "; ".join(f"{n} is for {', '.join(SETTINGS_OF[n])}, not for {self.name}" for n in strange)
            raise ValueError(f"{reasons}; leave it out, or set {', '.join(f'model.{n}=null' for n in strange)}")
        if self.motion_weights is not None and self.fusion is None:
            raise ValueError(
                "motion_weights are for the network on optical flow in two-stream models: set model.fusion as well"
            )
        return self

    @model_validator(mode="before")
    @classmethod
    def _positions_by_name(cls, settings: Any) -> Any:
        """Replaces numeric positions by names, so that bundles do not depend on how they are counted."""
        context, name = (settings.get("context"), settings.get("name")) if isinstance(settings, dict) else (None, None)
        if not isinstance(context, str) or not isinstance(name, str):
            return settings
        return {**settings, "context": named(name, context)}

    @field_validator("context", mode="before")
    @classmethod
    def _context_as_text(cls, context: Any) -> Any:
        return str(context) if isinstance(context, int) and not isinstance(context, bool) else context

    @model_serializer(mode="wrap")
    def _without_what_is_not_used(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Omits unused settings, so that run keys of networks by `width` stay the same as before."""
        document: dict[str, Any] = handler(self)
        for name in SETTINGS_OF:
            if getattr(self, name) is None:
                document.pop(name, None)
        return self.written(document)


class AugmentationSettings(Strict):
    """One draw per clip, the same for all its frames and channels (spec 1, Input 5). Zero disables a transformation."""

    rotation_deg: float = Field(4.0, ge=0)
    shift_px: float = Field(5.0, ge=0)
    zoom_in_px: float = Field(6.0, ge=0, description="zoom in by up to this many pixels of the crop")
    scale: tuple[float, float] = (1.0, 1.0)
    speed: tuple[float, float] = (1.0, 1.0)
    window: tuple[int, int] | None = Field(
        None, description="length of a random window in frames; None: the whole clip"
    )
    context: float = Field(0.0, ge=0, le=1, description="probability of including frames before the gesture")
    context_frames: int = Field(24, ge=1, description="maximum length of the window in frames")
    flip: Annotated[float, Field(ge=0, le=1)] | Auto = Field(
        0.0, description="probability of a left-right mirror (classes must not depend on it)"
    )
    modality_dropout: float | None = Field(
        None,
        gt=0,
        le=0.5,
        exclude_if=is_none,
        description="pixels and skeletons: weight of the losses with only one of the two",
    )
    skeleton: SkeletonAugmentation | None = Field(
        None, exclude_if=is_none, description="augmentation of skeletons, on their joints"
    )

    @model_validator(mode="after")
    def _ranges(self) -> AugmentationSettings:
        for name in ("scale", "speed", "window"):
            pair = getattr(self, name)
            if pair is not None and not 0 < pair[0] <= pair[1]:
                raise ValueError(f"{name}: expected [low, high] with 0 < low <= high, got {list(pair)}")
        return self


class DistillationSettings(Strict):
    """Distillation from teachers' softened answers, in addition to the labels (Mullick 2018, chapter 4; spec 2)."""

    FORMER: ClassVar[Mapping[str, str]] = {"way": "mode", "sights": "views"}

    teachers: tuple[str, ...] = Field((), description="bundles; with several, their softened predictions are averaged")
    temperature: float = Field(4.0, gt=0, description="T: the teacher's logits are divided by it before the softmax")
    alpha: float = Field(0.5, ge=0, le=1, description="share of the soft loss; the labels' share is 1 - alpha")
    loss: Literal["mse", "kl"] = Field(
        "mse", description="mse: as in Mullick 2018; kl: as in Hinton et al. 2015, times T squared"
    )
    mode: Literal["joint", "soft_then_hard"] = Field(
        "joint", description="both losses together, or first soft targets, then labels"
    )
    soft_epochs: int | None = Field(None, ge=1, description="soft_then_hard: epochs on soft targets; null: epochs")
    sees: Literal["clip", "same"] = Field(
        "clip", description="clip: the teacher sees each whole clip once, as recorded. same: what the student sees"
    )
    views: int | None = Field(
        None,
        ge=1,
        description="with sees=same: random versions per clip, each shown to the teacher once; null: always new ones",
    )

    @model_validator(mode="after")
    def _drawn_views_are_same(self) -> DistillationSettings:
        if self.views is not None and self.sees != "same":
            raise ValueError("views is for distillation.sees=same; with sees=clip, there is only the clip as recorded")
        return self


class ContinuousSettings(Strict):
    """Training for streams: windows of continuous recordings, joined from single clips if necessary."""

    windows: int = Field(160, ge=1, description="windows per epoch")
    window_s: float = Field(4.8, gt=0, le=60)
    smoothness: float = Field(0.15, ge=0, le=10, description="weight of the change of predictions from chunk to chunk")


Candidate = Literal[
    "network",
    "network with nearest neighbor",
    "embedding",
    "embedding with nearest neighbor",
    "nearest class mean",
    "nearest neighbor",
    "nearest class mean of skeletons",
    "nearest neighbor of skeletons",
]
"""What a training with `baselines` can deliver; ties go to the first."""


class ClipRecipe(Recipe):
    """A complete recipe for clip recognition."""

    input: InputSettings
    model: ModelSettings
    augmentation: AugmentationSettings = AugmentationSettings()
    training: TrainingSettings
    baselines: bool = Field(False, description="compare with nearest neighbor and class mean, and deliver the best")
    deliver: Candidate | None = Field(None, description="deliver this candidate; null: the best, as measured")
    distillation: DistillationSettings | None = Field(None, description="with --set teacher=BUNDLE")
    continuous: ContinuousSettings | None = Field(
        None, description="for streams: each gesture is reported once, otherwise class `none`; true: default settings"
    )

    @field_validator("continuous", mode="before")
    @classmethod
    def _continuous_or_not(cls, given: Any) -> Any:
        return {True: {}, False: None}[given] if isinstance(given, bool) else given

    @model_validator(mode="after")
    def _continuous_goes_with(self) -> ClipRecipe:
        if self.continuous is not None:
            strange = [n for n in ("baselines", "distillation") if getattr(self, n)]
            strange += ["training.pretrain_epochs"] if self.training.pretrain_epochs else []
            strange += ["input.sampling=central"] if self.input.sampling == "central" else []
            strange += ["model.memory"] if self.model.memory else []
            strange += ["input.streams of pixels and skeletons"] if self.input.fused else []
            if strange:
                raise ValueError(
                    f"continuous does not work with {', '.join(strange)}: its "
                    "network predicts every chunk of a stream separately; remove them, or use --recipe live"
                )
        return self

    @model_validator(mode="after")
    def _fusion_has_both(self) -> ClipRecipe:
        channels = self.input.channels
        if self.model.fusion in OF_FLOW and (tuple(channels[-2:]) != GROUPS["flow"] or len(channels) < 3):
            raise ValueError("model.fusion needs input.channels that end with flow, e.g. [rgb, flow] or [gray, flow]")
        if self.input.flow_stack and tuple(channels[-2:]) != GROUPS["flow"]:
            raise ValueError("input.flow_stack needs input.channels that end with flow, e.g. [flow] or [rgb, flow]")
        if self.input.flow_stack and self.model.stack is not None:
            raise ValueError(
                "input.flow_stack (frames of the recording) and model.stack (frames kept) exclude each other: give one"
            )
        return self

    @model_validator(mode="after")
    def _pixels_and_skeletons_are_fused(self) -> ClipRecipe:
        model, augmented = self.model, self.augmentation.skeleton
        wanted = (self.input.fused, self.input.fused, self.input.fused)
        has = (model.skeleton is not None, model.fusion in FUSIONS, self.augmentation.modality_dropout is not None)
        if has != wanted:
            raise ValueError(
                "input.streams with skeleton and body or hand, model.skeleton, model.fusion (scores, features, "
                "attention) and augmentation.modality_dropout must be set together; see the recipe fused"
            )
        if self.input.fused and augmented is not None and (augmented.speed or augmented.cut or augmented.mirror):
            raise ValueError(
                "with pixels, augmentation.skeleton.speed, .cut and .mirror must be 0: augmentation.speed and .flip "
                "apply to both"
            )
        return self

    @model_validator(mode="after")
    def _skeletons_have_their_networks(self) -> ClipRecipe:
        if self.model.name != "nearest" and self.input.of_skeletons != (self.model.name in SKELETON_NETWORKS):
            which = ", ".join(SKELETON_NETWORKS)
            raise ValueError(
                f"model.name={self.model.name} and input.streams={self.input.streams} do not fit: {which} take "
                "input.streams=[skeleton], and no other network does"
            )
        return self

    @model_validator(mode="after")
    def _sequences_are_of_st_resnets(self) -> ClipRecipe:
        if self.model.name in ST_RESNETS:
            return self
        only = f"is for {', '.join(ST_RESNETS)}, not for {self.model.name}"
        if self.training.loss_over == "sequences":
            raise ValueError(f"training.loss_over=sequences {only}; set last")
        if self.input.sampling == "whole":
            raise ValueError(f"input.sampling=whole {only}; set central, or chunks")
        return self

    @model_serializer(mode="wrap")
    def _without_what_is_not_used(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Omits unused settings, so that run keys stay the same as before these settings existed."""
        document: dict[str, Any] = handler(self)
        for name in ("baselines", "deliver", "distillation", "continuous"):
            if not getattr(self, name):
                document.pop(name, None)
        return document

    @classmethod
    def expanded(cls, sets: Sequence[str]) -> list[str]:
        """Merges all `teacher=BUNDLE` changes into one change of distillation.teachers, in order.

        If epochs are set explicitly, the minimum number of updates is disabled unless it is set, too.
        """
        pairs = [(change.partition("=")[0].strip(), change) for change in sets]
        keys = {key for key, _ in pairs}
        if "training.epochs" in keys and "training.least_updates" not in keys:
            pairs.append(("training.least_updates", "training.least_updates=null"))
        teachers = [change.partition("=")[2].strip() for key, change in pairs if key == "teacher"]
        if not teachers:
            return [change for _, change in pairs]
        if not all(teachers):
            raise RecipeError("--set teacher: write teacher=BUNDLE, the folder OUT/bundle of a training.")
        return [*(change for key, change in pairs if key != "teacher"), f"distillation.teachers={json.dumps(teachers)}"]

    def check(self, changed: frozenset[str]) -> None:
        """Raises RecipeError for chunk voting in a network without it, unless the network is being replaced."""
        super().check(changed)
        inherited = "model.name" in changed and "model.memory" not in changed
        if self.model.memory and self.model.name not in WITH_MEMORY and not inherited:
            raise RecipeError(
                f"model: memory is for {', '.join(WITH_MEMORY)}, not for {self.model.name}; leave it out, "
                "or set model.memory=0."
            )
