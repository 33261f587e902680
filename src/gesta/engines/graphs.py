"""Shared code of the engines for exported networks: which of a bundle's graphs are opened, their inputs and outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from gesta.bundle.io import Bundle
from gesta.bundle.manifest import Artifact
from gesta.engines.base import Arrays, Outputs, Placement, State, artifacts_for, zeros
from gesta.schema import GestaError


class Graph(Protocol):
    """An exported network, loaded on one device."""

    def __call__(self, feed: Arrays) -> Outputs:
        """Map inputs by name to outputs by name, in newly allocated memory."""


@dataclass(frozen=True)
class GraphFormat:
    """An engine for exported networks. `reads`: the engines whose artifacts it can read, in order of preference.

    `place`: maps the user's device name to the engine's; raises GestaError (usage) if it is not available. `load`:
    (bundle, artifact, place, threads) -> graph; raises GestaError for a damaged file.
    """

    name: str
    reads: tuple[str, ...]
    place: Callable[[str], str]
    load: Callable[[Bundle[Any], Artifact, str, int | None], Graph]

    def open_bundle(
        self, bundle: Bundle[Any], at: Placement, stages: Sequence[str], others: Mapping[str, Bundle[Any]]
    ) -> GraphEngine:
        """The networks of these stages, those in `others` from that bundle. Raises GestaError if a stage has none."""
        place = self.place(at.device)
        held: dict[tuple[str, str], tuple[Bundle[Any], Artifact]] = {}
        for stage in stages:
            holder = others.get(stage, bundle)
            for artifact in artifacts_for(holder, self.reads, at.precision, stage):
                if artifact is not None:
                    held[artifact.role, stage] = (holder, artifact)
        return GraphEngine(self.name, held, lambda holder, one: self.load(holder, one, place, at.threads))


@dataclass
class GraphEngine:
    """Implements base.Engine; each network is loaded on first use."""

    name: str
    held: Mapping[tuple[str, str], tuple[Bundle[Any], Artifact]]
    load: Callable[[Bundle[Any], Artifact], Graph]
    _loaded: dict[tuple[str, str], Graph] = field(default_factory=dict, repr=False)

    def inputs(self, role: str = "whole", stage: str = "network") -> tuple[str, ...]:
        _, artifact = self.held.get((role, stage), (None, None))
        return () if artifact is None else tuple(tensor.name for tensor in artifact.inputs)

    def run(self, feed: Arrays, role: str = "whole", stage: str = "network") -> Outputs:
        if (role, stage) not in self.held:
            raise GestaError(f"The bundle has no {role} network for {self.name}.")
        if (role, stage) not in self._loaded:
            self._loaded[role, stage] = self.load(*self.held[role, stage])
        return self._loaded[role, stage]({name: feed[name] for name in self.inputs(role, stage)})

    def start(self, batch: int) -> State:
        _, artifact = self.held["step", "network"]
        return zeros(artifact.states, batch)

    def step(self, feed: Arrays, state: State) -> tuple[Outputs, State]:
        found = self.run({**feed, **state}, "step")
        _, artifact = self.held["step", "network"]
        return found, {s.name: found[f"{s.name}_out"] for s in artifact.states}
