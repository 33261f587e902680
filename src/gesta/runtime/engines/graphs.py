"""What the engines of exported networks share: which of a bundle's graphs are opened, what goes in and comes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gesta.bundle.io import Bundle
from gesta.bundle.manifest import Artifact, PoseManifest, SequenceManifest
from gesta.runtime.engines.base import Hands, Logits, Pixels, State, artifacts_for, is_windowed, zeros
from gesta.schema import GestaError

Arrays = Mapping[str, NDArray[Any]]


class Graph(Protocol):
    """An exported network, loaded and at work on one device."""

    def __call__(self, feed: Arrays) -> dict[str, NDArray[np.float32]]:
        """Inputs by name -> outputs by name, in memory of their own."""


@dataclass(frozen=True)
class GraphFormat:
    """An engine of exported networks. `reads`: artifacts made for these engines, in the order of preference.

    `place`: the user's word for a device -> the engine's; raises GestaError (usage) for one that is not there. `load`:
    (bundle, artifact, place, threads) -> its graph; raises GestaError for a damaged file.
    """

    name: str
    reads: tuple[str, ...]
    place: Callable[[str], str]
    load: Callable[[Bundle[Any], Artifact, str, int | None], Graph]

    def open_bundle(
        self, bundle: Bundle, *, device: str, threads: int | None, precision: str | None
    ) -> ClassifierGraphs:
        """The bundle's networks on `device`. Raises GestaError if it has none for the engine."""
        place = self.place(device)
        whole, step = artifacts_for(bundle, self.reads, precision)
        return ClassifierGraphs(self.name, bundle, whole, step, lambda a: self.load(bundle, a, place, threads))

    def open_pose(
        self, bundle: Bundle[PoseManifest], *, device: str, threads: int | None, precision: str | None
    ) -> PoseGraph:
        """The hand pose model's network on `device`. Raises GestaError as `open_bundle` does."""
        return PoseGraph(self.name, self._whole(bundle, device, threads, precision))

    def open_sequence(
        self,
        bundle: Bundle[SequenceManifest],
        backbone: Bundle[SequenceManifest],
        *,
        device: str,
        threads: int | None,
        precision: str | None,
    ) -> SequenceGraphs:
        """The head of `bundle` and the backbone of `backbone`. Raises GestaError as `open_bundle` does."""
        first = self._whole(backbone, device, threads, precision, "backbone")
        return SequenceGraphs(self.name, first, self._whole(bundle, device, threads, precision, "head"))

    def _whole(
        self, bundle: Bundle[Any], device: str, threads: int | None, precision: str | None, stage: str | None = None
    ) -> Graph:
        place = self.place(device)
        whole, _ = artifacts_for(bundle, self.reads, precision, stage=stage)
        assert whole is not None  # only classifiers of clips have a streaming step
        return self.load(bundle, whole, place, threads)


@dataclass
class ClassifierGraphs:
    """Implements base.Engine; each network is loaded when it is first used."""

    name: str
    bundle: Bundle
    whole_artifact: Artifact | None
    step_artifact: Artifact | None
    load: Callable[[Artifact], Graph]
    _loaded: dict[str, Graph] = field(default_factory=dict, repr=False)

    @property
    def wholes(self) -> bool:
        return self.whole_artifact is not None

    @property
    def steps(self) -> bool:
        return self.step_artifact is not None

    @property
    def windowed(self) -> bool:
        return is_windowed(self.whole_artifact)

    def whole(self, clip: Pixels, lengths: NDArray[np.int64]) -> Logits:
        artifact, graph = self._graph(self.whole_artifact, "whole")
        feed: Arrays = {"clip": clip, "lengths": lengths}
        return graph({tensor.name: feed[tensor.name] for tensor in artifact.inputs})["logits"]

    def start(self, batch: int) -> State:
        return zeros(self.step_artifact.states if self.step_artifact else (), batch)

    def step(self, chunk: Pixels, state: State) -> tuple[Logits, State]:
        artifact, graph = self._graph(self.step_artifact, "step")
        found = graph({"chunk": chunk, **state})
        return found["logits"], {s.name: found[f"{s.name}_out"] for s in artifact.states}

    def _graph(self, artifact: Artifact | None, role: str) -> tuple[Artifact, Graph]:
        if artifact is None:
            raise GestaError(f"{self.bundle.path}: has no {role} network for {self.name}.")
        if role not in self._loaded:
            self._loaded[role] = self.load(artifact)
        return artifact, self._loaded[role]


@dataclass(frozen=True)
class PoseGraph:
    """Implements base.PoseEngine."""

    name: str
    graph: Graph

    def joints(self, hand: Hands) -> NDArray[np.float32]:
        return self.graph({"hand": hand})["joints"]


@dataclass(frozen=True)
class SequenceGraphs:
    """Implements base.SequenceEngine."""

    name: str
    backbone: Graph
    classifier: Graph

    def features(self, frames: Pixels) -> NDArray[np.float32]:
        return self.backbone({"frames": frames})["features"]

    def head(self, features: NDArray[np.float32], lengths: NDArray[np.int64]) -> Logits:
        return self.classifier({"features": features, "lengths": lengths})["logits"]
