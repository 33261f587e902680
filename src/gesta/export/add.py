"""What every export does: convert the parts, run them as a user's machine will, compare, and only then keep them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from gesta.bundle import io
from gesta.bundle.manifest import Artifact, Parity
from gesta.export.parity import compare, demand
from gesta.export.torch_model import Part, load_network, parts
from gesta.runtime.engines.catalog import open_engine
from gesta.runtime.engines.torch import Torch
from gesta.schema import Clip

Convert = Callable[[Part, str], dict[str, bytes]]
"""(part, stem of the file names) -> file name -> content; the first file is the network, the others its companions."""


def add_parts(bundle_dir: Path | str, clips: Sequence[Clip], engine: str, precision: str, convert: Convert) -> Parity:
    """Adds the network's parts in an engine's format to the bundle; returns the worst parity.

    Raises GestaError, and leaves the bundle as it was, if one does not agree with PyTorch on all clips.
    """
    bundle = io.read(bundle_dir)
    expected = Torch(load_network(bundle))
    done: list[tuple[Artifact, dict[str, bytes]]] = []
    with tempfile.TemporaryDirectory() as scratch:
        for part in parts(bundle, expected.network):
            files = convert(part, f"{engine}_{part.role}_{precision}")
            artifact = _artifact(part, files, engine, precision)
            trial = bundle.manifest.model_copy(update={"artifacts": (artifact,)})
            found = open_engine(io.write(Path(scratch) / part.role, trial, files), engine, "cpu", None, precision)
            parity = compare(expected, found, bundle.manifest, clips, part.role)
            demand(parity, precision, f"{bundle.path}: the {part.role} network for {engine} {precision}")
            done.append((artifact.model_copy(update={"parity": parity}), files))
    for artifact, files in done:
        bundle = io.add_artifact(bundle, artifact, files)
    return max((a.parity for a, _ in done if a.parity is not None), key=lambda parity: parity.largest_difference)


def _artifact(part: Part, files: dict[str, bytes], engine: str, precision: str) -> Artifact:
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
