"""What a recipe may say. A recipe is one complete YAML file: no inheritance, unknown keys are refused."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

Auto = Literal["auto"]
Channel = Literal["gray", "depth", "gray_difference", "depth_difference", "red", "green", "blue", "flow_x", "flow_y"]
GROUPS = {"rgb": ("red", "green", "blue"), "flow": ("flow_x", "flow_y")}
"""Names in `input.channels` that stand for several."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class InputSettings(_Strict):
    """Settings of the transform. "auto" is settled from what the data offers, and said so."""

    fps: Annotated[float, Field(gt=0, le=240)] | Auto = "auto"
    max_fps: Annotated[float, Field(gt=0)] | Literal["auto"] | None = Field(
        None, description="fps auto: every n-th frame, so that it is at most this; auto: 15 with depth, 30 without"
    )
    size: int = Field(64, ge=16, le=512)
    streams: tuple[Literal["body", "hand"], ...] | Auto = ("body", "hand")
    channels: tuple[Channel, ...] | Auto = ("gray", "depth")
    body: Literal["skeleton", "motion", "frame"] | Auto = "auto"
    hand_rule: Literal["clip", "so_far"] = "clip"
    mirror: bool = True
    hand_side: float = Field(0.5, gt=0, le=2, description="side of the hand crop, in hip-to-head heights")
    box_smoothing: Annotated[float, Field(ge=0, lt=1)] | Auto = 0.0
    sampling: Literal["chunks", "central"] = "chunks"
    window: int = Field(32, ge=4, description="frames of the central window")

    @field_validator("channels", mode="before")
    @classmethod
    def _groups_spelled_out(cls, channels: Any) -> Any:
        if not isinstance(channels, list | tuple):
            return channels
        return tuple(
            one for name in channels for one in (GROUPS.get(name, (name,)) if isinstance(name, str) else (name,))
        )


class LayerSettings(_Strict):
    """Widths of single layers: what is left after slimming. None: by `width`."""

    convolutions: tuple[tuple[Annotated[int, Field(ge=1)], ...], ...] | None = Field(
        None, description="of every stream the channels of its convolutions"
    )
    linear: int | None = Field(None, ge=1, description="outputs of the linear layer behind them")
    lstm: int | None = Field(None, ge=1, description="hidden units")


