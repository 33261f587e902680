"""How often an exported page gives the same label as gesta, and how fast: its modules in Node, on one core.

gesta export BUNDLE --to onnx --out ONNX
gesta export ONNX --to web --out PAGE
python benchmarks/web_page.py ONNX PAGE FOLDER [FOLDER ...] [--count 200] [--width 640]

FOLDER: videos, from which both sides get the same RGB frames (depth: 16 mm per gray level), or skeletons (.npy,
[T, J, D], 30 frames per second). Also compares with gesta's label for the video file, where gray is taken from luma.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np

import gesta
from gesta.schema import Frame
from gesta.sources.files import is_video

RUNNER = Path(__file__).with_suffix(".mjs")
SKELETON_FPS = 30


class Page:
    """The page's modules in a Node process."""

    def __init__(self, folder: Path) -> None:
        words = ["node", str(RUNNER), str(folder)]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def answers(self, frames: np.ndarray, times: list[float]) -> tuple[np.ndarray, float]:
        """Probabilities [K, N] after each chunk, and the total processor time in seconds."""
        with tempfile.NamedTemporaryFile() as held:
            held.write(frames.tobytes())
            held.flush()
            joints = frames[0].size if frames.dtype == np.float32 else 0
            size = {"height": frames.shape[1], "width": frames.shape[2], "numbers": joints}
            self._process.stdin.write(json.dumps({"file": held.name, "times": times, **size}) + "\n")
            self._process.stdin.flush()
            found = json.loads(self._process.stdout.readline())
        return np.array(found["answers"]), found["seconds"]


def pictures(path: Path) -> tuple[np.ndarray, list[float]]:
    """RGB frames [T, H, W, 3], or skeletons float32 [T, J, D], and their times."""
    if path.suffix == ".npy":
        skeletons = np.load(path).astype(np.float32)
        return skeletons, [i / SKELETON_FPS for i in range(len(skeletons))]
    frames, times = [], []
    for frame in av.open(str(path)).decode(video=0):
        if frame.format.name.startswith("gray16"):
            levels = np.minimum(frame.to_ndarray() // 16, 255).astype(np.uint8)
            frames.append(np.repeat(levels[..., None], 3, axis=2))
        else:
            frames.append(frame.to_ndarray(format="rgb24"))
        times.append(float(frame.time))
    return np.stack(frames), times


def followed(model, frames: np.ndarray, times: list[float]) -> np.ndarray:
    """gesta's probabilities [K, N] for the same frames."""
    stream, given = model.open_stream(), "joints" if frames.dtype == np.float32 else "color"
    pushed = (stream.push(Frame(s, **{given: frame})) for frame, s in zip(frames, times, strict=True))
    found = [answer for answers in pushed for answer in answers] + stream.finish()
    return np.array([list(answer.probabilities.values()) for answer in found])


def clips(folders: list[Path], count: int) -> Iterator[Path]:
    """The first `count` videos and skeletons of the folders, in order."""
    files = [
        path for folder in folders for path in sorted(folder.rglob("*")) if is_video(path) or path.suffix == ".npy"
    ]
    yield from files[:count]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("page", type=Path)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--width", type=int, help="scale images to this width, such as that of a camera")
    given = parser.parse_args()
    model, page = gesta.load(given.bundle, engine="onnxruntime", threads=1), Page(given.page)
    rows, seconds, seen = [], 0.0, 0
    for path in clips(given.folders, given.count):
        frames, times = pictures(path)
        if given.width:
            size = given.width, round(given.width * frames.shape[1] / frames.shape[2])
            frames = np.stack([cv2.resize(frame, size) for frame in frames])
        expected = followed(model, frames, times)
        found, took = page.answers(frames, times)
        of_file = (
            None if frames.dtype == np.float32 or path.suffix == ".mkv" or given.width else model.predict(path).label
        )
        rows.append(
            {
                "same": int(found[-1].argmax() == expected[-1].argmax()),
                "difference": float(np.abs(found - expected).max()),
                "as_file": None if of_file is None else int(model.labels[found[-1].argmax()] == of_file),
            }
        )
        seconds, seen = seconds + took, seen + len(times)
        print(f"\r{len(rows)} clips, {sum(row['same'] for row in rows)} same", end="", file=sys.stderr, flush=True)
    differences, files = [row["difference"] for row in rows], [r["as_file"] for r in rows if r["as_file"] is not None]
    same = sum(row["same"] for row in rows)
    print(f"\nsame label on {same} of {len(rows)} clips ({same / len(rows):.1%})")
    largest, most = max(differences), np.quantile(differences, 0.95)
    print(f"differences of probabilities over all chunks: largest {largest:.2g}, 95 % below {most:.2g}")
    if files:
        print(f"same label as for the video file (gray from luma) on {sum(files)} of {len(files)}")
    print(f"{seen / seconds:.0f} frames per second on one core, over {seen} frames", flush=True)


if __name__ == "__main__":
    main()
