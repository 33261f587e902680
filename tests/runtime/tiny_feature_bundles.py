"""A narrow ResNet-18 and a small feature classifier, written without training, and videos that they tell apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from features.numbered_videos import write_numbered

from gesta.bundle import io
from gesta.bundle.io import Bundle
from gesta.bundle.manifest import Artifact, Provenance
from gesta.clips.chosen_frames import read_frames
from gesta.models.catalog import BACKBONES, build_sequence
from gesta.models.resnet import ResNet
from gesta.sources.catalog import read
from gesta.tasks.features.backbones import extractor
from gesta.tasks.features.manifest import BackboneUse, FeatureManifest
from gesta.training.checkpoints import network_bytes

SIZE = 32
LABELS = ("dark", "light")


def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """ResNet-18 of a sixteenth of the width."""
    monkeypatch.setitem(BACKBONES, "resnet18", lambda **given: ResNet(18, **(given | {"width": 1 / 16})))


def write_videos(folder: Path, each: int = 8, frames: int = 7) -> Path:
    """Gray videos in two class folders, each frame a little lighter than the one before."""
    for number, label in enumerate(LABELS):
        for i in range(each):
            write_numbered(folder / label / f"{label}{i}.mkv", frames + i % 3, 20 + 130 * number + 3 * i)
    return folder


def make_feature_bundle(
    folder: Path, videos: Path, *, frames: int | None = None, every: int | None = None, **model: Any
) -> Bundle[FeatureManifest]:
    """Of a mean the linear layer tells the classes' mean features apart; a recurrent one is random."""
    ready = extractor("resnet18", "random", size=SIZE)
    found: dict[str, list[np.ndarray]] = {label: [] for label in LABELS}
    for sample in read(videos).samples:
        images = torch.from_numpy(read_frames(sample, SIZE, frames=frames, every=every))
        with torch.inference_mode():
            found[str(sample.label)].append(ready.module(images).mean(0).numpy())
    middles = np.stack([np.mean(found[label], axis=0) for label in LABELS])
    width = middles.shape[1]
    torch.manual_seed(0)
    head = build_sequence(**({"name": "mean"} | model), features=width, classes=len(LABELS)).eval()
    scale = 20 / np.square(middles[0] - middles[1]).sum()
    with torch.no_grad():
        if model.get("name", "mean") == "mean":
            head.classifier.weight.copy_(torch.from_numpy(scale * middles))
            head.classifier.bias.copy_(torch.from_numpy(-scale * np.square(middles).sum(1) / 2))
        else:
            head.classifier.weight.mul_(5)
    files = {io.WEIGHTS: network_bytes(head), "backbone.safetensors": network_bytes(ready.module.network)}
    stages = {io.WEIGHTS: "head", "backbone.safetensors": "backbone"}
    manifest = FeatureManifest(
        name="tiny classifier",
        labels=LABELS,
        backbone=BackboneUse(
            name="resnet18",
            weights=ready.weights,
            stage=ready.stage,
            size=SIZE,
            frames=frames,
            every=every,
            features=width,
        ),
        recipe={"name": "tiny", "model": {"name": "mean"} | model},
        parameters=sum(p.numel() for p in head.parameters()),
        provenance=Provenance(created="now", gesta="0", seed=0, layout="class_folders", data_fingerprint="0"),
        artifacts=tuple(
            Artifact(role="weights", engine="torch", file=name, sha256=io.digest(data), stage=stages[name])
            for name, data in files.items()
        ),
    )
    return io.write(folder, manifest, files)
