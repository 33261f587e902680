"""Input of the browser export: the model and an example as JSON, and the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta.bundle.io import Bundle
from gesta.bundle.manifest import Artifact
from gesta.clips.skeleton_sets import BLAZEPOSE_JOINTS, HAND_JOINTS, TWO_HANDS_JOINTS, joint_set, order_of, places_in
from gesta.clips.skeleton_space import SkeletonSpace
from gesta.schema import GestaError

FORMAT = 1
"""Format version of model.json, known to the page's modules."""
NETWORK = "network.onnx"
TOLERANCE = {"int8": 0.05}
"""Tolerance of probabilities against gesta's, by precision; otherwise EXACT."""
EXACT = 0.01

_BODY, _HAND = len(BLAZEPOSE_JOINTS), len(HAND_JOINTS)
MEDIAPIPE = (
    (BLAZEPOSE_JOINTS, 0),
    (BLAZEPOSE_JOINTS + TWO_HANDS_JOINTS, 0),
    (TWO_HANDS_JOINTS, _BODY),
    (HAND_JOINTS, _BODY + _HAND),
)
"""MediaPipe's joint sets and their offsets among 33 body, 21 left-hand and 21 right-hand landmarks. A single hand is
passed as the right one."""


@dataclass(frozen=True)
class WebModel:
    """`model` and `golden`: the contents of model.json and golden.json (exporting/web/source/model.ts, golden.ts)."""

    model: dict[str, Any]
    golden: dict[str, Any]
    network: bytes


def network_of(bundle: Bundle[Any]) -> Artifact:
    """Returns the ONNX step network, otherwise the whole network. Raises GestaError if there is none."""
    artifact = bundle.find("step", "onnxruntime") or bundle.find("whole", "onnxruntime")
    if artifact is None or artifact.companions:
        raise GestaError(f"{bundle.path}: has no ONNX network. Give the trained bundle, or export it to onnx first.")
    return artifact


def model_document(bundle: Bundle[Any], labels: Sequence[str], decoder: Any, **own: Any) -> dict[str, Any]:
    """Returns model.json: the fields common to all kinds, and the kind's `own`."""
    artifact, manifest = network_of(bundle), bundle.manifest
    return {
        "format": FORMAT,
        "kind": manifest.kind,
        "name": manifest.name,
        "summary": manifest.summary,
        "labels": list(labels),
        "network": {
            "file": NETWORK,
            "role": artifact.role,
            "inputs": [tensor.model_dump(mode="json") for tensor in artifact.inputs],
            "states": [tensor.model_dump(mode="json") for tensor in artifact.states],
        },
        "decoder": decoder.model_dump(mode="json"),
        **own,
    }


def space_document(space: SkeletonSpace) -> dict[str, Any]:
    """Describes a skeleton space, with the indices defined by its joint set."""
    joints = joint_set(space.joints)
    return {
        **space.model_dump(mode="json"),
        "middle": joints.origin,
        "spans": joints.spans,
        "across": joints.across,
        "mediapipe": mediapipe_places(space.joints),
    }


def mediapipe_places(joints: Sequence[str]) -> list[int] | None:
    """Returns each joint's index among MediaPipe's 75 landmarks, or None for joints that are neither one of its sets
    nor a subset of its body joints."""
    for names, begin in MEDIAPIPE:
        order = order_of(names, joints)
        if order is not None:
            return [begin + place for place in order]
    return places_in(BLAZEPOSE_JOINTS, joints)


def golden_document(
    labels: Sequence[str],
    precision: str,
    times_s: Sequence[float],
    answers: Sequence[tuple[float, NDArray[np.floating]]],
    drawing: dict[str, Any] | None = None,
    skeletons: NDArray[np.float32] | None = None,
) -> dict[str, Any]:
    """Returns golden.json: an example's frames, drawn or skeletons [T, J, D], and gesta's answers, (end time, [N])."""
    rows = None if skeletons is None else [[_number(x) for x in frame.ravel()] for frame in skeletons]
    return {
        "times_s": list(times_s),
        "drawing": drawing,
        "skeletons": rows,
        "answers": [{"time_s": time_s, "probabilities": values.tolist()} for time_s, values in answers],
        "label": labels[int(np.argmax(answers[-1][1]))],
        "tolerance": TOLERANCE.get(precision, EXACT),
    }


def wandering(joints: int, dimensions: int, frames: int) -> NDArray[np.float32]:
    """Returns synthetic skeletons [T, J, D] with random-walk joints, some of them missing, as an example."""
    rng = np.random.default_rng(0)
    walk = rng.normal(0, 1, (joints, dimensions)) + rng.normal(0, 0.05, (frames, joints, dimensions)).cumsum(0)
    walk[rng.random((frames, joints)) < 0.05] = np.nan
    return np.round(walk, 4).astype(np.float32)


def _number(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
