"""What every export does: convert the parts, run them as a user's machine will, compare, and only then keep them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gesta.bundle import io
from gesta.bundle.io import Bundle
from gesta.bundle.manifest import Artifact, Parity
from gesta.export.parity import compared, demand, probabilities
from gesta.export.torch_model import Part, load_network, parts
from gesta.runtime.engines.catalog import open_engine
from gesta.runtime.engines.torch import Torch
from gesta.schema import Clip

Convert = Callable[[Part, str], dict[str, bytes]]
"""(part, stem of the file names) -> file name -> content; the first file is the network, the others its companions."""


@dataclass(frozen=True)
class Made:
    """An artifact with its parity, its files, and each clip's last probabilities [n, N], PyTorch's and its own."""

    artifact: Artifact
    files: dict[str, bytes]
    expected: np.ndarray
    found: np.ndarray

    @property
    def parity(self) -> Parity:
        assert self.artifact.parity is not None
        return self.artifact.parity


def add_parts(bundle_dir: Path | str, clips: Sequence[Clip], engine: str, precision: str, convert: Convert) -> Parity:
    """Adds the network's parts in an engine's format to the bundle; returns the worst parity.

    Raises GestaError, and leaves the bundle as it was, if one does not agree with PyTorch on all clips.
    """
    bundle = io.read(bundle_dir)
    made = make_parts(bundle, Torch(load_network(bundle)), clips, engine, precision, convert)
    for one in made:
        demand(one.parity, precision, f"{bundle.path}: the {one.artifact.role} network for {engine} {precision}")
    for one in made:
        bundle = io.add_artifact(bundle, one.artifact, one.files)
    return max((one.parity for one in made), key=lambda parity: parity.largest_difference)


def make_parts(
    bundle: Bundle,
    torch: Torch,
    clips: Sequence[Clip],
    engine: str,
    precision: str,
    convert: Convert,
    roles: Sequence[str] = ("whole", "step"),
) -> list[Made]:
    """The bundle's parts of those roles, converted and compared with `torch`, which holds its network."""
    made = []
    with tempfile.TemporaryDirectory() as scratch:
        for part in parts(bundle, torch.network):
            if part.role not in roles:
                continue
            files = convert(part, f"{engine}_{part.role}_{precision}")
            artifact = artifact_of(part, files, engine, precision)
            trial = bundle.manifest.model_copy(update={"artifacts": (artifact,)})
            running = open_engine(io.write(Path(scratch) / part.role, trial, files), engine, "cpu", None, precision)
            one, other = (probabilities(e, bundle.manifest, clips, part.role) for e in (torch, running))
            artifact = artifact.model_copy(update={"parity": compared(one, other)})
            made.append(Made(artifact, files, *(np.array([rows[-1] for rows in found]) for found in (one, other))))
    return made


def artifact_of(part: Part, files: dict[str, bytes], engine: str, precision: str) -> Artifact:
    """What the manifest says of a part's files; not yet compared or measured."""
    network, *companions = files
    return Artifact.model_validate(
        {
            "role": part.role,
            "engine": engine,
            "precision": precision,
            "file": network,
            "sha256": io.digest(files[network]),
            "companions": {name: io.digest(files[name]) for name in companions},
            "inputs": part.inputs,
            "outputs": part.outputs,
            "states": part.states,
        }
    )
