"""The ONNX file of a model of skeletons takes joints, normalizes them itself, and says what gesta says."""

import io
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("onnxscript")
import torch
from export.test_export_web_skeletons import LABELS, saved

import gesta
from gesta.clips.skeleton_sets import HAND_JOINTS
from gesta.clips.skeleton_space import SkeletonSpace
from gesta.clips.transform import Transform
from gesta.exporting import standalone
from gesta.exporting.run import Export, export_bundle
from gesta.schema import KINECT_JOINTS, Frame
from gesta.tasks import catalog
from gesta.tasks.clips.manifest import ClipManifest
from gesta.tasks.clips.network import fresh
from gesta.tasks.clips.standalone.run import Recognizer

KINECT = SkeletonSpace(joints=KINECT_JOINTS, origin="first", scale="first", view="first")
HAND = SkeletonSpace(joints=HAND_JOINTS, dimensions=2)
PLAIN = SkeletonSpace(joints=("a", "b", "c"), view="first")


def exported(folder, name, sampling, chunk, space):
    torch.manual_seed(3)
    given = {"streams": ("skeleton",), "channels": (), "body": "frame", "skeleton": space}
    t = Transform(fps=15, sampling=sampling, chunk=chunk, window=24, **given)
    model = {"name": name, "width": 0.25, "dropout": 0.0}
    path = saved(folder / "b", fresh(model, t, len(LABELS)), ClipManifest, model, labels=LABELS, transform=t)
    task, bundle = catalog.of_bundle(path)
    bundle = export_bundle(bundle, folder / "out", Export("onnx", seconds=0)).bundle
    document = standalone.add_standalone(task, bundle)
    assert document["check"].startswith("same")
    assert "your tracker" in document["takes"]
    return folder / "out"


def skeletons(space, count=40):
    """Joints that wander, with some missing, whole frames of nobody at first and later, and an infinite one."""
    rng = np.random.default_rng(5)
    shape = len(space.joints), space.dimensions
    values = (2 + rng.normal(0, 1, shape) + rng.normal(0, 0.1, (count, *shape)).cumsum(0)).astype(np.float32)
    values[rng.random(values.shape[:2]) < 0.2] = np.nan
    values[[0, 1, 20]] = np.nan
    values[7, 1, 0] = np.inf
    return values, 3 + np.cumsum(rng.uniform(0.02, 0.09, count))


@pytest.mark.integration
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("name", "sampling", "chunk", "space"),
    [("tcn", "chunks", 1, KINECT), ("tcn", "chunks", 1, PLAIN), ("dd_net", "whole", 4, HAND)],
)
def test_joints_give_gestas_answers(tmp_path, monkeypatch, name, sampling, chunk, space):
    folder = exported(tmp_path, name, sampling, chunk, space)
    monkeypatch.syspath_prepend(folder)  # run.py finds decoder.py beside it
    values, times = skeletons(space, 22 if sampling == "whole" else 40)  # a window at most: longer ones are the user's
    stream = gesta.load(folder, engine="onnxruntime", threads=1).open_stream()
    said = [p for joints, s in zip(values, times, strict=True) for p in stream.push(Frame(float(s), joints=joints))]
    expected = said + stream.finish()
    model = Recognizer(folder / "model.onnx")
    found = [a for i in range(0, len(values), 5) for a in model.push(values[i : i + 5], times[i : i + 5])]
    if sampling == "whole":
        found, expected = found[-1:], [p for p in expected if p.time_s == pytest.approx(found[-1][0])]
    assert len(expected) >= 1
    for answer, (end, row) in zip(expected, found, strict=False):
        assert end == pytest.approx(answer.time_s)
        np.testing.assert_allclose(row, list(answer.probabilities.values()), atol=1e-5)


def array_bytes(values):
    held = io.BytesIO()
    np.save(held, values)
    return held.getvalue()


@pytest.mark.integration
def test_a_file_of_joints_gets_the_answer_of_gesta_predict(tmp_path):
    folder = exported(tmp_path, "dd_net", "whole", 4, KINECT)
    file = tmp_path / "new.npy"
    np.save(file, skeletons(KINECT, 50)[0])
    expected = gesta.load(folder, engine="onnxruntime").predict(file)
    done = subprocess.run(
        [sys.executable, str(folder / "run.py"), str(file)], capture_output=True, text=True, check=True
    )
    assert f"{expected.label}  {max(expected.probabilities.values()):.2f}" in done.stdout  # the only event
    assert not (folder / "camera.py").exists()
    assert "**Scale.**" in (folder / "preprocessing.md").read_text()
    for content, reason in ((b"not an array", "magic string"), (array_bytes(np.zeros((9, 5, 3))), "(9, 5, 3)")):
        file.write_bytes(content)
        words = [sys.executable, str(folder / "run.py"), str(file)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert done.stderr.startswith(f"{file}: cannot be used (")
        assert reason in done.stderr
