"""`gesta data inspect` on hand poses: counts, what looks wrong, the page."""

import json
import shutil

import cv2
import numpy as np
import pytest
from sources.hand_files import write_camera, write_folder, write_icvl, write_msra, write_nyu

from gesta.sources import hand_catalog
from gesta.tasks.hands.audit import inspect_hands


def kinds(report):
    return {problem.kind for problem in report.problems}


def test_counts_and_page(gesta, hand_data, tmp_path):
    done = gesta("data", "inspect", hand_data, "--out", tmp_path, "--json")
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["layout"] == "hand_folder" and found["frames"] == found["usable"] == 20
    assert found["sizes"] == {"80 x 60": 20} and found["cameras"] == {"fx 100 fy 100 cx 40 cy 30": 20}
    assert found["with_joints"] == found["with_color"] == 20 and found["joints_at_depth"] > 0.9
    assert 440 < found["depth_mm"][0] < 600 and found["problems"] == []
    page = (tmp_path / "inspect.html").read_text()
    assert page.count("data:image/jpeg") == 12 and "http" not in page


@pytest.mark.parametrize("write", [write_nyu, write_icvl, write_msra])
def test_every_layout(write, tmp_path):
    write(tmp_path)
    report = inspect_hands(hand_catalog.read(tmp_path))
    assert report.frames == report.usable > 0 and report.with_joints == report.frames
    assert sum(report.sizes.values()) == report.opened and len(report.cameras) == 1


def test_broken_and_empty_images_are_named(hand_data, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(hand_data, root)
    (root / "depth" / "002.png").write_bytes(b"\x89PNG")
    cv2.imwrite(str(root / "depth" / "003.png"), np.zeros((60, 80), np.uint16))
    cv2.imwrite(str(root / "depth" / "004.png"), np.full((60, 80), 1, np.uint16))
    cv2.imwrite(str(root / "rgb" / "005.png"), np.zeros((30, 40, 3), np.uint8))
    report = inspect_hands(hand_catalog.read(root))
    told = " ".join(map(str, report.problems))
    assert report.usable == 17 and {"unusable", "no-reading"} <= kinds(report)
    for words in ("002.png", "003.png: has no depth readings", "look like meters", "is 40 x 30, but its depth image"):
        assert words in told


def test_joints_of_other_images(hand_data, tmp_path):
    """Every image has the joints of another one: they lie off the depth at their pixels."""
    root = tmp_path / "data"
    shutil.copytree(hand_data, root)
    head, *rows = (root / "joints.csv").read_text().splitlines()
    cells = [row.split(",") for row in rows]
    moved = [",".join([name, *(str(float(v) + (150 if i % 3 == 2 else 0)) for i, v in enumerate(values))])
             for name, *values in cells]  # fmt: skip
    (root / "joints.csv").write_text("\n".join([head, *moved]))
    report = inspect_hands(hand_catalog.read(root))
    assert "joints-off-depth" in kinds(report) and report.joints_at_depth < 0.5


def test_wrong_intrinsics_end_the_command_with_the_reason(gesta, tmp_path):
    write_folder(tmp_path / "data")
    write_camera(tmp_path / "data" / "camera.yaml", 285.6, 285.6, 120, 160)
    done = gesta("data", "inspect", tmp_path / "data")
    assert done.exit_code == 1 and "seem to be swapped" in done.stderr


def test_intrinsics_of_another_resolution(tmp_path):
    """A set whose camera is known: images of half the size do not fit it."""
    write_nyu(tmp_path, size=(320, 240))
    report = inspect_hands(hand_catalog.read(tmp_path))
    assert "intrinsics" in kinds(report) and "another resolution" in str(report.problems[0])
