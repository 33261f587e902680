"""Recipes for hand poses: input, network, and training."""

from __future__ import annotations

from operator import not_
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from gesta.recipes.schema import OR_OUTSIDE, NetworkSettings, Recipe, Strict
from gesta.schema import is_zero


class PoseInputSettings(Strict):
    """Settings of the hand transform. Color mean and deviation are computed from the training frames."""

    inputs: Literal["depth", "rgb", "rgbd"] = "depth"
    size: int = Field(128, ge=16, le=512, description="height and width of the patch, pixels")
    cube_mm: float = Field(300.0, gt=0, le=2000, description="side of the cube; smaller for a smaller hand")
    mask: bool = Field(True, description="color is black where depth shows no hand")


class PoseModelSettings(NetworkSettings):
    """The network. Names: gesta.models.pose_catalog.POSE_MODELS; `hidden` to `after` apply to some of them."""

    name: Annotated[
        Literal[
            "net1",
            "net2",
            "net3",
            "net4",
            "net5",
            "net6",
            "net7",
            "net8",
            "net9",
            "score_fusion",
            "fuse_net",
            "deep_prior",
            "deep_model",
            "anchors",
        ],
        *OR_OUTSIDE,
    ]
    hidden: int = Field(4096, ge=1, description="width of the two fully connected layers; deep_prior, deep_model: 1024")
    dropout: float = Field(0.03, ge=0, lt=1, description="after each fully connected layer")
    weights: Literal["fixed", "per_output", "learned"] = Field(
        "fixed", description="score_fusion: 0.5 each, by the validation errors of each output, or learned"
    )
    function: Literal["max", "sum", "concatenation", "convolution", "gated", "attention"] = Field(
        "convolution", description="fuse_net: how the two streams are joined"
    )
    after: str | Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        "conv4", description="fuse_net: layer after which they are joined, or several: conv1-9, pool1-3, fc1, fc2"
    )
    bottleneck: int = Field(30, ge=1, description="deep_prior: dimensions of the pose space")
    width: float = Field(1.0, gt=0, le=4, description="anchors: multiplies every width")


class PoseAugmentationSettings(Strict):
    """Joints move with the image. Drawn once per frame and epoch; zero turns a part off."""

    rotation_deg: float = Field(0.0, ge=0, le=180, description="maximum rotation about the center")
    shift_mm: float = Field(0.0, ge=0, le=50, description="standard deviation of the center's shift along each axis")
    scale: tuple[float, float] = Field((1.0, 1.0), description="range of factors for the side of the cube")

    @field_validator("scale")
    @classmethod
    def _range(cls, scale: tuple[float, float]) -> tuple[float, float]:
        if not 0.7 <= scale[0] <= scale[1] <= 1.3:
            raise ValueError(f"expected [low, high] with 0.7 <= low <= high <= 1.3, got {list(scale)}")
        return scale

    @property
    def active(self) -> bool:
        return bool(self.rotation_deg or self.shift_mm or self.scale != (1.0, 1.0))


class PoseTrainingSettings(Strict):
    """Kazakos, section 4.4.3. `plateau`: number of epochs without a better validation loss."""

    epochs: int = Field(100, ge=1)
    batch: int = Field(128, ge=2)
    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    learning_rate: float = Field(0.01, gt=0)
    momentum: float = Field(0.9, ge=0, lt=1, description="of SGD")
    weight_decay: float = Field(0.0, ge=0)
    schedule: Literal["plateau", "constant", "one_cycle"] = "plateau"
    plateau: int = Field(
        4, ge=1, description="schedule plateau: halve the learning rate after this many epochs without a better loss"
    )
    patience: int | None = Field(12, ge=1, description="stop after this many epochs without a better validation loss")
    validation_share: float = Field(0.25, gt=0, le=0.5, description="of the training frames, drawn evenly")
    gradient_clip: float | None = Field(None, gt=0)
    prior: float = Field(0.0, ge=0, exclude_if=is_zero, description="weight of a penalty on unusual hand poses")
    precision: Literal["32-true", "16-mixed", "bf16-mixed", "auto"] = "32-true"


class HandRecipe(Recipe):
    """A complete recipe for hand pose estimation from depth, color or both."""

    task: ClassVar[str] = "hands"

    kind: Literal["hands"]
    input: PoseInputSettings = PoseInputSettings()
    model: PoseModelSettings
    augmentation: PoseAugmentationSettings = PoseAugmentationSettings()
    training: PoseTrainingSettings = PoseTrainingSettings()
    detector: bool = Field(
        False, exclude_if=not_, description="also train a small network that finds the hand's center"
    )

    @field_validator("kind", mode="before")
    @classmethod
    def _former_name(cls, kind: Any) -> Any:
        return "hands" if kind == "pose" else kind
