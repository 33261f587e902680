"""A tiny labeled set: gray videos of a square that goes right or down, by several people."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

FPS = 10


def write_set(root: Path, people: int = 3, takes: int = 2, frames: int = 12) -> Path:
    """`root`/index.csv with people x 2 classes x takes lossless videos of 48 x 48 pixels."""
    root.mkdir(parents=True, exist_ok=True)
    rows = ["path,label,subject"]
    for person in range(people):
        for label in ("right", "down"):
            for take in range(takes):
                name = f"p{person}_{label}_{take}.mkv"
                _write(root / name, label, frames, 8 + 2 * person, take)
                rows.append(f"{name},{label},person{person}")
    (root / "index.csv").write_text("\n".join(rows) + "\n")
    return root


def _write(path: Path, label: str, frames: int, side: int, take: int) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=FPS, options={"level": "3"})
        stream.width = stream.height = 48
        stream.pix_fmt = "gray"
        for t in range(frames):
            image = np.full((48, 48), 20, np.uint8)
            at, across = 2 * t, 10 + 4 * take
            rows, columns = (slice(across, across + side), slice(at, at + side))
            if label == "down":
                rows, columns = columns, rows
            image[rows, columns] = 220
            for packet in stream.encode(av.VideoFrame.from_ndarray(image, format="gray")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
