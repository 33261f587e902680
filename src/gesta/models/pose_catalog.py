"""The registry of hand pose networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from gesta.models.anchors import Anchors
from gesta.models.deep_model import DeepModel
from gesta.models.deep_prior import DeepPrior
from gesta.models.foreign import is_foreign, made
from gesta.models.pose_fusion import FuseNet, ScoreFusion
from gesta.models.pose_layers import PlainPose, PoseNet
from gesta.models.pose_nets import PLANS
from gesta.words import did_you_mean

CHANNELS = {"depth": 1, "rgb": 3, "rgbd": 4}


def _plain(model: Mapping[str, Any], joint_names: Sequence[str], inputs: str, size: int, *, plan: str) -> PoseNet:
    shared = _shared(model, joint_names, size)
    return PlainPose(plan, channels=CHANNELS[inputs], **shared)


def _score_fusion(model: Mapping[str, Any], joint_names: Sequence[str], inputs: str, size: int) -> PoseNet:
    _both(model, inputs)
    return ScoreFusion(weights=model.get("weights", "fixed"), **_shared(model, joint_names, size))


def _fuse_net(model: Mapping[str, Any], joint_names: Sequence[str], inputs: str, size: int) -> PoseNet:
    _both(model, inputs)
    chosen = {key: model[key] for key in ("function", "after") if key in model}
    return FuseNet(**chosen, **_shared(model, joint_names, size))


def _deep_prior(model: Mapping[str, Any], joint_names: Sequence[str], inputs: str, size: int) -> PoseNet:
    bottleneck = model.get("bottleneck", 30)
    return DeepPrior(channels=CHANNELS[inputs], bottleneck=bottleneck, **_shared(model, joint_names, size))


def _deep_model(model: Mapping[str, Any], joint_names: Sequence[str], inputs: str, size: int) -> PoseNet:
    chosen = {key: model[key] for key in ("hidden", "dropout") if key in model}
    return DeepModel(joint_names=joint_names, channels=CHANNELS[inputs], size=size, **chosen)


def _anchors(model: Mapping[str, Any], joint_names: Sequence[str], inputs: str, size: int) -> PoseNet:
    if size % 16:
        raise ValueError(f"anchors needs a patch size that is a multiple of 16, not {size}: set input.size")
    chosen = {key: model[key] for key in ("dropout", "width") if key in model}
    return Anchors(joints=len(joint_names), channels=CHANNELS[inputs], **chosen)


POSE_MODELS: dict[str, Callable[[Mapping[str, Any], Sequence[str], str, int], PoseNet]] = {
    **{name: partial(_plain, plan=plan) for name, plan in PLANS.items()},
    "score_fusion": _score_fusion,
    "fuse_net": _fuse_net,
    "deep_prior": _deep_prior,
    "deep_model": _deep_model,
    "anchors": _anchors,
}
"""Name -> function(model settings, joint names, inputs, size) -> network."""


def build_pose(model: Mapping[str, Any], *, joint_names: Sequence[str], inputs: str, size: int) -> PoseNet:
    """A fresh network: `forward(hand float32 [B, C, size, size]) -> joints float32 [B, J, 3]` in units of half a cube.

    `model`: the `model` section of a recipe as plain values; `inputs`: depth, rgb or rgbd. Raises ValueError for an
    unknown name, with the list and the nearest match, and for settings that do not fit together.
    """
    name = str(model.get("name"))
    if is_foreign(name, POSE_MODELS):
        given = {"joint_names": joint_names, "channels": CHANNELS[inputs], "size": size}
        return made(name, PoseNet, {"joints": len(joint_names)}, given, model.get("options"))
    if name not in POSE_MODELS:
        meant = did_you_mean(name, POSE_MODELS)
        raise ValueError(f"no network {name!r}; choose from {', '.join(POSE_MODELS)}.{meant}")
    return POSE_MODELS[name](model, joint_names, inputs, size)


def _shared(model: Mapping[str, Any], joint_names: Sequence[str], size: int) -> dict[str, Any]:
    return {
        "joints": len(joint_names),
        "size": size,
        "hidden": model.get("hidden", 4096),
        "dropout": model.get("dropout", 0.0),
    }


def _both(model: Mapping[str, Any], inputs: str) -> None:
    if inputs != "rgbd":
        raise ValueError(f"{model['name']} takes depth and color: input.inputs=rgbd, not {inputs}")
