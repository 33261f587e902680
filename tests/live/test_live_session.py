"""The newest frame wins, broken sources are opened again, and what a session tells is what it did."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from live.scripted import Script, write_video

from gesta.decoder import GestureEvent
from gesta.live import newest
from gesta.live.newest import WAITING, Newest
from gesta.live.session import Summary, session
from gesta.live.sources import Played, Video
from gesta.schema import GestaError


def values(times):
    return [(np.array([time_s]), time_s) for time_s in times]


class Counting:
    """An event for every frame whose time is a whole number; what goes on at the end is one, too."""

    takes = "rgb"

    def __init__(self):
        self.seen, self.finished = [], 0

    def push(self, value, time_s):
        self.seen.append(float(value[0]))
        return [GestureEvent("beat", time_s, time_s, 1.0, time_s)] if time_s == int(time_s) else []

    def finish(self):
        self.finished += 1
        return [GestureEvent("end", 0.0, 0.0, 1.0, 0.0)]


class Gate(Script):
    """Holds the last frame back until all others have waited to be seen."""

    def __init__(self, frames):
        super().__init__(frames)
        self.done = threading.Event()

    def take(self):
        found = super().take()
        if found is None:
            self.done.set()
        return found


def test_only_the_newest_frames_wait():
    source = Gate(values(range(10)))
    with Newest(source) as frames:
        assert source.done.wait(5)
        found = [frame.time_s for frame in frames]
    assert found == [8, 9]
    assert WAITING == 2
    assert (frames.taken, frames.dropped) == (10, 8)
    assert frames.dropped_share == pytest.approx(0.8)
    assert source.closed == 1


def test_a_source_that_breaks_is_opened_again(monkeypatch):
    monkeypatch.setattr(newest, "PAUSES_S", (0.0, 0.05))
    source = Script([*values([0, 1]), None, *values([2])], lasting=True, refuse=2)
    found = []
    with Newest(source) as frames:
        for frame in frames:
            found.append((frame.time_s, frame.connection))
            if frame.time_s == 2:
                break
    assert found[-1] == (2, 1)
    assert source.opened >= 4
    assert frames.connections == 1


def test_a_session_ends_what_went_on_before_a_break(monkeypatch):
    monkeypatch.setattr(newest, "PAUSES_S", (0.0, 0.05))
    source, follower, summary = Script([*values([0.5]), None, *values([7.0])], lasting=True), Counting(), Summary()
    events = []
    for event in session(source, follower, summary):
        events.append(event.label)
        if event.label == "beat":
            break
    assert events == ["end", "beat"]
    assert summary.reconnected == 1


def test_the_summary_counts_what_was_done():
    follower, summary, seen = Counting(), Summary(), []
    times = [0.0, 0.01]  # both can wait, however slow the machine
    events = list(
        session(Played(values(times)), follower, summary, watch=lambda v, e: seen.append((float(v[0]), len(e))))
    )
    assert [event.label for event in events] == ["beat", "end"]
    assert summary.frames == len(follower.seen) == len(seen)
    assert summary.events == 2
    assert summary.taken == 2
    assert summary.document["latency_p50_ms"] <= summary.document["latency_p95_ms"]
    assert "2 events" in summary.line


def test_a_session_without_frames():
    summary = Summary()
    assert [event.label for event in session(Script([]), Counting(), summary)] == ["end"]
    assert summary.document["latency_p50_ms"] is None
    assert "no frame was processed" in summary.line


def test_an_error_of_the_source_reaches_the_caller():
    class Broken(Script):
        def take(self):
            raise GestaError("the cable is loose")

    with pytest.raises(GestaError, match="cable"):
        list(session(Broken([]), Counting(), Summary()))


def test_a_file_is_played_at_its_own_speed(tmp_path):
    video = Video(str(write_video(tmp_path / "a.mp4", frames=5, fps=20)))
    video.open()
    found = []
    while (taken := video.take()) is not None:
        found.append(taken)
    video.close()
    assert [round(time_s, 2) for _, time_s in found] == [0.0, 0.05, 0.1, 0.15, 0.2]
    assert found[0][0].shape == (48, 64, 3)
    assert abs(int(found[0][0][40, 60, 0]) - 120) < 12


def test_no_such_file_or_camera(tmp_path):
    with pytest.raises(GestaError, match="no such video"):
        Video(str(tmp_path / "gone.mp4"))
    with pytest.raises(GestaError, match="no such video"):
        Video("9" * 20)
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    with pytest.raises(GestaError, match="no video can be opened"):
        Video(str(tmp_path / "bad.mp4")).open()
