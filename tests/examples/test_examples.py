"""The scripts and the notebook of examples/, run on tiny data as they stand."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path

import cv2
import numpy as np
import pytest

import gesta

EXAMPLES = Path(__file__).parents[2] / "examples"
TINY = {"input.size": 32, "training.epochs": 1, "progress": False}


def film(path: Path, step: int, start: int) -> Path:
    """A video of 32 frames: a bright square that goes to the right (`step` > 0) or to the left."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 16, (96, 64))
    for n in range(32):
        image = np.full((64, 96, 3), 40, np.uint8)
        x = (start + step * n) % 80
        image[24:40, x : x + 16] = 220
        writer.write(image)
    writer.release()
    return path


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("my_gestures")
    for label, step in (("right", 2), ("left", -2)):
        for number in range(6):
            film(folder / label / f"{number}.avi", step, 10 * number)
    return folder


@pytest.fixture(autouse=True)
def own_places(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("GESTA_CACHE", str(tmp_path_factory.getbasetemp() / "examples-cache"))
    monkeypatch.setenv("MPLBACKEND", "Agg")


def main_of(name: str):
    return runpy.run_path(str(EXAMPLES / name))["main"]


def test_a_stream_of_frames_is_followed(videos, capsys):
    main_of("stream_frames.py")(str(videos / "right" / "0.avi"))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5 and all(re.fullmatch(r"\d\.\d s  \w+  0\.\d\d", line) for line in lines)
    assert [line.split()[0] for line in lines[:2]] == ["0.4", "0.8"]  # chunks of 4 frames at 10 frames/s


@pytest.mark.slow
def test_a_trained_model_predicts_and_runs_exported(videos, tmp_path, capfd):
    video = videos / "left" / "5.avi"
    bundle = main_of("train_and_predict.py")(videos, video, tmp_path / "run", **TINY)
    told = capfd.readouterr().out
    assert re.search(r"^accuracy [01]\.\d\d on \d+ videos$", told, re.MULTILINE)
    assert set(re.findall(r"^(left|right)  [01]\.\d\d$", told, re.MULTILINE)) == {"left", "right"}
    exported = main_of("export_without_torch.py")(bundle, video)
    size, label = re.search(r": (\d+) bytes, .*\n(left|right)\n", capfd.readouterr().out).groups()
    assert int(size) == sum(file.stat().st_size for file in exported.rglob("*.onnx"))
    assert label == gesta.load(bundle).predict(video).label


def cells(kind: str) -> list[dict]:
    notebook = json.loads((EXAMPLES / "first_steps.ipynb").read_text(encoding="utf-8"))
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


def test_the_notebook_holds_no_outputs():
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells("code"))


@pytest.mark.slow
def test_the_notebook_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for cell in cells("code"):
        exec(compile("".join(cell["source"]), "first_steps.ipynb", "exec"), names)
    told = capsys.readouterr().out
    assert "accuracy" in told and "on 20 gestures of a person not trained on" in told
    assert re.search(r"^performed: vattene\nvattene \(go away\) +0\.\d\d$", told, re.MULTILINE)
