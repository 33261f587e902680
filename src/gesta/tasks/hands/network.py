"""The network of a hand pose bundle, for running and exporting."""

from __future__ import annotations

import torch
from torch import nn

from gesta.bundle.io import Bundle, load_weights
from gesta.bundle.manifest import Tensor
from gesta.engines.part import Part
from gesta.engines.torch import fitting, loaded
from gesta.models.hand_center import HandCenter
from gesta.models.pose_catalog import build_pose
from gesta.models.pose_layers import PoseNet
from gesta.tasks.hands.detect import CENTER, SIZE
from gesta.tasks.hands.manifest import HandManifest


def load_network(bundle: Bundle[HandManifest]) -> PoseNet:
    """Return the network of the bundle's recipe with its weights, in eval mode, on the CPU.

    Raises GestaError if the bundle has no weights or they do not fit the network of its recipe.
    """
    manifest, transform = bundle.manifest, bundle.manifest.transform
    with fitting(bundle):
        model = manifest.recipe.get("model", {})
        network = build_pose(model, joint_names=manifest.joints, inputs=transform.inputs, size=transform.size)
        return loaded(network, load_weights(bundle, "network"))


def parts(bundle: Bundle[HandManifest], network: nn.Module | None = None) -> list[Part]:
    """Return the network as an exportable part: hand [B, C, S, S] -> joints [B, J, 3]; B is dynamic.

    If the bundle has a detector, it is the second part.
    """
    transform = bundle.manifest.transform
    shape = (-1, transform.channels, transform.size, transform.size)
    hand = Tensor(name="hand", dtype="float32", shape=shape)
    joints = Tensor(name="joints", dtype="float32", shape=(-1, len(bundle.manifest.joints), 3))
    module = load_network(bundle) if network is None else network
    found = [Part("whole", module, (torch.zeros(2, *shape[1:]),), (hand,), (joints,))]
    return [*found, center_part(load_detector(bundle))] if bundle.manifest.has_detector else found


def load_detector(bundle: Bundle[HandManifest]) -> HandCenter:
    """Return the network that finds the hand's center, in eval mode, on the CPU. Raises GestaError like the other."""
    with fitting(bundle):
        return loaded(HandCenter(), load_weights(bundle, CENTER))


def center_part(network: HandCenter) -> Part:
    """Return the detector as an exportable part: patch [B, 1, S, S] -> offset [B, 3]; B is dynamic."""
    patch = Tensor(name="patch", dtype="float32", shape=(-1, 1, SIZE, SIZE))
    offset = Tensor(name="offset", dtype="float32", shape=(-1, 3))
    return Part("whole", network, (torch.zeros(2, 1, SIZE, SIZE),), (patch,), (offset,), stage=CENTER)
