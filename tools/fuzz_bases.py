"""Small valid inputs for the fuzzer to damage: videos of many kinds, arrays, tables, archives, a bundle."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import av
import numpy as np

from gesta.bundle import io as bundles
from gesta.bundle import sparse
from gesta.bundle.manifest import Artifact, Provenance, Tensor
from gesta.clips.transform import Transform
from gesta.tasks.clips.manifest import ClipManifest

VIDEOS = {
    "h264.mp4": ("libx264", "yuv420p"),
    "h264.mov": ("libx264", "yuv444p"),
    "h264.ts": ("libx264", "yuv420p"),
    "mpeg4.avi": ("mpeg4", "yuv420p"),
    "mjpeg.avi": ("mjpeg", "yuvj420p"),
    "ffv1.mkv": ("ffv1", "bgr0"),
    "depth.mkv": ("ffv1", "gray16le"),
    "vp8.webm": ("libvpx", "yuv420p"),
    "anim.gif": ("gif", "rgb8"),
    "mpeg2.mpg": ("mpeg2video", "yuv420p"),
}
FRAMES, HEIGHT, WIDTH = 8, 32, 48
INDEX = (
    "path,label,subject,split,skeleton,depth_unit_mm,start_s,end_s\n"
    "a.mp4,wave,anna,train,s.npy,1.0,,\nb.avi,clap,ben,test,s.csv,,0,0.2\nc d.mkv,wave,anna,val,,0.25,0.1,\n"
)


def video(path: Path) -> bytes:
    """A video in the format given by its name."""
    codec, pixels = VIDEOS[path.name]
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "a title"
        stream = container.add_stream(codec, rate=25 if path.suffix == ".mpg" else 10)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pixels
        for _ in range(FRAMES):
            image = rng.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
        container.mux(stream.encode())
    return path.read_bytes()


def npy() -> bytes:
    """A skeleton [T, 20, 3] in meters."""
    stream = io.BytesIO()
    np.save(stream, np.ones((FRAMES, 20, 3), np.float32))
    return stream.getvalue()


def skeleton_csv() -> bytes:
    return (",".join(["1.5"] * 180) + "\n").encode() * FRAMES


def recording_zip(color: bytes) -> bytes:
    """A recording in ChaLearn's layout."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("Sample0001_color.mp4", color)
        archive.writestr("Sample0001_data.csv", f"{FRAMES},10,4000\n")
        archive.writestr("Sample0001_labels.csv", "1,1,4\n2,5,8\n")
        archive.writestr("Sample0001_skeleton.csv", skeleton_csv())
    return stream.getvalue()


def bundle(folder: Path) -> dict[str, bytes]:
    """The files of a bundle with sparse weights, by name."""
    array = np.zeros((40, 40), np.float32)
    array[3] = 1
    weights, _ = sparse.encode({"a": array, "b": np.ones(5, np.float16)})
    step = b"no network"
    state = Tensor(name="h", dtype="float32", shape=(1, -1, 8))
    artifacts = (
        Artifact(role="weights", engine="torch", file=bundles.WEIGHTS, sha256=bundles.digest(weights)),
        Artifact(role="step", engine="openvino", file="step.xml", sha256=bundles.digest(step), states=(state,)),
    )
    manifest = ClipManifest(
        name="fuzz",
        labels=("wave", "clap"),
        transform=Transform(fps=10, streams=("body",), channels=("gray",), body="frame"),
        recipe={"name": "auto", "model": {"name": "cnn3d_lstm", "width": 0.25}},
        parameters=6,
        metrics={"val_accuracy": 0.5},
        provenance=Provenance(created="2026-01-01", gesta="0", seed=0, layout="videos", data_fingerprint="0"),
        artifacts=artifacts,
    )
    written = bundles.write(folder, manifest, {bundles.WEIGHTS: weights, "step.xml": step})
    return {path.name: path.read_bytes() for path in sorted(written.path.iterdir())}


def bundle_zip(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def document(files: dict[str, bytes]) -> dict[str, object]:
    """The manifest of a bundle as a dictionary."""
    found: dict[str, object] = json.loads(files["manifest.json"])
    return found
