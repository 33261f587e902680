"""Differences between the joints from `run.py` of an exported hand pose model and from gesta, on the same images.

gesta export BUNDLE --to onnx --with-preprocessing --out DIR
python benchmarks/standalone_hands.py DIR DATA
"""

import importlib.util
import sys
from pathlib import Path

import numpy as np

import gesta
from gesta.tasks.hands.inputs import find_hands
from gesta.tasks.hands.read import read_hand


def main(exported: Path, data: Path) -> None:
    spec = importlib.util.spec_from_file_location("run", exported / "run.py")
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    alone, model = program.Hands(), gesta.load(exported, engine="onnxruntime", threads=1, center="nearest")
    apart = []
    for frame in find_hands(data):
        depth, _ = read_hand(frame)
        lens = frame.camera
        expected = model.predict_images(depth, None, lens).joints_mm
        found, _ = alone.find(depth, (lens.fx, lens.fy, lens.cx, lens.cy))
        apart.append(np.linalg.norm(found - expected, axis=1).max())
    print(f"{len(apart)} images, each program finds the hand itself: joints differ by at most {max(apart):.2g} mm")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
