"""`gesta pose compare`: the published figures on the published files, each way of writing joints, each message."""

import csv
import json
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from gesta.cli import app
from gesta.metrics import joint_errors
from gesta.schema import Camera, GestaError
from gesta.sources.cameras import CAMERAS
from gesta.tasks.hands.compare import compare
from gesta.tasks.hands.joint_files import read_joints, write_joints

REAL = Path(__file__).parents[3] / "shared" / "data" / "nyu_eval"
needs_real = pytest.mark.skipif(not REAL.is_dir(), reason="../shared/data/nyu_eval is not here")
NYU = CAMERAS["nyu"]


def hands(n=6, joints=4, seed=0):
    """World mm of `n` hands about 700 mm in front of the camera, and a prediction that is off."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(n, joints, 3)) * 40 + (0, 0, 700)
    return truth, truth + rng.normal(size=truth.shape) * 10


def to_uvd(world, camera=NYU):
    u = camera.cx + camera.fx * world[..., 0] / world[..., 2]
    v = camera.cy - camera.fy * world[..., 1] / world[..., 2]
    return np.stack([u, v, world[..., 2]], axis=-1)


def save(path, values):
    np.savetxt(path, values.reshape(len(values), -1), fmt="%.6f")
    return path


@pytest.fixture
def files(tmp_path):
    truth, predicted = hands()
    return save(tmp_path / "truth.txt", to_uvd(truth)), save(tmp_path / "p.txt", to_uvd(predicted)), truth, predicted


def run(*arguments):
    return CliRunner().invoke(app, ["pose", "compare", *map(str, arguments)])


@needs_real
def test_published_errors_and_figure(tmp_path):
    with (REAL / "published_mean_error_mm.csv").open() as stream:
        published = {row["file"]: float(row["mean_error_mm"]) for row in csv.DictReader(stream)}
    predictions = [REAL / "predictions" / name for name in published]
    start = time.process_time()
    result = run(REAL / "groundtruth/nyu_test_groundtruth_label.txt", *predictions, "--out", tmp_path, "--json")
    assert time.process_time() - start < 10
    found = json.loads(result.stdout)
    assert len(found) == 7
    for one in found:
        assert one["mean_error_mm"] == pytest.approx(published[Path(one["file"]).name], abs=0.001)
        assert len(one["per_joint_mm"]) == 14
        curve = one["success_rate"]
        assert len(curve["thresholds"]) == len(curve["shares"]) and sorted(curve["shares"]) == curve["shares"]
    for name in ("success_rate.png", "per_joint.png"):
        assert cv2.imread(str(tmp_path / name)).std() > 10
    assert json.loads((tmp_path / "result.json").read_text()) == found
    assert "| ICCVW17_NYU_DeepPrior++.txt | 12.238 |" in (tmp_path / "table.md").read_text()


def test_pixels_with_depth_and_millimeters_agree(files, tmp_path):
    truth_file, predicted_file, truth, predicted = files
    expected = joint_errors(truth, predicted)
    pixels = compare(truth_file, [predicted_file], NYU)[0]
    assert pixels.coordinates == "uvd"
    np.testing.assert_allclose(pixels.errors_mm, expected, atol=1e-3)
    world = save(tmp_path / "xyz.txt", predicted)
    backwards = save(tmp_path / "msra.txt", predicted * (1, 1, -1))  # z negative, as in MSRA
    for found in compare(truth_file, [world, backwards], NYU):
        assert found.coordinates == "xyz"
        np.testing.assert_allclose(found.errors_mm, expected, atol=1e-3)


def test_own_predictions_written_are_read(tmp_path, files):
    truth_file, _, truth, predicted = files
    write_joints(tmp_path / "own.txt", to_uvd(predicted))
    found = compare(truth_file, [tmp_path / "own.txt"], NYU)[0]
    np.testing.assert_allclose(found.errors_mm, joint_errors(truth, predicted), atol=3e-3)


def test_names_commas_and_windows_line_ends(tmp_path, files):
    _, predicted_file, _, _ = files
    plain = read_joints(predicted_file).values
    rows = predicted_file.read_text().splitlines()
    text = "\r\n".join(f"test/{i}.png {row.replace(' ', ',')} " for i, row in enumerate(rows))
    (tmp_path / "odd.txt").write_bytes(text.encode())
    np.testing.assert_array_equal(read_joints(tmp_path / "odd.txt").values, plain)


def test_pixels_alone_are_lifted_by_the_rule(tmp_path):
    """Depth of the image at the point; the true depth where that is outside the cube, missing or off the image."""
    truth_uvd = np.array([[[10, 10, 700], [20, 10, 705], [30, 10, 710], [40, 10, 695]]], float)
    truth = save(tmp_path / "truth.txt", truth_uvd)
    predicted = save(tmp_path / "uv.txt", np.array([[[11, 10], [20, 11], [30, 10], [-5, 10]]], float))
    image = np.zeros((60, 80), np.uint16)
    image[10, 11], image[11, 20] = 720, 1200
    (tmp_path / "depth").mkdir()
    cv2.imwrite(str(tmp_path / "depth" / "0.png"), image)
    camera = Camera(100, 100, 40, 30)
    found = compare(truth, [predicted], camera, depth=tmp_path / "depth")[0]
    lifted = np.array([[[11, 10, 720], [20, 11, 705], [30, 10, 710], [-5, 10, 695]]], float)
    np.testing.assert_allclose(found.errors_mm, joint_errors(camera.unproject(truth_uvd), camera.unproject(lifted)))
    assert found.coordinates == "uv"


def test_depth_in_folders_below_and_in_other_steps(tmp_path):
    """As ICVL's test sequences lie, read in the order of their paths; a step of depth is the camera.yaml's."""
    truth = save(tmp_path / "truth.txt", np.array([[[10, 10, 700.0]], [[20, 10, 705]], [[30, 10, 710]]]))
    predicted = save(tmp_path / "uv.txt", np.array([[[10, 10.0]], [[20, 10]], [[30, 10]]]))
    for row, (name, column) in enumerate((("seq_1/image_0", 10), ("seq_1/image_1", 20), ("seq_2/image_0", 30))):
        image = np.zeros((60, 80), np.uint16)
        image[10, column] = 4 * (700 + 5 * row) + 8
        path = tmp_path / "Depth" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), image)
    (tmp_path / "camera.yaml").write_text("{fx: 100, fy: 100, cx: 40, cy: 30, depth_unit_mm: 0.25}")
    result = run(truth, predicted, "--depth", tmp_path / "Depth", "--camera", tmp_path / "camera.yaml", "--json")
    (found,) = json.loads(result.stdout)
    assert 2 < found["mean_error_mm"] < 2.2  # 2 mm behind, and a little aside


@pytest.mark.parametrize("spoilt", ["truth", "prediction"])
@pytest.mark.parametrize("form", ["uvd", "xyz", "z negative"])
def test_joints_in_meters_are_refused(files, tmp_path, spoilt, form):
    truth_file, predicted_file, truth, predicted = files
    values = (truth if spoilt == "truth" else predicted) / 1000
    values = to_uvd(values) if form == "uvd" else values * (1, 1, -1 if form == "z negative" else 1)
    meters = save(tmp_path / "meters.txt", values)
    with pytest.raises(GestaError, match=r"meters.txt: .* so it looks like meters"):
        compare(*(meters, [predicted_file]) if spoilt == "truth" else (truth_file, [meters]), NYU)


def test_two_files_of_one_name_stay_apart(tmp_path, files):
    truth_file, predicted_file, _, _ = files
    other = tmp_path / "other" / "p.txt"
    other.parent.mkdir()
    other.write_bytes(predicted_file.read_bytes())
    result = run(truth_file, predicted_file, other, "--out", tmp_path / "out", "--json")
    assert result.exit_code == 0 and len(json.loads(result.stdout)) == 2


BAD = {
    "short row": (lambda rows: [*rows[:2], rows[2][:-1], *rows[3:]], r"row 3 has 11 columns, but the first row has 12"),
    "word": (lambda rows: [*rows[:2], ["x1", *rows[2][1:]], *rows[3:]], r"row 3 contains 'x1', expected numbers"),
    "fewer columns": (lambda rows: [row[:9] for row in rows], r"has 9 columns; expected 12 .* or 8 \(u v\)"),
    "fewer rows": (lambda rows: rows[:-1], r"has 5 rows, but the ground truth truth.txt has 6"),
    "nan": (lambda rows: [rows[0], ["1", "nan", *rows[1][2:]], *rows[2:]], r"row 2, column 2 is not a finite number"),
    "zero depth": (lambda rows: [["1", "1", "0", *rows[0][3:]], *rows[1:]], r"row 1 has a depth that is not positive"),
    "pixels alone": (lambda rows: [row[:8] for row in rows], r"Give the depth images: --depth DIR"),
    "empty": (lambda _: [], r"is empty"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_predictions(files, kind):
    truth, predicted, _, _ = files
    spoil, message = BAD[kind]
    rows = spoil([line.split() for line in predicted.read_text().splitlines()])
    predicted.write_text("\n".join(" ".join(row) for row in rows))
    with pytest.raises(GestaError, match=message) as error:
        compare(truth, [predicted], NYU)
    assert predicted.name in str(error.value)


def test_other_bad_input(files, tmp_path):
    truth, predicted, _, _ = files
    with pytest.raises(GestaError, match=r"gone.txt: no such file"):
        compare(truth, [tmp_path / "gone.txt"], NYU)
    save(tmp_path / "ten.txt", np.ones((6, 10)))
    with pytest.raises(GestaError, match=r"ten.txt: has 10 columns; expected a multiple of 3"):
        compare(tmp_path / "ten.txt", [predicted], NYU)
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(GestaError, match=r"binary.txt: is not a text file"):
        compare(truth, [tmp_path / "binary.txt"], NYU)
    error = run(truth, predicted, "--camera", "nyo").exception
    assert error.usage and "choose from nyu, icvl, msra" in str(error) and "Did you mean nyu?" in str(error)
    error = run(truth, predicted, "--coordinates", "uv").exception
    assert error.usage and "choose from auto, uvd, xyz" in str(error)
    uv = save(tmp_path / "uv.txt", np.ones((6, 4, 2)))
    (tmp_path / "none").mkdir()
    with pytest.raises(GestaError, match="contains no depth images"):
        compare(truth, [uv], NYU, depth=tmp_path / "none")
    cv2.imwrite(str(tmp_path / "none" / "0.png"), np.full((9, 9), 700, np.uint16))
    with pytest.raises(GestaError, match=r"has 1 depth images, but uv.txt has 6 rows"):
        compare(truth, [uv], NYU, depth=tmp_path / "none")


def test_a_file_that_cannot_be_used_is_listed_and_the_others_compared(files, tmp_path):
    truth, predicted, _, _ = files
    rows = predicted.read_text().splitlines()
    (tmp_path / "short.txt").write_text("\n".join(rows[:-1]))
    (tmp_path / "few.txt").write_text("\n".join(" ".join(row.split()[:9]) for row in rows))
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00\x80")
    bad = [tmp_path / f"{name}.txt" for name in ("short", "few", "binary", "gone")]
    shown = run(truth, bad[0], predicted, *bad[1:])
    assert shown.exit_code == 0 and "| p.txt |" in shown.stdout and "short.txt" not in shown.stdout
    told = " ".join(shown.stderr.split())
    assert f"short.txt: has {len(rows) - 1} rows" in told and "gone.txt: no such file" in told
    assert told.count("Skipped:") == 4
    error = run(truth, *bad).exception
    assert all(path.name in str(error) for path in bad)


def test_published_icvl_files_have_focal_lengths_of_their_own(files):
    """Another scale of x and y: an error of 0.18 % of the distance from the middle."""
    truth, predicted, _, _ = files
    shown = run(truth, predicted, "--camera", "icvl", "--coordinates", "uvd", "--json")
    (found,) = json.loads(shown.stdout)
    pixels, depth = (np.loadtxt(f).reshape(6, -1, 3) for f in (truth, predicted))

    def world(uvd: np.ndarray) -> np.ndarray:
        u, v, d = uvd[..., 0], uvd[..., 1], uvd[..., 2]
        return np.stack([(u - 160) * d / 240.99, (v - 120) * d / 240.96, d], axis=-1)

    expected = np.linalg.norm(world(pixels) - world(depth), axis=-1).mean()
    assert found["mean_error_mm"] == pytest.approx(expected, rel=1e-6)
    assert "240.99" in shown.stderr


def test_table_needs_no_matplotlib(files, tmp_path, monkeypatch):
    truth, predicted, _, _ = files
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "matplotlib" else real(name, *a))
    assert "| p.txt |" in run(truth, predicted).stdout
    error = run(truth, predicted, "--out", tmp_path / "out").exception
    assert "pip install -e '.[train]'" in str(error) and not (tmp_path / "out").exists()