class ModelSettings(_Strict):
    """Which network. Names stand in gesta.models.catalog."""

    name: Literal["cnn3d", "lstm", "joint", "c3d", "i3d", "st_resnet18", "st_resnet50"] = "joint"
    width: float = Field(1.0, gt=0, le=4, description="multiplies every width: 1 original, 0.5 medium, 0.25 small")
    dropout: float = Field(0.0, ge=0, lt=1, description="before the linear layers")
    memory: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="weight of the past in a fading vote of the chunks; 0: the last chunk answers",
    )
    layers: LayerSettings | None = Field(None, description="widths of single layers, left by slimming")
    context: str | None = Field(
        None, description="st_resnet: 1, 2, 3, special3 or 5 frames, or pairs of positions such as 98-104; null: 2"
    )
    kind: Literal["identity", "linear", "nonlinear"] | None = Field(None, description="st_resnet: its connections")
    overlap: bool | None = Field(None, description="st_resnet: sequences begin at every frame; null: disjoint")
    stack: int | None = Field(
        None, ge=1, le=20, description="flow of so many frames side by side (c3d, i3d, st_resnet)"
    )
    fusion: Literal["score", "feature"] | None = Field(
        None, description="a second network for the flow, fused by probabilities or features (c3d, i3d, st_resnet)"
    )
    padding: Literal["same", "inception_v1"] | None = Field(
        None, description="i3d: at the borders, inception_v1 for image weights; null: by the weights, same without"
    )
    weights: str | None = Field(
        None, description="published weights to begin with: a file, or official (c3d, i3d, st_resnet)"
    )
    motion_weights: str | None = Field(None, description="with fusion: those of the flow's network; null: the same")

    @model_validator(mode="after")
    def _of_video_networks(self) -> ModelSettings:
        for name in ("stack", "fusion", "weights"):
            if getattr(self, name) is not None and self.name in ("cnn3d", "lstm", "joint"):
                raise ValueError(f"{name} is for c3d, i3d and st_resnet, not for {self.name}")
        if self.padding is not None and self.name != "i3d":
            raise ValueError(f"padding is for i3d, not for {self.name}")
        if self.motion_weights is not None and self.fusion is None:
            raise ValueError("motion_weights are for the flow's network of two streams: set fusion, too")
        return self

    @field_validator("context", mode="before")
    @classmethod
    def _context_as_text(cls, context: Any) -> Any:
        return str(context) if isinstance(context, int) and not isinstance(context, bool) else context

    @model_serializer(mode="wrap")
    def _without_what_is_not_used(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A network by `width` is written as it was before there were others: run keys stay the same."""
        document: dict[str, Any] = handler(self)
        for name in ("layers", "context", "kind", "overlap", "stack", "fusion", "padding", "weights", "motion_weights"):
            if getattr(self, name) is None:
                document.pop(name, None)
        return document


class AugmentationSettings(_Strict):
    """One draw a clip, the same for all its frames and channels (spec 1, Input 5). Zero switches a part off."""

    rotation_deg: float = Field(4.0, ge=0)
    shift_px: float = Field(5.0, ge=0)
    zoom_in_px: float = Field(6.0, ge=0, description="zoom in by up to this many pixels of the crop")
    scale: tuple[float, float] = (1.0, 1.0)
    speed: tuple[float, float] = (1.0, 1.0)
    window: tuple[int, int] | None = Field(None, description="random window of so many frames; None: the whole clip")
    context: float = Field(0.0, ge=0, le=1, description="probability that what came before the gesture is seen, too")
    context_frames: int = Field(24, ge=1, description="at most so many frames of it")
    flip: Annotated[float, Field(ge=0, le=1)] | Auto = Field(
        0.0, description="probability of a left-right mirror (classes must not depend on it)"
    )

    @model_validator(mode="after")
    def _ranges(self) -> AugmentationSettings:
        for name in ("scale", "speed", "window"):
            pair = getattr(self, name)
            if pair is not None and not 0 < pair[0] <= pair[1]:
                raise ValueError(f"{name}: expected [low, high] with 0 < low <= high, got {list(pair)}")
        return self


class TrainingSettings(_Strict):
    epochs: Annotated[int, Field(ge=1)] | Auto = Field(description="auto: from the number of training clips")
    batch: Annotated[int, Field(ge=1)] | Auto = 32
    optimizer: Literal["sgd", "adam", "adamw", "rprop"] = "sgd"
    learning_rate: float = Field(0.005, gt=0)
    momentum: float = Field(0.9, ge=0, lt=1, description="of SGD")
    weight_decay: float = Field(1e-6, ge=0, description="an L2 term in the gradient for sgd and adam")
    schedule: Literal["constant", "one_cycle"] = "constant"
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    gradient_clip: float | None = Field(None, gt=0, description="largest norm of the gradient")
    loss_over: Literal["last", "second_half"] = Field("last", description="chunks whose loss counts")
    patience: int | None = Field(None, ge=1, description="stop after so many epochs without a better validation")
    validation: bool = Field(True, description="false: validation clips are trained on, too, and the last epoch stays")
    pretrain_epochs: int = Field(0, ge=0, description="encoder alone on single chunks first (joint model)")
    freeze_encoder: bool = Field(False, description="after pre-training, train the LSTM only")
    precision: Literal["32-true", "16-mixed", "bf16-mixed"] | Auto = "32-true"
    accumulate: float | None = Field(
        None, gt=0, le=1, description="share of the training clips whose gradients make one update; null: a batch"
    )
    freeze: str | None = Field(
        None, description="with --from: layers that stay as they are: all, first, or names with commas; null: none"
    )
    rates: dict[str, Annotated[float, Field(gt=0)]] | None = Field(
        None, description="layer -> factor of the learning rate, as in {encoder: 0.1}; 1 where none is given"
    )

    @model_validator(mode="after")
    def _rprop_has_steps_of_its_own(self) -> TrainingSettings:
        if self.optimizer == "rprop" and self.schedule != "constant":
            raise ValueError("rprop finds its own steps, so the schedule is constant")
        return self

    @model_serializer(mode="wrap")
    def _without_what_is_not_used(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """An update a batch is written as it was before there was another way: run keys stay the same."""
        document: dict[str, Any] = handler(self)
        for name in ("accumulate", "freeze", "rates"):
            if getattr(self, name) is None:
                document.pop(name, None)
        return document


class DistillationSettings(_Strict):
    """Learning from a teacher's softened answers beside the labels (Mullick 2018, chapter 4; spec 2)."""

    teachers: tuple[str, ...] = Field((), description="bundles; of several the mean of their softened answers is taken")
    temperature: float = Field(4.0, gt=0, description="T: the teacher's logits are divided by it before the softmax")
    alpha: float = Field(0.5, ge=0, le=1, description="share of the soft loss; the labels' share is 1 - alpha")
    loss: Literal["mse", "kl"] = Field("mse", description="mse: the document's. kl: Hinton's, times T squared")
    way: Literal["joint", "soft_then_hard"] = Field("joint", description="both losses together, or labels afterwards")
    soft_epochs: int | None = Field(None, ge=1, description="soft_then_hard: epochs on soft targets; null: epochs")
    sees: Literal["clip", "same"] = Field(
        "clip", description="clip: the teacher sees each whole clip once, as recorded. same: what the student sees"
    )
    sights: int | None = Field(
        None,
        ge=1,
        description="with same: versions of a clip drawn, each shown to the teacher once; null: new ones always",
    )

    @model_validator(mode="after")
    def _few_sights_are_same(self) -> DistillationSettings:
        if self.sights is not None and self.sees != "same":
            raise ValueError("sights is for distillation.sees=same: of the clip as recorded there is one")
        return self


class Recipe(_Strict):
    """A complete recipe: purpose and cost stand in its YAML file's header comment."""

    name: str
    title: str = Field(description="one line: what it is for")
    input: InputSettings
    model: ModelSettings
    augmentation: AugmentationSettings = AugmentationSettings()
    training: TrainingSettings
    distillation: DistillationSettings | None = Field(None, description="with --set teacher=BUNDLE")

    @model_validator(mode="after")
    def _fusion_has_both(self) -> Recipe:
        channels = self.input.channels
        if self.model.fusion is not None and (tuple(channels[-2:]) != GROUPS["flow"] or len(channels) < 3):
            raise ValueError("model.fusion needs input.channels that end with flow, e.g. [rgb, flow] or [gray, flow]")
        return self

    @model_serializer(mode="wrap")
    def _without_what_is_not_used(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A recipe without a teacher is written as it was before there were any: bundles and run keys stay the same."""
        document: dict[str, Any] = handler(self)
        if self.distillation is None:
            document.pop("distillation", None)
        return document


class ImageModelSettings(_Strict):
    """Which network for images. Names stand in gesta.models.catalog.IMAGE_MODELS."""

    name: Literal["resnet_cifar", "nin", "vgg"]
    dropout: float = Field(0.0, ge=0, lt=1)


class ImageRecipe(_Strict):
    """A complete recipe for single images in the layout of CIFAR, as they are: no transform, no augmentation."""

    kind: Literal["images"]
    name: str
    title: str = Field(description="one line: what it is for")
    model: ImageModelSettings
    training: TrainingSettings

    @field_validator("training")
    @classmethod
    def _for_images(cls, training: TrainingSettings) -> TrainingSettings:
        if "auto" in (training.epochs, training.batch):
            raise ValueError("epochs and batch are numbers for images, not auto")
        if training.pretrain_epochs or training.freeze_encoder or training.loss_over != "last":
            raise ValueError("pretrain_epochs, freeze_encoder and loss_over are for clips, not for images")
        return training


class PoseInputSettings(_Strict):
    """The hand transform's settings; colour's mean and deviation come from the training frames."""

    inputs: Literal["depth", "rgb", "rgbd"] = "depth"
    size: int = Field(128, ge=16, le=512, description="height and width of the patch, pixels")
    cube_mm: float = Field(300.0, gt=0, le=2000, description="side of the cube; smaller for a smaller hand")
    mask: bool = Field(True, description="colour is black where depth shows no hand")


class PoseModelSettings(_Strict):
    """Which network. Names stand in gesta.models.pose_catalog.POSE_MODELS; `hidden` to `after` are for some of them."""

    name: Literal[
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
    ]
    hidden: int = Field(4096, ge=1, description="width of the two fully connected layers; deep_prior, deep_model: 1024")
    dropout: float = Field(0.03, ge=0, lt=1, description="behind each fully connected layer")
    weights: Literal["fixed", "per_output", "learned"] = Field(
        "fixed", description="score_fusion: 0.5 each, by the validation errors of each output, or learned"
    )
    function: Literal["max", "sum", "concatenation", "convolution"] = Field(
        "convolution", description="fuse_net: how the two streams are joined"
    )
    after: str = Field("conv4", description="fuse_net: layer behind which they are joined: conv1-9, pool1-3, fc1, fc2")
    bottleneck: int = Field(30, ge=1, description="deep_prior: dimensions of the pose space")
    width: float = Field(1.0, gt=0, le=4, description="anchors: multiplies every width")


class PoseAugmentationSettings(_Strict):
    """Joints move with the image. One draw a frame and epoch; zeros switch a part off."""

    rotation_deg: float = Field(0.0, ge=0, le=180, description="turned about the centre's pixel by up to this")
    shift_mm: float = Field(0.0, ge=0, le=50, description="standard deviation of the centre's shift along each axis")
    scale: tuple[float, float] = Field((1.0, 1.0), description="of the cube's side")

    @field_validator("scale")
    @classmethod
    def _range(cls, scale: tuple[float, float]) -> tuple[float, float]:
        if not 0.7 <= scale[0] <= scale[1] <= 1.3:
            raise ValueError(f"expected [low, high] with 0.7 <= low <= high <= 1.3, got {list(scale)}")
        return scale

    @property
    def active(self) -> bool:
        return bool(self.rotation_deg or self.shift_mm or self.scale != (1.0, 1.0))


class PoseTrainingSettings(_Strict):
    """Kazakos, section 4.3. A plateau: so many epochs without a better validation loss."""

    epochs: int = Field(100, ge=1)
    batch: int = Field(128, ge=2)
    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    learning_rate: float = Field(0.01, gt=0)
    momentum: float = Field(0.9, ge=0, lt=1, description="of SGD")
    weight_decay: float = Field(0.0, ge=0)
    schedule: Literal["plateau", "constant", "one_cycle"] = "plateau"
    plateau: int = Field(4, ge=1, description="schedule plateau: halved after so many epochs without a better loss")
    patience: int | None = Field(12, ge=1, description="stop after so many epochs without a better validation loss")
    validation_share: float = Field(0.25, gt=0, le=0.5, description="of the training frames, drawn evenly")
    gradient_clip: float | None = Field(None, gt=0)
    precision: Literal["32-true", "16-mixed", "bf16-mixed", "auto"] = "32-true"


class PoseRecipe(_Strict):
    """A complete recipe for hand pose from depth, colour or both."""

    kind: Literal["pose"]
    name: str
    title: str = Field(description="one line: what it is for")
    input: PoseInputSettings = PoseInputSettings()
    model: PoseModelSettings
    augmentation: PoseAugmentationSettings = PoseAugmentationSettings()
    training: PoseTrainingSettings = PoseTrainingSettings()
