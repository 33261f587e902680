"""Recipes for clips: the network's input, its architecture, and its training."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from operator import not_
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from gesta.clips.skeleton_augment import SkeletonAugmentation
from gesta.recipes.schema import Auto, Recipe, RecipeError, Strict, TrainingSettings
from gesta.schema import is_none, is_zero
from gesta.tasks.clips.recipe_model import FUSIONS, OF_FLOW, SKELETON_NETWORKS, ST_RESNETS, WITH_MEMORY, ModelSettings

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
    cut: float = Field(
        0.0, ge=0, lt=0.5, exclude_if=is_zero, description="largest share of the frames cut off at each end"
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
    baselines: bool = Field(
        False, exclude_if=not_, description="compare with nearest neighbor and class mean, and deliver the best"
    )
    deliver: Candidate | None = Field(
        None, exclude_if=is_none, description="deliver this candidate; null: the best, as measured"
    )
    distillation: DistillationSettings | None = Field(None, exclude_if=is_none, description="with --set teacher=BUNDLE")
    continuous: ContinuousSettings | None = Field(
        None,
        exclude_if=is_none,
        description="for streams: each gesture is reported once, otherwise class `none`; true: default settings",
    )

    @field_validator("continuous", mode="before")
    @classmethod
    def _continuous_or_not(cls, given: Any) -> Any:
        return {True: {}, False: None}[given] if isinstance(given, bool) else given

    @model_validator(mode="after")
    def _continuous_goes_with(self) -> ClipRecipe:
        if self.continuous is not None:
            others = {
                "baselines": self.baselines,
                "distillation": self.distillation,
                "training.pretrain_epochs": self.training.pretrain_epochs,
                "input.sampling=central": self.input.sampling == "central",
                "model.memory": self.model.memory,
                "input.streams of pixels and skeletons": self.input.fused,
            }
            if strange := [name for name, used in others.items() if used]:
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
                "with pixels, augmentation.skeleton.speed, .cut and .mirror must be 0: augmentation.speed, .cut and "
                ".flip apply to both"
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
