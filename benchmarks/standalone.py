"""How often `run.py`, exported with preprocessing, gives the same label as `gesta predict`.

gesta export BUNDLE --to onnx --with-preprocessing --out DIR
python benchmarks/standalone.py DIR FOLDER [FOLDER ...] [--count 200]

FOLDER: videos or skeletons (.npy). Videos of depth are first rendered in gray, 16 mm a level, into lossless files that
both sides read.
"""

import argparse
import importlib.util
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

import gesta
from gesta.sources.files import is_video


def readable(video: Path, scratch: Path) -> Path:
    """The file; a video of depth rendered in gray, in a lossless file of its own."""
    if video.suffix == ".npy":
        return video
    with av.open(str(video)) as source:
        frames = list(source.decode(video=0))
    if not frames[0].format.name.startswith("gray16"):
        return video
    rendered = scratch / f"{video.stem}.mkv"
    with av.open(str(rendered), "w") as target:
        stream = target.add_stream("ffv1", rate=30)
        stream.width, stream.height, stream.pix_fmt = frames[0].width, frames[0].height, "gray"
        for frame in frames:
            levels = np.minimum(frame.to_ndarray() // 16, 255).astype(np.uint8)
            target.mux(stream.encode(av.VideoFrame.from_ndarray(levels, format="gray")))
        target.mux(stream.encode())
    return rendered


def pairs(exported: Path, videos: list[Path]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Probabilities [N] of each video by `gesta predict` and by `run.py`."""
    spec = importlib.util.spec_from_file_location("run", exported / "run.py")
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    alone, model = program.Recognizer(), gesta.load(exported, engine="onnxruntime", threads=1)
    for video in videos:
        with tempfile.TemporaryDirectory() as scratch:
            file = readable(video, Path(scratch))
            expected = np.array(list(model.predict(file).probabilities.values()))
            yield expected, program.predict(alone, program.read(str(file), alone.notes["color"] == "1"))[-1][1]


def main(exported: Path, folders: list[Path], count: int) -> None:
    files = [path for folder in folders for path in sorted(folder.rglob("*"))]
    videos = [path for path in files if is_video(path) or path.suffix == ".npy"][:count]
    same, differences = 0, []
    for number, (expected, found) in enumerate(pairs(exported, videos), start=1):
        same += int(found.argmax() == expected.argmax())
        differences.append(float(np.abs(found - expected).max()))
        print(f"\r{number} of {len(videos)} recordings, {same} with the same label", end="", file=sys.stderr)
    print(
        f"\nsame label on {same} of {len(videos)} recordings ({same / len(videos):.1%}); differences of probabilities:"
    )
    print(f"largest {max(differences):.2g}, 95 % below {np.quantile(differences, 0.95):.2g}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exported", type=Path)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--count", type=int, default=200)
    given = parser.parse_args()
    main(given.exported, given.folders, given.count)
