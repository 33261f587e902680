"""Recordings as files: layout, labels, what decoding gives back, restart."""

import csv
import zipfile
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest

from gesta.schema import GestaError
from gesta.synthetic.catalog import GENERATORS
from gesta.synthetic.chalearn2014 import make, make_recording, plan_tasks, split_people
from gesta.synthetic.recording import Plan, prepare

KINDS = ("color.mp4", "depth.mp4", "user.mp4", "skeleton.csv", "labels.csv", "data.csv")
SETTINGS = {"people": 3, "size": (160, 120), "gestures_per_recording": 2, "workers": 1, "seed": 3}


def _decode(path: Path) -> np.ndarray:
    with av.open(str(path)) as video:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)])


def _rows(path: Path) -> list[list[float]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return [[float(cell) for cell in row] for row in csv.reader(stream)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("synthetic")
    assert make(out, **SETTINGS) == ["Sample0001", "Sample0002", "Sample0003"]
    return out


def _folders(out: Path) -> list[Path]:
    return [out / split / name for split, name in zip(("Train1", "Validation1", "Test1"), _NAMES, strict=True)]


_NAMES = ("Sample0001", "Sample0002", "Sample0003")


@pytest.mark.integration
def test_layout(made: Path) -> None:
    for folder in _folders(made):
        assert sorted(p.name for p in folder.iterdir()) == sorted(f"{folder.name}_{kind}" for kind in KINDS)
    subjects = (made / "gesta_subjects.csv").read_text(encoding="utf-8").split()
    assert subjects == ["recording,subject", *(f"{n},person{i + 1:02d}" for i, n in enumerate(_NAMES))]
    assert not list(made.rglob("*.partial"))


@pytest.mark.integration
def test_counts_and_labels_agree(made: Path) -> None:
    for folder in _folders(made):
        ((n_frames, fps, max_depth),) = _rows(folder / f"{folder.name}_data.csv")
        assert fps == 20 and 2000 < max_depth < 6000
        skeleton = np.array(_rows(folder / f"{folder.name}_skeleton.csv"))
        assert skeleton.shape == (n_frames, 180)
        for kind in ("color", "depth", "user"):
            assert _decode(folder / f"{folder.name}_{kind}.mp4").shape == (n_frames, 120, 160, 3)
        labels = _rows(folder / f"{folder.name}_labels.csv")
        assert len(labels) == 2
        before = 0.0
        for gesture, first, last in labels:
            assert 1 <= gesture <= 20 and before < first < last <= n_frames
            before = last


@pytest.mark.integration
def test_half_the_frames_show_every_second_moment(made: Path, tmp_path: Path) -> None:
    make_recording(tmp_path, plan_tasks(3, 1, (160, 120), 3, 2, "standard", fps=10)[0], zipped=False)
    whole, half = made / "Train1/Sample0001", tmp_path / "Train1/Sample0001"
    skeleton = np.array(_rows(whole / "Sample0001_skeleton.csv"))[::2]
    np.testing.assert_array_equal(np.array(_rows(half / "Sample0001_skeleton.csv")), skeleton)
    assert _rows(half / "Sample0001_data.csv")[0][:2] == [len(skeleton), 10]
    assert len(_decode(half / "Sample0001_user.mp4")) == len(skeleton)
    masks = [_decode(folder / "Sample0001_user.mp4")[..., 0] > 150 for folder in (whole, half)]
    same, later = ((masks[0][start::2][:-1] == masks[1][:-1]).mean() for start in (0, 1))
    assert same > 0.98 and same > later
    for (gesture, first, last), seen in zip(*(_rows(f / "Sample0001_labels.csv") for f in (whole, half)), strict=True):
        assert tuple(seen) == (gesture, first // 2 + 1, (last - 1) // 2 + 1)  # from 1 on


@pytest.mark.integration
def test_decoding_gives_depth_and_mask_back(made: Path) -> None:
    task = plan_tasks(3, 1, (160, 120), 3, 2, "standard")[0]
    drawn = list(prepare(task.plan).frames())
    folder = _folders(made)[0]
    depth = _decode(folder / f"{folder.name}_depth.mp4").astype(int)
    user = _decode(folder / f"{folder.name}_user.mp4").mean(-1)
    assert np.abs(depth[..., 0] - depth[..., 2]).max() <= 2  # gray
    error = np.concatenate(
        [np.abs(depth[t, ..., 1] - f.depth)[(f.user > 0) & (f.depth > 0)] for t, f in enumerate(drawn)]
    )
    assert np.median(error) <= 1.5 and np.quantile(error, 0.9) <= 5  # in 1/255 of max_depth
    assert user.max() > 245 and user.min() < 10  # full range
    agree = [((user[t] > 150) == (f.user > 0)).mean() for t, f in enumerate(drawn)]
    assert min(agree) > 0.99


@pytest.mark.integration
def test_joints_lie_on_the_person(made: Path) -> None:
    hits = []
    for folder in _folders(made):
        mask = _decode(folder / f"{folder.name}_user.mp4").mean(-1) > 150
        skeleton = np.array(_rows(folder / f"{folder.name}_skeleton.csv")).reshape(len(mask), 20, 9)
        for t in range(0, len(mask), 5):
            if not skeleton[t].any():
                continue
            for u, v in skeleton[t, [0, 1, 2, 3, 4, 5, 8, 9, 7, 11], 7:].astype(int):
                if 0 <= u < 160 and 0 <= v < 120:
                    hits.append(mask[t, v, u])
    assert np.mean(hits) > 0.93


@pytest.mark.integration
def test_pixels_follow_from_meters(made: Path) -> None:
    folder = _folders(made)[0]
    rows = np.array(_rows(folder / f"{folder.name}_skeleton.csv"))
    rows = rows[rows.any(axis=1)].reshape(-1, 20, 9)
    focal = 0.895 * 160
    u = 79.5 + focal * rows[..., 0] / rows[..., 2]
    v = 59.5 - focal * rows[..., 1] / rows[..., 2]
    assert np.abs(u - rows[..., 7]).max() <= 0.51 and np.abs(v - rows[..., 8]).max() <= 0.51
    assert np.allclose(np.linalg.norm(rows[..., 3:7], axis=-1), 1, atol=1e-4)


@pytest.mark.integration
def test_same_seed_same_files_other_seed_others(made: Path, tmp_path: Path) -> None:
    tasks = {seed: plan_tasks(3, 1, (160, 120), seed, 2, "standard")[0] for seed in (3, 4)}
    make_recording(tmp_path, tasks[3], zipped=False)
    for kind in KINDS:
        name = f"Train1/Sample0001/Sample0001_{kind}"
        assert (made / name).read_bytes() == (tmp_path / name).read_bytes()
    one, other = (prepare(task.plan) for task in tasks.values())
    assert one.spans != other.spans and not np.array_equal(one.room.color, other.room.color)


@pytest.mark.integration
def test_stopped_run_goes_on(tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def stop(done: int, _: int) -> None:
        if done == 1:
            raise Stopped

    small = {**SETTINGS, "size": (96, 72), "gestures_per_recording": 1}
    with pytest.raises(Stopped):
        make(tmp_path, **small, progress=stop)
    first = tmp_path / "Train1/Sample0001/Sample0001_color.mp4"
    written = first.stat().st_mtime_ns
    half_done = tmp_path / "Validation1/.Sample0002.partial"
    half_done.mkdir(parents=True)
    (half_done / "Sample0002_color.mp4").write_bytes(b"cut short")
    seen: list[tuple[int, int]] = []
    make(tmp_path, **small, progress=lambda done, of: seen.append((done, of)))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert first.stat().st_mtime_ns == written
    assert not list(tmp_path.rglob("*.partial"))


@pytest.mark.integration
def test_folder_of_other_settings_is_refused(made: Path) -> None:
    with pytest.raises(GestaError, match=r"gesta_synthetic\.json.*other settings"):
        make(made, **{**SETTINGS, "seed": 9})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"people": 0}, "people is 0"),
        ({"size": (161, 120)}, "even sides"),
        ({"fps": 15}, "divisor of 20"),
        ({"preset": "standart"}, "easy, standard, hard"),
    ],
)
def test_settings_out_of_range(tmp_path: Path, change: dict, message: str) -> None:
    with pytest.raises(GestaError, match=message) as caught:
        make(tmp_path, **{**SETTINGS, **change})
    assert caught.value.usage


