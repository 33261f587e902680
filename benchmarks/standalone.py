"""How often `run.py`, exported with preprocessing, gives the same label as `gesta predict`.

gesta export BUNDLE --to onnx --with-preprocessing --out DIR
python benchmarks/standalone.py DIR VIDEOS [VIDEOS ...]
"""

import importlib.util
import sys
from pathlib import Path

import numpy as np

import gesta
from gesta.sources.files import is_video


def main(exported: Path, folders: list[Path]) -> None:
    spec = importlib.util.spec_from_file_location("run", exported / "run.py")
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    alone, model = program.Recognizer(), gesta.load(exported, engine="onnxruntime", threads=1)
    videos = sorted(path for folder in folders for path in folder.rglob("*") if is_video(path))
    same, differences = 0, []
    for number, video in enumerate(videos, start=1):
        expected = np.array(list(model.predict(video).probabilities.values()))
        found = program.predict(alone, program.read(str(video), alone.notes["color"] == "1"))[-1][1]
        same += int(found.argmax() == expected.argmax())
        differences.append(float(np.abs(found - expected).max()))
        print(f"\r{number} of {len(videos)} videos, {same} with the same label", end="", file=sys.stderr)
    print(f"\nsame label on {same} of {len(videos)} videos ({same / len(videos):.1%}); differences of probabilities:")
    print(f"largest {max(differences):.3f}, 95 % below {np.quantile(differences, 0.95):.4f}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
