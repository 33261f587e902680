"""Saving a trained network as a bundle with PyTorch weights and provenance; exported networks are added later."""

from __future__ import annotations

import hashlib
import os
import platform
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import safetensors.numpy
import torch
from numpy.typing import NDArray
from torch import nn

from gesta.bundle import io
from gesta.bundle.io import Bundle
from gesta.bundle.manifest import FORMAT_VERSION, USUAL_VERSION, Artifact, Manifest, Provenance
from gesta.bundle.people import fingerprint
from gesta.training.checkpoints import network_bytes
from gesta.training.machine import accelerator_of
from gesta.training.run import Run
from gesta.words import DISTRIBUTION


def provenance_of(
    samples: Iterable[Any],
    run: Run,
    *,
    layout: str,
    data: bytes,
    identities: Callable[[Sequence[Any]], list[str]],
    skipped: int = 0,
    seconds: float = 0.0,
) -> Provenance:
    """Returns the provenance of a model. Samples have a split and a subject; people are stored as salted hashes only.

    Only samples of "train" and "val" are included. `data`: bytes that identify the training files; `identities`: the
    task's function of that name.
    """
    used = [s for s in samples if s.split in ("train", "val")]
    people = sorted({s.subject for s in used if s.subject is not None})
    return Provenance(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        gesta=version(DISTRIBUTION),
        seed=run.seed,
        layout=layout,
        data_fingerprint=hashlib.sha256(data).hexdigest(),
        people=tuple(fingerprint(person, layout) for person in people),
        samples=tuple(sorted(identities(used))),
        clips=dict(sorted(Counter(str(s.split) for s in used).items())),
        skipped=skipped,
        split_notes=run.notes,
        seconds=round(seconds, 1),
        machine=describe_machine(accelerator_of(run.device)),
    )


def describe_machine(accelerator: str) -> str:
    """Describes the system, CPU or GPU, and PyTorch version in one line."""
    where = f"{os.cpu_count()} cores, {torch.get_num_threads()} threads"
    if accelerator == "cuda":
        where = torch.cuda.get_device_name()
    return f"{platform.system()} {platform.machine()}, {where}, torch {torch.__version__}"


def write_bundle(
    folder: Path,
    schema: type[Manifest],
    network: nn.Module,
    recipe: Any,
    provenance: Provenance,
    *,
    stage: str = "network",
    others: Mapping[str, nn.Module | Mapping[str, NDArray]] | None = None,
    **fields: Any,
) -> Bundle[Any]:
    """Writes the bundle of a trained network. Raises GestaError like `bundle.io.write`.

    `others`: networks of further stages, or arrays that were counted, each in a separate file; `fields`: metrics,
    notes, and task-specific fields of the manifest.
    """
    files, artifacts = {}, []
    for name, content in {stage: network, **(others or {})}.items():
        file = io.WEIGHTS if content is network else f"{name}.safetensors"
        if isinstance(content, nn.Module):
            made = Artifact(role="weights", engine="torch", file=file, sha256="", stage=name)
            files[file] = network_bytes(content)
        else:
            made = Artifact(role="counts", engine="numpy", file=file, sha256="", stage=name)
            files[file] = safetensors.numpy.save(dict(content))
        artifacts.append(made.model_copy(update={"sha256": io.digest(files[file])}))
    newest = any(one.role == "counts" or one.stage == "center" for one in artifacts)
    manifest = schema(
        name=recipe.name,
        recipe=recipe.model_dump(mode="json"),
        parameters=sum(p.numel() for p in network.parameters()),
        provenance=provenance,
        artifacts=tuple(artifacts),
        format_version=FORMAT_VERSION if newest else USUAL_VERSION,
        **fields,
    )
    return io.write(folder, manifest, files)