def test_zipped(tmp_path: Path) -> None:
    make(tmp_path, people=1, size=(96, 72), gestures_per_recording=1, workers=1, zipped=True)
    with zipfile.ZipFile(tmp_path / "Train1" / "Sample0001.zip") as archive:
        assert sorted(archive.namelist()) == sorted(f"Sample0001_{kind}" for kind in KINDS)
    assert [p.name for p in (tmp_path / "Train1").iterdir()] == ["Sample0001.zip"]


@pytest.mark.integration
def test_two_processes_write_the_same(made: Path, tmp_path: Path) -> None:
    make(tmp_path, **{**SETTINGS, "workers": 2})
    for folder, again in zip(_folders(made), _folders(tmp_path), strict=True):
        for kind in KINDS:
            assert (folder / f"{folder.name}_{kind}").read_bytes() == (again / f"{folder.name}_{kind}").read_bytes()


def test_people_are_split_as_promised() -> None:
    for people in range(3, 40):
        splits = split_people(people)
        assert len(splits) == people and {"Train", "Validation", "Test"} == set(splits)
    assert [split_people(27).count(s) for s in ("Train", "Validation", "Test")] == [15, 6, 6]
    tasks = plan_tasks(9, 3, (320, 240), 0, 20, "standard")
    by_person: dict[int, set[str]] = {}
    for task in tasks:
        by_person.setdefault(task.plan.person, set()).add(task.folder.rstrip("0123456789"))
    assert all(len(folders) == 1 for folders in by_person.values())
    assert all(sorted(t.plan.gestures) == list(range(1, 21)) for t in tasks)


def test_people_of_the_test_part_may_have_more_recordings() -> None:
    few = plan_tasks(6, 1, (320, 240), 0, 20, "standard")
    more = plan_tasks(6, 1, (320, 240), 0, 20, "standard", 4)
    assert Counter((t.plan.person, t.folder) for t in more) == {
        **{(person, "Train1"): 1 for person in range(4)},
        (4, "Validation1"): 1,
        (5, "Test1"): 4,
    }
    assert [t.plan for t in more[:6]] == [t.plan for t in few]  # who trains, and all they do, stays the same


def test_depth_of_the_person_is_where_the_skeleton_is() -> None:
    recording = prepare(Plan(0, 4, 0, (11,), (320, 240), "standard"))
    distance = recording.joints[:, 1, 2].mean() * 1000
    scale = recording.max_depth_mm / 255
    frames = list(recording.frames())
    for frame in frames[::10]:
        read = frame.depth[(frame.user > 0) & (frame.depth > 0)] * scale
        assert abs(np.median(read) - distance) < 300
        assert 0.001 < (frame.depth == 0).mean() < 0.15  # holes, but not many
    assert 0 < np.concatenate([f.depth.ravel() for f in frames]).max() <= 255


def test_catalog() -> None:
    assert GENERATORS["chalearn2014"] is make
