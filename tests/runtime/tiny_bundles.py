"""Untrained networks of a few thousand parameters as real bundles, and clips and videos for them."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

from gesta.bundle import io
from gesta.bundle.manifest import Artifact, Provenance
from gesta.clips.transform import Transform
from gesta.schema import Clip
from gesta.tasks.clips.manifest import ClipManifest

LABELS = ("wave", "point", "clap", "rest")
MODELS = ("cnn3d_lstm", "lstm", "cnn3d", "cnn3d_lstm_memory")
MEMORY = 0.9
RGB = {"streams": ("body",), "channels": ("gray", "gray_difference"), "body": "motion"}
RGBD = {"streams": ("body", "hand"), "channels": ("gray", "depth"), "body": "skeleton", "hand_rule": "so_far"}


def make_bundle(folder: Path, model: str, *, reset_after_chunks: int | None = None, **transform) -> Path:
    """A bundle with torch weights only; its predictions differ well between clips."""
    import safetensors.torch
    import torch

    from gesta.models.catalog import build

    model, memory = ("cnn3d_lstm", MEMORY) if model == "cnn3d_lstm_memory" else (model, 0.0)
    sampling = "central" if model == "cnn3d" else "chunks"
    spec = Transform(**{"fps": 10, "size": 16, "window": 16, "sampling": sampling, **RGB, **transform})
    torch.manual_seed(0)
    network = build(
        model,
        classes=len(LABELS),
        streams=len(spec.streams),
        channels=len(spec.channels),
        size=spec.size,
        chunk=spec.chunk,
        window=spec.window,
        width=0.05,
        memory=memory,
    )
    for module in network.modules():
        if hasattr(module, "running_mean"):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.05, 0.1)
    with torch.no_grad():
        network.classifier.weight.mul_(20)
    weights = safetensors.torch.save({k: v.contiguous() for k, v in network.state_dict().items()})
    manifest = ClipManifest(
        name=f"tiny {model}",
        labels=LABELS,
        transform=spec,
        recipe={"name": "tiny", "model": {"name": model, "width": 0.05, "dropout": 0.0, "memory": memory}},
        parameters=sum(p.numel() for p in network.parameters()),
        reset_after_chunks=reset_after_chunks,
        provenance=Provenance(created="2026-01-01", gesta="0", seed=0, layout="videos", data_fingerprint="0"),
        artifacts=(Artifact(role="weights", engine="torch", file=io.WEIGHTS, sha256=io.digest(weights)),),
    )
    return io.write(folder, manifest, {io.WEIGHTS: weights}).path


def clips_for(folder: Path, lengths: tuple[int, ...] = (3, 4, 9, 16)) -> list[Clip]:
    """Preprocessed clips of noise whose brightness drifts, of these lengths in frames."""
    shape = io.read(folder, ClipManifest).manifest.transform.frame_shape
    rng = np.random.default_rng(1)
    made = []
    for n in lengths:
        drift = np.linspace(rng.uniform(0, 128), rng.uniform(0, 128), n).reshape(-1, 1, 1, 1, 1)
        made.append(Clip((rng.integers(0, 128, (n, *shape)) + drift).astype(np.uint8), id=f"clip{n}"))
    return made


def write_video(
    path: Path, frames: int = 23, fps: int = 10, size: tuple[int, int] = (48, 64), seed: int = 0, pix_fmt: str = "bgr0"
) -> Path:
    """A lossless video of a bright square that moves over noise."""
    rng = np.random.default_rng(seed)
    still = rng.integers(0, 100, (*size, 3)).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=fps)
        stream.height, stream.width, stream.pix_fmt = *size, pix_fmt
        for i in range(frames):
            image = still.copy()
            image[10:30, 2 * i % 40 : 2 * i % 40 + 20] = 220
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path
