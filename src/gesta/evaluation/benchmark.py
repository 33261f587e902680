"""Benchmarks a model of any task: latency by engine on one core, task-specific rates, and the machine."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta.bundle.io import Bundle
from gesta.bundle.manifest import Manifest
from gesta.engines import host
from gesta.engines.catalog import ENGINES, READS
from gesta.evaluation.latency import in_own_process
from gesta.schema import GestaError
from gesta.tasks import catalog
from gesta.tasks.base import has
from gesta.words import choose

INPUTS = 8
"""Number of preprocessed inputs to cycle through."""

Say = Callable[[str], None]
Follow = Callable[[str, str], dict[str, Any]]
"""(engine, precision) -> values to add to a row of latencies."""


def benchmark(
    path: Path | str,
    samples: Sequence[Any] = (),
    *,
    engines: Sequence[str] | None = None,
    seconds: float = 3.0,
    say: Say = lambda _text: None,
) -> dict[str, Any]:
    """Latencies of every engine that the bundle supports, each measured for about `seconds`, and the task's own rates.

    Without samples, random inputs of the right shape are used. Whatever cannot be measured is listed with the reason,
    never omitted silently. Raises GestaError if no sample can be preprocessed.
    """
    task, bundle = catalog.of_bundle(path)
    manifest = bundle.manifest
    shown = task.examples(manifest, samples, INPUTS, "data")
    if not shown.inputs:
        raise GestaError(
            f"none of {min(INPUTS, len(samples))} {task.unit} of the data could be read. Check them: gesta data "
            "inspect DATA."
        )
    extra: dict[str, Any] = {}
    follow: Follow = lambda _engine, _precision: {}  # noqa: E731
    if has(task, "rates"):
        extra, follow = task.rates(bundle, samples, shown, say)  # type: ignore[attr-defined]
    model = {"name": manifest.name, "parameters": manifest.parameters, "bytes": sizes(bundle)}
    return {
        "bundle": str(path),
        "model": model | extra.pop("model", {}),
        "inputs": {"source": shown.source, "n": len(shown.inputs)} | extra.pop("inputs", {}),
        **extra,
        "latency": latencies(bundle, shown.inputs, engines, seconds, say, follow),
        "machine": host.describe(),
    }


def latencies(
    bundle: Bundle[Any],
    inputs: Sequence[NDArray[Any]],
    engines: Sequence[str] | None,
    seconds: float,
    say: Say,
    follow: Follow,
) -> list[dict[str, Any]]:
    """One row per candidate: its latency on `inputs`, and what `follow` adds.

    A candidate that cannot be measured has the reason under "skipped"; the others are still measured.
    """
    rows = []
    with tempfile.TemporaryDirectory(prefix="gesta-benchmark-") as folder:
        file = Path(folder) / "inputs.npz"
        np.savez(file, *inputs)
        for engine, precision, reason in candidates(bundle.manifest, engines):
            row: dict[str, Any] = {"engine": engine, "precision": precision}
            if reason:
                rows.append(row | {"skipped": reason})
                continue
            say(f"latency of {engine} {precision}")
            try:
                row = in_own_process(bundle.path, file, engine, precision, seconds) | follow(engine, precision)
            except GestaError as error:
                row |= {"skipped": str(error)}
            rows.append(row)
    return rows


def candidates(manifest: Manifest, wanted: Sequence[str] | None) -> list[tuple[str, str, str]]:
    """(engine, precision, why it cannot be measured or "") for every engine, or those wanted.

    Torch runs weights in fp32, regardless of how many bits they are stored in. Raises GestaError (usage) for an unknown
    engine.
    """
    for name in wanted or ():
        choose("engine", name, ENGINES)
    found = []
    for name in wanted or ENGINES:
        held = [a for a in manifest.artifacts if a.engine in READS[name]]
        precisions = sorted({"fp32" if a.engine == "torch" else a.precision for a in held})
        if not precisions:
            found.append((name, "-", "the bundle has no network for it"))
        elif importlib.util.find_spec(name) is None:
            found += [(name, precision, "not installed here") for precision in precisions]
        else:
            found += [(name, precision, "") for precision in precisions]
    return found


def sizes(bundle: Bundle[Any]) -> dict[str, int]:
    """File sizes in bytes by engine, precision and part for a folder; the total for a zip."""
    if bundle.path.is_file():
        return {"zip": bundle.path.stat().st_size}
    found: dict[str, int] = {}
    for artifact in bundle.manifest.artifacts:
        part = artifact.role if artifact.stage == "network" else artifact.stage
        files = [bundle.path / name for name in (artifact.file, *artifact.companions)]
        size = sum(file.stat().st_size for file in files if file.is_file())
        found[f"{artifact.engine} {artifact.precision} {part}"] = size
    return found
