"""The ChaLearn 2014 reader, on hand-written text of the real csv files and on all that can be wrong."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest

from gesta.schema import CHALEARN_GESTURES
from gesta.sources.catalog import detect, read

FIXTURES = Path(__file__).parent / "fixtures" / "chalearn2014"
VIDEOS = ("_color.mp4", "_depth.mp4", "_user.mp4", "_skeleton.csv")


def put_recording(folder: Path, name: str, labels: str | None = "5,1,20\n", data: str | None = "100,20,3500\n") -> Path:
    """A recording whose videos are empty files (the reader opens none)."""
    folder.mkdir(parents=True, exist_ok=True)
    for suffix in VIDEOS:
        (folder / f"{name}{suffix}").touch()
    for suffix, text in (("_labels.csv", labels), ("_data.csv", data)):
        if text is not None:
            (folder / f"{name}{suffix}").write_bytes(text.encode())
    return folder


def put_fixture(folder: Path, name: str) -> Path:
    put_recording(folder, name, None, None)
    for part in ("labels", "data"):
        shutil.copy(FIXTURES / f"{name}_{part}.csv", folder)
    return folder


def zipped(folder: Path) -> Path:
    target = folder.with_suffix(".zip")
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, path.name)
    shutil.rmtree(folder)
    return target


def kinds(listing):
    return sorted(problem.kind for problem in listing.problems)


def test_real_text_gives_gestures_with_zero_based_inclusive_spans(tmp_path):
    put_fixture(tmp_path / "Train1" / "Sample0001", "Sample0001")
    zipped(put_fixture(tmp_path / "Validation2" / "Sample0410", "Sample0410"))
    listing = read(tmp_path)
    assert (listing.layout, listing.problems) == ("chalearn2014", ())
    first, last = listing.samples[0], listing.samples[6]
    assert (first.id, first.label, first.first_frame, first.last_frame) == ("Sample0001/01", "vieniqui", 0, 42)
    assert (last.id, last.label, last.first_frame, last.last_frame) == ("Sample0001/07", "sonostufo", 1218, 1253)
    assert (first.recording, first.split, first.subject) == ("Sample0001", "train", None)
    assert first.depth_unit_mm == pytest.approx(3500 / 255)
    assert first.modalities == ("color", "depth", "mask", "skeleton")
    zip_samples = listing.samples[7:]
    assert [(s.label, s.first_frame, s.last_frame) for s in zip_samples] == [
        ("cheduepalle", 31, 66),
        ("messidaccordo", 66, 102),  # shares one frame with the gesture before: kept
        ("daccordo", 1019, 1060),
    ]
    assert {s.split for s in zip_samples} == {"val"}
    assert zip_samples[0].color.path.name == "Sample0410.zip"
    assert zip_samples[0].color.member == "Sample0410_color.mp4"
    assert zip_samples[0].depth_unit_mm == pytest.approx(4000 / 255)


def test_people_come_from_the_subjects_file(tmp_path):
    put_recording(tmp_path / "Train1" / "Sample0001", "Sample0001")
    put_recording(tmp_path / "Train1" / "Sample0002", "Sample0002")
    (tmp_path / "gesta_subjects.csv").write_text("recording,subject\nSample0001,anna\n")
    listing = read(tmp_path)
    assert [s.subject for s in listing.samples] == ["anna", None]
    assert "has no person for 1 recording, e.g. Sample0002" in str(listing.problems[0])


def test_recording_without_labels_is_one_sample_without_label(tmp_path):
    put_recording(tmp_path / "Test1" / "Sample0701", "Sample0701", labels=None)
    put_recording(tmp_path / "Train1" / "Sample0001", "Sample0001", labels=None)
    listing = read(tmp_path)
    assert [(s.id, s.label, s.first_frame, s.split) for s in listing.samples] == [
        ("Sample0001", None, None, "train"),
        ("Sample0701", None, None, "test"),
    ]
    assert kinds(listing) == ["no-labels"]  # expected of a test recording, not of a training one
    assert "Sample0001_labels.csv" in str(listing.problems[0])


def test_single_recording_as_root(tmp_path):
    folder = put_recording(tmp_path / "Train1" / "Sample0001", "Sample0001")
    archive = zipped(put_recording(tmp_path / "Train1" / "Sample0002", "Sample0002", labels=None))
    (tmp_path / "Train1" / "gesta_subjects.csv").write_text("Sample0001,anna\n")
    assert [(s.id, s.subject) for s in read(folder).samples] == [("Sample0001/01", "anna")]
    assert [(s.id, s.label) for s in read(archive).samples] == [("Sample0002", None)]
    assert read(archive).problems == ()


def test_files_of_several_recordings_in_one_folder(tmp_path):
    put_recording(tmp_path, "Sample0002")
    put_recording(tmp_path, "Sample0001")
    assert [s.id for s in read(tmp_path).samples] == ["Sample0001/01", "Sample0002/01"]


def test_same_name_in_two_folders_keeps_ids_unique(tmp_path):
    put_recording(tmp_path / "Train1" / "Sample0001", "Sample0001")
    put_recording(tmp_path / "Validation1" / "Sample0001", "Sample0001")
    assert [s.id for s in read(tmp_path).samples] == ["Train1/Sample0001/01", "Validation1/Sample0001/01"]


def test_folder_wins_over_the_zip_beside_it(tmp_path):
    zipped(put_recording(tmp_path / "Sample0001", "Sample0001"))
    put_recording(tmp_path / "Sample0001", "Sample0001")
    listing = read(tmp_path)
    assert len(listing.samples) == 1
    assert listing.samples[0].color.member is None
    assert kinds(listing) == ["recording-twice"]


@pytest.mark.parametrize(
    ("labels", "kind", "words"),
    [
        (
            "5,1,20\n7,90,101\n",
            "label-outside-video",
            "line 2 (7,90,101): lies outside the recording's frames 1 to 100",
        ),
        ("5,0,20\n", "label-outside-video", "line 1 (5,0,20): lies outside"),
        ("21,1,20\n", "unknown-gesture", "gesture id 21 is not in 1 to 20"),
        ("0,1,20\n", "unknown-gesture", "gesture id 0 is not"),
        ("5,20,10\n", "bad-label-row", "ends before it starts"),
        ("5,ten,20\n", "bad-label-row", "line 1 is '5,ten,20', expected gesture_id,first,last"),
        ("5,1\n", "bad-label-row", "expected gesture_id,first,last"),
        ("5,1.5,20\n", "bad-label-row", "expected gesture_id,first,last"),
        ("5,1,40\n6,11,30\n", "overlapping-labels", "line 2 (6,11,30): overlaps the gesture before it, cheduepalle"),
        ("", "no-labels", "contains no rows"),
    ],
)
def test_bad_label_rows_are_refused_and_named(tmp_path, labels, kind, words):
    put_recording(tmp_path / "Sample0001", "Sample0001", labels=labels)
    listing = read(tmp_path)
    assert kinds(listing) == [kind]
    assert words in listing.problems[0].reason
    assert "Sample0001_labels.csv" in listing.problems[0].path


def test_good_rows_survive_beside_bad_ones_and_semicolons_are_read(tmp_path):
    put_recording(tmp_path / "Sample0001", "Sample0001", labels="7;50;60\r\n99;1;2\r\n5;1;20;\r\n")
    listing = read(tmp_path)
    assert [(s.id, s.label, s.first_frame) for s in listing.samples] == [
        ("Sample0001/01", "cheduepalle", 0),
        ("Sample0001/02", "daccordo", 49),
    ]
    assert kinds(listing) == ["unknown-gesture"]


def test_missing_modality_and_missing_video(tmp_path):
    one = put_recording(tmp_path / "Sample0001", "Sample0001")
    (one / "Sample0001_user.mp4").unlink()
    two = put_recording(tmp_path / "Sample0002", "Sample0002")
    for suffix in ("_color.mp4", "_depth.mp4"):
        (two / f"Sample0002{suffix}").unlink()
    listing = read(tmp_path)
    assert [s.id for s in listing.samples] == ["Sample0001/01"]
    assert listing.samples[0].mask is None
    reasons = {problem.kind: str(problem) for problem in listing.problems}
    assert "has no Sample0001_user.mp4" in str(listing.problems[0])
    assert "neither a color nor a depth video" in reasons["no-video"]


@pytest.mark.parametrize(
    ("data", "kind", "words"),
    [
        (None, "missing-data-csv", "has no Sample0001_data.csv. The largest depth is assumed to be 4000 mm."),
        ("", "bad-data-csv", "is empty"),
        ("100,20\n", "bad-data-csv", "has 2 values, expected n_frames,fps,max_depth_mm"),
        ("many,20,3500\n", "bad-data-csv", "expected three numbers"),
        ("0,20,3500\n", "bad-data-csv", "both must be positive"),
    ],
)
def test_data_csv_faults(tmp_path, data, kind, words):
    put_recording(tmp_path / "Sample0001", "Sample0001", data=data)
    listing = read(tmp_path)
    assert len(listing.samples) == 1
    assert kinds(listing) == [kind]
    assert words in str(listing.problems[0])


def test_broken_zip_and_zip_in_zip_are_listed(tmp_path):
    put_recording(tmp_path / "Sample0001", "Sample0001")
    (tmp_path / "Sample0002.zip").write_bytes(b"PK\x03\x04 cut off")
    with zipfile.ZipFile(tmp_path / "Train2.zip", "w") as archive:
        archive.writestr("Sample0003.zip", b"")
    listing = read(tmp_path)
    assert len(listing.samples) == 1
    assert kinds(listing) == ["unreadable", "zip-in-zip"]
    assert "Unpack it once" in str(listing.problems[1])


def test_labels_that_are_not_text_are_a_problem(tmp_path):
    folder = put_recording(tmp_path / "Sample0001", "Sample0001")
    (folder / "Sample0001_labels.csv").write_bytes(b"\xe95,1,20")
    listing = read(tmp_path)
    assert kinds(listing) == ["unreadable"]
    assert "not UTF-8" in str(listing.problems[0])
    assert listing.samples[0].label is None


def test_twenty_gestures_and_detection_of_a_zip_among_folders(tmp_path):
    assert len(set(CHALEARN_GESTURES)) == 20
    zipped(put_recording(tmp_path / "Train1" / "Sample0001", "Sample0001"))
    assert detect(tmp_path) == "chalearn2014"
