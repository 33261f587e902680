"""The parts of the task contract that text tasks share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gesta.bundle.io import Bundle
from gesta.engines.base import Placement
from gesta.engines.catalog import open_engine
from gesta.engines.part import Part
from gesta.schema import GestaError, Listing
from gesta.tasks.base import Parts, deferred
from gesta.training.run import Fitted, Run

COMMANDS = ("train", "evaluate", "export", "predict", "benchmark")


def held_out_note(share: float, of: str) -> str:
    """Return the note on the validation part; `of`: e.g. "of the training part is"."""
    return f"{share:.0%} {of} held out to choose the epoch" if share else "nothing is held out: the last epoch is kept"


class TextBase:
    """Base of text tasks: samples have an `identity`; networks are recurrent, trained from scratch in one process."""

    title: str
    unit: str
    trained_stage = "network"
    of_people = False
    options: Mapping[str, frozenset[str]] = {command: frozenset() for command in COMMANDS}
    stages: Sequence[str] = ("network",)
    """The exported networks that a loaded model needs."""
    predictor: Any
    """See the contract."""
    convert = deferred("gesta.tasks.text.export:convert")
    """Convert a network.

    8-bit networks store weights in 8 bits and compute in fp32, since errors of recurrent networks accumulate.
    """

    def train(self, parts: Parts, recipe: Any, run: Run) -> Fitted:
        raise NotImplementedError

    def graphs(self, bundle: Bundle[Any], **_: Any) -> list[Part]:
        raise NotImplementedError

    def fit(self, parts: Parts, recipe: Any, run: Run, start: Path | None = None, **_: Any) -> Fitted:
        if start is not None:
            raise GestaError(f"--from: {self.title} cannot start from a bundle. Leave it out.", usage=True)
        if run.devices * run.nodes > 1:
            raise GestaError(f"--devices, --nodes: {self.title} trains in one process. Leave them out.", usage=True)
        return self.train(parts, recipe, run)

    def load(self, bundle: Bundle[Any], at: Placement, **_: Any) -> Any:
        return self.predictor(self.open(bundle, at), bundle.manifest)

    def open(self, bundle: Bundle[Any], at: Placement) -> Any:
        """Return the engine of the bundle's networks."""
        return open_engine(bundle, at, lambda: self.graphs(bundle), self.stages)

    def identities(self, samples: Sequence[Any]) -> list[str]:
        return [sample.identity for sample in samples]

    def warnings(self, listing: Listing, manifest: Any) -> list[str]:  # noqa: ARG002
        return []

    def labeled(self, samples: Sequence[Any], manifest: Any) -> list[Any]:  # noqa: ARG002
        """Return all samples. Raises GestaError if there are none."""
        if not samples:
            raise GestaError(f"There are no {self.unit} to score.")
        return list(samples)
