"""Everyday gestures as landmarks: what the hands do is what the label says, in an image that is not mirrored."""

from pathlib import Path

import numpy as np
import pytest

from gesta.clips.skeleton_files import read_skeletons
from gesta.clips.skeleton_sets import joint_set
from gesta.schema import GestaError, Resource
from gesta.sources import recordings
from gesta.synthetic import everyday


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("everyday") / "data"
    everyday.make(out, people=4, workers=1)
    return out


def strokes(data: Path, label: str):
    """The path of the hand that moves more, in shoulder widths, for every performance of a gesture."""
    for recording in recordings.read(data).samples:
        points = read_skeletons(Resource(recording.files[0].path), None).values
        width = np.linalg.norm(points[:, 0] - points[:, 1], axis=1).mean()
        for span in recording.spans:
            if span.label == label:
                arms = points[span.first : span.last + 1, 4:] / width
                arms = arms[np.isfinite(arms).all(axis=(1, 2))]
                moved = np.abs(np.diff(arms, axis=0)).sum(axis=(0, 2))
                yield arms[:, int(moved.argmax())]


def middle(path):
    """The stroke without the way there and back."""
    return path[len(path) // 4 : -len(path) // 4]


def test_every_gesture_is_there_in_each_recording_and_people_are_in_one_part_each(made):
    listing = recordings.read(made)
    assert listing.layout == "frame_labels" and joint_set(everyday.JOINTS).name == "arms"
    for recording in listing.samples:
        labels = [span.label for span in recording.spans]
        assert all(labels.count(gesture) == everyday.ROUNDS for gesture in everyday.GESTURES)
    assert {recording.split for recording in listing.samples} == {"train", "val", "test"}


@pytest.mark.parametrize(
    ("label", "axis", "sign"),
    [("swipe_left", 0, 1), ("swipe_right", 0, -1), ("swipe_up", 1, -1), ("swipe_down", 1, 1)],
)
def test_a_swipe_goes_to_the_persons_own_side_and_up_is_up(made, label, axis, sign):
    """The person faces the camera: their left is to the right in the image; y is down."""
    moved = [sign * (middle(path)[-1, axis] - middle(path)[0, axis]) for path in strokes(made, label)]
    assert len(moved) == 8 and min(moved) > 0


@pytest.mark.parametrize(("label", "sign"), [("circle_clockwise", -1), ("circle_counterclockwise", 1)])
def test_circles_turn_as_the_person_sees_them(made, label, sign):
    """Seen from in front, and with y down, clockwise for the person runs against the clock."""
    areas = []
    for path in strokes(made, label):
        x, y = (path - path.mean(axis=0)).T
        areas.append(sign * np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]))
    assert len(areas) == 8 and min(areas) > 0


def test_the_same_settings_give_the_same_bytes_and_a_lost_file_is_made_again(made, tmp_path):
    everyday.make(tmp_path, people=4, workers=1)
    first = made / "landmarks" / "p001_001.csv"
    again = tmp_path / "landmarks" / first.name
    assert again.read_bytes() == first.read_bytes()
    again.unlink()
    everyday.make(tmp_path, people=4, workers=1)
    assert again.read_bytes() == first.read_bytes()


def test_too_few_people_and_another_set_in_the_folder(made):
    with pytest.raises(GestaError, match="at least 3"):
        everyday.make(made, people=2)
    with pytest.raises(GestaError, match="other settings"):
        everyday.make(made, people=5)
