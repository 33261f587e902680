"""A tiny data set whose classes are brightnesses, and a recognizer that reads brightness: no network needed."""

from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from gesta.bundle import io as bundle_io
from gesta.bundle.manifest import Provenance
from gesta.bundle.people import fingerprint
from gesta.clips.cache import ClipCache
from gesta.clips.transform import Transform
from gesta.tasks.clips.manifest import ClipManifest

LABELS = ("dark", "dim", "light", "white")
LEVELS = (20, 90, 160, 230)
LAYOUT = "index_csv"


def write_video(path: Path, level: int, frames: int = 8) -> None:
    """Lossless gray frames of one brightness, 32 x 32, 10 a second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "gray"
        for _ in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((32, 32), level, np.uint8), format="gray")))
        container.mux(stream.encode())


@pytest.fixture
def data(tmp_path):
    """Three people, four classes, two clips each; person C's "light" clips are as bright as "white" ones."""
    root = tmp_path / "data"
    rows = ["path,label,subject,split"]
    for person in "ABC":
        for label, level in zip(LABELS, LEVELS, strict=True):
            for take in range(2):
                shown = LEVELS[3] if (person, label) == ("C", "light") else level
                name = f"{person}_{label}_{take}.mkv"
                write_video(root / name, shown + take, frames=8 + take)
                rows.append(f"{name},{label},{person},{'train' if person == 'A' else 'test'}")
    (root / "index.csv").write_text("\n".join(rows) + "\n")
    return root


class Recognizer:
    """Stands for a trained network: the class whose brightness is nearest."""

    engine = SimpleNamespace(name="stand-in")

    def __init__(self, manifest):
        self.manifest = manifest

    def predict_clips(self, clips):
        means = np.array([clip.mean() for clip in clips])
        scores = np.exp(-np.abs(means[:, None] - np.array(LEVELS)[None]) / 20)
        return scores / scores.sum(axis=1, keepdims=True)


@pytest.fixture
def make_bundle(tmp_path):
    def make(labels=LABELS, people=("A",), name="bundle"):
        transform = Transform(fps=10, size=16, streams=("body",), channels=("gray",), body="frame", smooth=False)
        provenance = Provenance(
            created="2020-01-01T00:00:00Z",
            gesta="0.1.0",
            seed=0,
            layout=LAYOUT,
            data_fingerprint="0" * 64,
            people=tuple(fingerprint(p, LAYOUT) for p in people),
        )
        recipe = {"name": "stand-in", "model": {"name": "cnn3d_lstm", "width": 0.25}}
        manifest = ClipManifest(
            name=name, labels=labels, transform=transform, recipe=recipe, parameters=1, provenance=provenance
        )
        return bundle_io.write(tmp_path / name, manifest, {}).path

    return make


@pytest.fixture
def recognizer(monkeypatch):
    """Loading gives the stand-in for whatever bundle it is asked for."""
    asked = SimpleNamespace(engine=None)

    def load(bundle, at):
        asked.engine = at.engine
        return Recognizer(bundle.manifest)

    monkeypatch.setattr("gesta.tasks.clips.predict.load", load)
    return asked


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GESTA_CACHE", str(tmp_path / "cache"))
    return ClipCache()
