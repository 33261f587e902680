"""The network of a hand pose bundle, for running and exporting."""

from __future__ import annotations

import torch
from torch import nn

from gesta.bundle.io import Bundle, load_weights
from gesta.bundle.manifest import Tensor
from gesta.engines.part import Part
from gesta.engines.torch import fitting, loaded
from gesta.models.pose_catalog import build_pose
from gesta.models.pose_layers import PoseNet
from gesta.tasks.hands.manifest import HandManifest


def load_network(bundle: Bundle[HandManifest]) -> PoseNet:
    """Return the network of the bundle's recipe with its weights, in eval mode, on the CPU.

    Raises GestaError if the bundle has no weights or they do not fit the network of its recipe.
    """
    manifest, transform = bundle.manifest, bundle.manifest.transform
    with fitting(bundle):
        model = manifest.recipe.get("model", {})
        network = build_pose(model, joint_names=manifest.joints, inputs=transform.inputs, size=transform.size)
        return loaded(network, load_weights(bundle))


def parts(bundle: Bundle[HandManifest], network: nn.Module | None = None) -> list[Part]:
    """Return the network as an exportable part: hand [B, C, S, S] -> joints [B, J, 3]; B is dynamic."""
    transform = bundle.manifest.transform
    shape = (-1, transform.channels, transform.size, transform.size)
    hand = Tensor(name="hand", dtype="float32", shape=shape)
    joints = Tensor(name="joints", dtype="float32", shape=(-1, len(bundle.manifest.joints), 3))
    module = load_network(bundle) if network is None else network
    return [Part("whole", module, (torch.zeros(2, *shape[1:]),), (hand,), (joints,))]
