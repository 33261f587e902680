"""Models of whole videos, live: a segment that motion or a key opens and closes is one event."""

import io
import time
from types import SimpleNamespace

import numpy as np
import pytest

from gesta.clips.motion_gate import MotionGate
from gesta.live.keys import KeyGate
from gesta.tasks.features.follow import MOST_FRAMES, SegmentFollower

BACKBONE = SimpleNamespace(size=8, letterbox=False)


class Model:
    """Says "wave" of every video, and keeps how many frames it saw."""

    manifest = SimpleNamespace(backbone=BACKBONE)

    def __init__(self, confidence=0.9):
        self.confidence, self.lengths = confidence, []

    def predict(self, video):
        self.lengths.append(len(video))
        return SimpleNamespace(label="wave", confidence=self.confidence, probabilities={"wave": self.confidence})


def image(moved):
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[10:30, moved : moved + 10] = 200
    return picture


def images(moving):
    """At 10 frames/s: still but where `moving` says so."""
    place = 0
    for n in range(60):
        place = (place + 5) % 40 if moving(n / 10) else place
        yield image(place), n / 10


def test_motion_opens_and_stillness_closes_a_segment():
    model = Model()
    follower = SegmentFollower(model)
    found = [e for value, time_s in images(lambda t: 1 <= t < 3) for e in follower.push(value, time_s)]
    assert [e.label for e in found] == ["wave"]
    assert found[0].start_s == pytest.approx(1.0, abs=0.11)
    assert found[0].end_s == pytest.approx(3.4, abs=0.21)
    assert found[0].decided_s <= 3.6
    assert follower.finish() == []


def test_short_motion_and_unsure_answers_are_no_events():
    gate = MotionGate(still_s=0.15)
    short = SegmentFollower(Model(), gate=gate)
    assert [e for v, t in images(lambda t: 1 <= t < 1.1) for e in short.push(v, t)] == []
    unsure = SegmentFollower(Model(0.3))
    assert [e for v, t in images(lambda t: 1 <= t < 3) for e in unsure.push(v, t)] == []


def test_a_long_segment_is_thinned_out():
    model = Model()
    follower = SegmentFollower(model, gate=lambda _image, _time: True)
    for n in range(3 * MOST_FRAMES):
        follower.push(image(0), n / 30)
    assert len(follower.finish()) == 1
    assert MOST_FRAMES / 2 <= model.lengths[0] <= MOST_FRAMES


def test_enter_opens_and_closes():
    gate = KeyGate(io.StringIO("\n"))
    for _ in range(100):
        if gate(None, 0.0):
            break
        time.sleep(0.01)
    assert gate(None, 0.0)
