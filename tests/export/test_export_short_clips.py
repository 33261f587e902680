"""Spatio-temporal ResNets: exported networks leave the zeros behind short clips out as PyTorch's does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from calls import add_networks, load

from gesta.bundle import io
from gesta.bundle.manifest import Artifact, Provenance
from gesta.clips.transform import Transform
from gesta.models.catalog import build
from gesta.schema import Clip
from gesta.tasks.clips.manifest import ClipManifest

LABELS = ("wave", "point", "clap")
MODEL = {"name": "st_resnet18", "width": 1 / 16, "context": "2", "overlap": True}


def st_bundle(folder: Path) -> Path:
    """An untrained network of a few thousand parameters, with statistics as after a training."""
    spec = Transform(fps=10, size=32, window=6, sampling="central", streams=("body",), channels=("gray", "depth"))
    torch.manual_seed(0)
    network = build(**MODEL, classes=3, streams=1, channels=2, size=32, window=6)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network(torch.randint(0, 256, (4, 1, 2, 6, 32, 32), dtype=torch.uint8))
    weights = safetensors.torch.save({k: v.contiguous() for k, v in network.state_dict().items()})
    manifest = ClipManifest(
        name="tiny",
        labels=LABELS,
        transform=spec,
        recipe={"name": "tiny", "model": MODEL},
        parameters=1,
        provenance=Provenance(created="2026-01-01", gesta="0", seed=0, layout="videos", data_fingerprint="0"),
        artifacts=(Artifact(role="weights", engine="torch", file=io.WEIGHTS, sha256=io.digest(weights)),),
    )
    return io.write(folder, manifest, {io.WEIGHTS: weights}).path


@pytest.mark.integration
@pytest.mark.parametrize("engine", ["openvino", pytest.param("onnxruntime", marks=pytest.mark.slow)])
def test_short_clips_agree(engine: str, tmp_path: Path) -> None:
    folder = st_bundle(tmp_path / "bundle")
    rng = np.random.default_rng(0)
    clips = [Clip(rng.integers(1, 256, (n, 1, 32, 32, 2), dtype=np.uint8), id=str(n)) for n in (1, 2, 4, 6)]
    assert add_networks(folder, clips, engine).largest_difference < 1e-4
    recognizer = load(folder, engine=engine)
    short = clips[2].pixels
    padded = np.concatenate([short, np.zeros((2, *short.shape[1:]), np.uint8)])
    given, filled = recognizer.predict_clips([short, padded])
    np.testing.assert_allclose(given, filled, atol=1e-6)
    whole = recognizer.predict_clips([np.concatenate([short, short[-1:], short[-1:]])])[0]
    assert np.abs(whole - given).max() > 1e-6  # repeated frames would count; zeros do not
