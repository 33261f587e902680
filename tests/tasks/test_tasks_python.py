"""The Python API's inputs: a path, a list, frames as an array, and frames pushed with their times."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import gesta


def moving(frames: int = 40) -> np.ndarray:
    """A bright square that goes to and fro, uint8 [T, H, W, 3]."""
    video = np.full((frames, 48, 64, 3), 40, np.uint8)
    for n in range(frames):
        x = 10 + abs(n % 20 - 10) * 2
        video[n, 16:32, x : x + 12] = 220
    return video


@pytest.fixture(scope="module")
def model():
    return gesta.load("demo")


def test_frames_as_an_array_are_a_video(model):
    found = model.predict(moving(), fps=20)
    assert found.label in model.labels and sum(found.probabilities.values()) == pytest.approx(1)
    assert found.top(2)[0] == (found.label, found.confidence) and len(found.top(2)) == 2


def test_an_array_is_what_its_stream_ends_with(model):
    *_, last = model.stream(moving(), fps=20)
    found = model.predict(moving(), fps=20)
    np.testing.assert_allclose(list(found.probabilities.values()), list(last.probabilities.values()), atol=1e-4)


def test_a_list_is_predicted_one_by_one(model):
    one, other = moving(), moving()[::-1].copy()
    assert [p.probabilities for p in model.predict([one, other], fps=20)] == [
        model.predict(v, fps=20).probabilities for v in (one, other)
    ]


def test_an_image_is_pushed_with_its_time(model):
    stream, told = model.open_stream(), []
    for n, image in enumerate(moving()):
        told += stream.push(image, n / 20)
    told += stream.finish()
    assert [p.label for p in told] == [p.label for p in model.stream(moving(), fps=20)]
    with pytest.raises(gesta.GestaError, match=r"push\(image, time_s\)"):
        model.open_stream().push(moving()[0])


@pytest.mark.parametrize("bad", [np.zeros((4, 8, 8), np.uint8), np.zeros((4, 8, 8, 3), np.float32), 7])
def test_what_is_no_video_is_refused(model, bad):
    with pytest.raises(gesta.GestaError, match=r"preprocessed clips|array of frames"):
        model.predict(bad)


def test_the_version_is_told():
    found = subprocess.run(
        [sys.executable, "-c", "from gesta.cli import main; main()", "--version"], capture_output=True, text=True
    )
    assert found.stdout == f"gesta {gesta.__version__}\n" and found.returncode == 0


@pytest.fixture(scope="module")
def hands(tmp_path_factory):
    import cv2

    folder = tmp_path_factory.mktemp("depth")
    depth = np.zeros((240, 320), np.uint16)
    depth[80:160, 120:200] = 600 + np.arange(80, dtype=np.uint16)
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(folder / name), depth)
    (folder / "camera.yaml").write_text("fx: 240.0\nfy: 240.0\ncx: 160.0\ncy: 120.0\n")
    return folder


def test_hands_take_files(hands):
    model = gesta.load(Path(__file__).parents[1] / "bundles_v1" / "hands.zip")
    one = model.predict(hands / "a.png")
    assert one.joints_mm.shape == (len(model.manifest.joints), 3)
    both = model.predict([hands / "a.png", hands / "b.png"])
    np.testing.assert_allclose([found.joints_mm for found in both], [one.joints_mm, one.joints_mm])
    with pytest.raises(gesta.GestaError, match="contains 2 frames"):
        model.predict(hands)


def test_features_take_frames_and_lists():
    model = gesta.load(Path(__file__).parents[1] / "bundles_v1" / "features.zip")
    found = model.predict([moving(), moving()])
    assert found[0] == found[1] == model.predict(moving())


def test_every_training_of_a_process_has_a_folder_of_its_own(tmp_path, monkeypatch):
    from gesta.experiments.train import new_folder

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GESTA_TRAIN_OUT", "runs/former")  # as an earlier training of this process leaves it
    first = new_folder(Path("data"), "auto")
    first.mkdir(parents=True)
    second = new_folder(Path("data"), "auto")
    assert (first, second) == (Path("runs/data-auto-1"), Path("runs/data-auto-2"))
    monkeypatch.setenv("LOCAL_RANK", "1")  # a further process of the second run
    assert new_folder(Path("data"), "auto") == second
