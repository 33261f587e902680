"""The `model` section of recipes for clips: which network, and its settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer, model_validator

from gesta.recipes.positions import named
from gesta.recipes.schema import OR_OUTSIDE, NetworkSettings, Strict


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
