"""Run `gesta features` in one process, or in several with Lightning's distributed prediction."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import BasePredictionWriter
from numpy.typing import NDArray

from gesta.clips.decode import DECODER_VERSION
from gesta.jobs.pool import on_cluster
from gesta.schema import Listing
from gesta.tasks.feature_store import FeatureRecipe, claim, decoders, drop_older, older_note, write_index
from gesta.tasks.features.backbones import Extractor
from gesta.tasks.features.blocks import OFFICIAL, on_workers
from gesta.tasks.features.engines import Engine, engine_for
from gesta.tasks.features.extract import (
    Batch,
    Gatherer,
    Progress,
    Settings,
    Work,
    extract,
    gather_work,
    leave_work,
    missing,
    stream,
    timed,
)
from gesta.training.machine import accelerator_of, quiet


@dataclass(frozen=True)
class Machines:
    """The hardware to compute on.

    `device`: "auto", "cpu" or "cuda"; `devices`: processes on each of `nodes` computers; `threads`: threads of each
    process; `engine`: openvino or torch; None: the best one for the device.
    """

    device: str = "auto"
    devices: int = 1
    nodes: int = 1
    threads: int | None = None
    engine: str | None = None

    @property
    def accelerator(self) -> str:
        """Return "cpu" or "cuda". Raises GestaError for an unknown device or a missing GPU."""
        return accelerator_of(self.device)

    @property
    def threads_each(self) -> int | None:
        """Return the threads of each process: as requested, or else an equal share of the cores."""
        if self.threads is not None or self.devices == 1:
            return self.threads
        return max(1, (os.cpu_count() or 1) // self.devices)


@dataclass(frozen=True)
class Summary:
    """Combined result of all processes. `videos`: the number in the index, newly computed or kept."""

    folder: Path
    engine: str
    videos: int
    works: tuple[Work, ...]
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        seconds = max(work.seconds for work in self.works)
        features = sum(work.features for work in self.works)
        network = sum(work.network_seconds for work in self.works)
        return {
            "out": str(self.folder),
            "engine": self.engine,
            "videos": self.videos,
            "computed": sum(work.videos for work in self.works),
            "kept": sum(work.kept for work in self.works),
            "features": features,
            "seconds": round(seconds, 3),
            "features_per_s": round(features / seconds, 2) if seconds > 0 else 0.0,
            "of_network_rate": round(network / sum(w.seconds for w in self.works), 3) if features else None,
            "notes": list(self.notes),
            "skipped": [
                {"path": p.path, "kind": p.kind, "reason": p.reason} for work in self.works for p in work.skipped
            ],
        }


def run(
    listing: Listing,
    out: Path,
    ready: Extractor,
    recipe: FeatureRecipe,
    *,
    machines: Machines = Machines(),
    settings: Settings = Settings(),  # noqa: B008
    progress: Progress | None = None,
    source: str | None = None,
) -> Summary | None:
    """Compute the features of all samples into `out` and write the index once all processes have finished.

    Returns None in all processes except the first. An interrupted run resumes where it stopped; with `settings.renew`,
    features made by an older decoder are recomputed. `source`: where the backbone's weights come from, recorded for
    bundles. Raises GestaError if the folder holds other features or a damaged shard.
    """
    claim(out, recipe, listing.layout, source)
    if settings.renew:
        drop_older(out)
    samples = list(listing.samples)
    accelerator = machines.accelerator
    if on_cluster():
        name = machines.engine or ("openvino" if accelerator == "cpu" else "torch")
        how = {"source": source or OFFICIAL, "engine": (machines.engine, accelerator, machines.threads or 1)}
        works = [on_workers(samples, out, recipe, "backbone_block", how | {"batch": settings.batch}, progress)]
    elif machines.devices * machines.nodes == 1:
        name, function = engine_for(machines.engine, ready, accelerator, machines.threads_each)
        works = [extract(samples, out, recipe, function, settings, progress)]
    else:
        name = machines.engine or ("openvino" if accelerator == "cpu" else "torch")
        share = _Share(
            samples, out, recipe, settings, lambda d: engine_for(machines.engine, ready, d, machines.threads_each)[1]
        )
        with quiet():
            first = _predicted(share, machines, accelerator)
        if not first:
            return None
        works = gather_work(out, machines.devices * machines.nodes)
    skipped = [problem for work in works for problem in work.skipped]
    videos = write_index(out, samples, recipe, skipped)
    return Summary(out, name, videos, tuple(works), older_note(min(decoders(out).values(), default=DECODER_VERSION)))


class _Share(pl.LightningModule):
    """One process's share as a Lightning module: batches, and a prediction step that returns features."""

    def __init__(
        self, samples: Sequence, folder: Path, recipe: FeatureRecipe, settings: Settings, build: Callable[[str], Engine]
    ) -> None:
        super().__init__()
        self.samples, self.folder, self.recipe, self.settings, self.build = samples, folder, recipe, settings, build
        self.work = Work()
        self.engine: Engine
        self.gatherer: Gatherer

    def predict_dataloader(self) -> Iterator[Batch]:
        self.settings = replace(self.settings, rank=self.global_rank, processes=self.trainer.world_size)
        todo = missing(self.samples, self.folder, self.recipe, self.settings)
        self.work.kept = todo.kept
        self.gatherer = Gatherer(todo, self.folder, self.recipe, self.settings)
        place = "cpu" if self.device.type == "cpu" else f"cuda:{self.local_rank}"
        self.engine = self.build(place)
        return stream(todo.samples, self.recipe, self.settings, self.work)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:  # noqa: ARG002
        return batch  # the engine moves what it needs

    def predict_step(self, batch: Batch, batch_idx: int) -> NDArray[np.float32]:  # noqa: ARG002
        return timed(self.engine, batch, self.work)


class _Writer(BasePredictionWriter):
    """Passes the features of every batch to the shards."""

    def __init__(self) -> None:
        super().__init__(write_interval="batch")

    def write_on_batch_end(self, trainer, pl_module, prediction, batch_indices, batch, *rest) -> None:  # type: ignore[no-untyped-def]  # noqa: ARG002
        pl_module.gatherer.add(batch, prediction)

    def on_predict_end(self, trainer, pl_module) -> None:  # type: ignore[no-untyped-def]  # noqa: ARG002
        pl_module.gatherer.flush()
        pl_module.work.videos = pl_module.gatherer.videos


def _predicted(share: _Share, machines: Machines, accelerator: str) -> bool:
    """Compute this process's share and wait for the others. Returns whether this is the first process."""
    trainer = pl.Trainer(
        accelerator="cpu" if accelerator == "cpu" else "gpu",
        devices=machines.devices,
        num_nodes=machines.nodes,
        strategy="ddp",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[_Writer()],
    )
    begin = time.perf_counter()
    trainer.predict(share, return_predictions=False)
    share.work.seconds = time.perf_counter() - begin
    leave_work(share.folder, share.settings, share.work)
    trainer.strategy.barrier("features")
    return trainer.is_global_zero
