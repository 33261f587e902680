"""Bundles that an earlier gesta wrote, one of each kind and the package's own, give the answers they gave then.

tests/bundles_v1/README.md says what they are. `answers` shows a bundle deterministic input through the public way;
`python test_former_bundles.py` (with the package and `tests` on the path) wrote expected.json by it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

import gesta
from gesta.schema import Camera, Clip, HandFrame, Resource

FOLDER = Path(__file__).resolve().parent.parent / "bundles_v1"
FPS, FRAMES, HEIGHT, WIDTH = 20, 30, 64, 64
TOLERANCE = 1e-4

Answers = dict[str, Any]


def load(path: Path | str, engine: str) -> Any:
    """The bundle's predictor."""
    return gesta.load(path, engine)


def moving_square(size: int = 16) -> np.ndarray:
    """RGB [T, H, W, 3]: a square that goes down and back over a slope of gray."""
    frames = np.empty((FRAMES, HEIGHT, WIDTH, 3), np.uint8)
    frames[:] = np.linspace(20, 120, WIDTH).astype(np.uint8)[None, None, :, None]
    for t in range(FRAMES):
        row = round((HEIGHT - size) * (1 - abs(2 * t / (FRAMES - 1) - 1)))
        frames[t, row : row + size, 24 : 24 + size] = (230, 180 - 4 * t, 60 + 5 * t)
    return frames


def write_video(path: Path) -> Path:
    """The moving square, lossless."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=FPS)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "bgr0"
        for image in moving_square():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


def of_clips(predictor: Any, folder: Path) -> Answers:
    """Of preprocessed pixels, of a video file, and of its frames as a stream."""
    shape = predictor.manifest.transform.frame_shape
    ramp = np.arange(24 * int(np.prod(shape)), dtype=np.uint32).reshape(24, *shape)
    pixels = (ramp * 2654435761 >> 24 & 127).astype(np.uint8) + np.arange(24, dtype=np.uint8).reshape(24, 1, 1, 1, 1)
    found = {"clip": dict(predictor.predict(Clip(pixels)).probabilities)}
    if len(shape) == 4 and shape[0] == 1:  # RGB alone suffices
        found["video"] = dict(predictor.predict(write_video(folder / "square.mkv")).probabilities)
        found["stream"] = _streamed(predictor.stream(moving_square(), fps=FPS))
    return found


def of_features(predictor: Any, folder: Path) -> Answers:
    video = write_video(folder / "square.mkv")
    return {"video": dict(predictor.predict(video).probabilities), "stream": _streamed(predictor.stream(video))}


def of_hands(predictor: Any, folder: Path) -> Answers:
    """A ball of 60 mm with two fingers before a wall, at 500 mm."""
    depth = np.full((120, 160), 900, np.uint16)
    for place, radius, distance in (((80, 60), 12, 500), ((66, 42), 5, 480), ((92, 40), 5, 490)):
        cv2.circle(depth, place, radius, distance, -1)
    cv2.imwrite(str(folder / "hand.png"), depth)
    center = np.array([0, 0, 500], np.float32)
    frame = HandFrame("hand", Resource(folder / "hand.png"), Camera(200.0, 200.0, 80.0, 60.0), center_mm=center)
    found = predictor.predict(frame)
    return {"joints_mm": np.asarray(found.joints_mm).tolist(), "joints_uv": np.asarray(found.joints_uv).tolist()}


def _streamed(predictions: Any) -> list[Answers]:
    return [{"time_s": p.time_s, "label": p.label, "probabilities": dict(p.probabilities)} for p in predictions]


CASES: dict[str, tuple[str, Callable[[Any, Path], Answers]]] = {
    "clips_joint": ("openvino torch", of_clips),
    "clips_st_resnet": ("openvino torch", of_clips),
    "clips_onnx": ("onnxruntime", of_clips),
    "clips_pruned": ("torch", of_clips),
    "clips_halved": ("torch", of_clips),
    "features": ("openvino", of_features),
    "hands": ("openvino torch", of_hands),
    "demo": ("openvino", of_clips),
}
"""Bundle -> the engines it is made for, and what it is asked."""


def answers(name: str, engine: str, folder: Path) -> Answers:
    predictor = load(name if name == "demo" else FOLDER / f"{name}.zip", engine)
    return CASES[name][1](predictor, folder)


@pytest.mark.parametrize(("name", "engine"), [(name, engine) for name in CASES for engine in CASES[name][0].split()])
def test_the_same_answers(name: str, engine: str, tmp_path: Path) -> None:
    if engine == "torch":
        pytest.importorskip("torch")
    expected = json.loads((FOLDER / "expected.json").read_text(encoding="utf-8"))[name]
    assert_alike(answers(name, engine, tmp_path), expected)


def test_labels_are_kept() -> None:
    assert tuple(load(FOLDER / "clips_joint.zip", "openvino").labels) == ("Perfetto", "Vattene", "Vieniqui")


def assert_alike(found: Any, expected: Any, where: str = "") -> None:
    """The same structure and words, numbers to TOLERANCE (joints: of a mm or pixel, relative)."""
    if isinstance(expected, dict):
        assert list(found) == list(expected), where
        for key, value in expected.items():
            assert_alike(found[key], value, f"{where}/{key}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), where
        for i, value in enumerate(expected):
            assert_alike(found[i], value, f"{where}/{i}")
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=TOLERANCE, abs=TOLERANCE), where
    else:
        assert found == expected, where


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as temporary:
        made = {name: answers(name, CASES[name][0].split()[0], Path(temporary)) for name in CASES}
    (FOLDER / "expected.json").write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
