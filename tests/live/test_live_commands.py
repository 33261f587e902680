"""`gesta live` and `gesta record` with files in the place of a camera; commands for events; the preview's page."""

from __future__ import annotations

import csv
import json
import sys
import urllib.error
import urllib.request
from types import SimpleNamespace

import numpy as np
import pytest
from live.scripted import Script, write_video

from gesta.clips.decode import frame_times
from gesta.clips.skeleton_space import SkeletonSpace
from gesta.decoder import GestureEvent
from gesta.live import tracked as tracked_module
from gesta.live.actions import Actions, parsed
from gesta.live.preview import Preview
from gesta.live.recorder import take
from gesta.live.recording import Recorded
from gesta.live.tracked import TrackedFollower
from gesta.schema import GestaError, Prediction, Resource
from gesta.sources import catalog
from gesta.tasks.clips.follow import EventStream
from gesta.trackers import BLAZEPOSE_JOINTS

WAVE = GestureEvent("wave", 1.0, 2.0, 0.9, 2.1)


@pytest.mark.integration
def test_a_clip_model_follows_a_file(gesta, tmp_path):
    video = write_video(tmp_path / "a.mp4", frames=20)
    called = gesta("live", "demo", "--source", video, "--json", "--threshold", 0.05)
    assert called.exit_code == 0, called.stderr
    events = [json.loads(line) for line in called.stdout.splitlines()]
    assert all(event.keys() == {"label", "start_s", "end_s", "confidence", "decided_s"} for event in events)
    assert "latency" in called.stderr


@pytest.mark.parametrize(
    ("do", "reason"),
    [
        ("wave", "expected 'label=command words'"),
        ("no-such-label=true", "the model recognizes"),
        ("LABEL=no-such-program-anywhere", "there is no program"),
        ("LABEL='open", "Quote the command's words"),
    ],
)
def test_commands_that_cannot_be(do, reason):
    with pytest.raises(GestaError, match=reason):
        parsed([do.replace("LABEL", "wave")], ["wave", "clap"])


def test_a_command_that_cannot_run_does_not_end_the_session(tmp_path):
    (tmp_path / "text").write_text("no program")
    (tmp_path / "text").chmod(0o755)
    assert not Actions({"wave": (str(tmp_path / "text"),)}).run("wave")


def test_a_command_runs_without_a_shell(tmp_path):
    mark = tmp_path / "a b;c"
    script = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_text('x')"
    actions = Actions({"wave": (sys.executable, "-c", script, str(mark))})
    assert not actions.run("clap")
    assert actions.run("wave")
    actions._running[0].wait(timeout=60)
    assert mark.read_text() == "x"
    assert "'" in actions.lines[0]  # shown as it would be typed


def test_live_shows_its_commands_before(gesta, tmp_path):
    video = write_video(tmp_path / "a.mp4", frames=3)
    label = catalog_labels()[0]
    called = gesta("live", "demo", "--source", video, "--do", f"{label}={sys.executable} -c pass")
    assert called.exit_code == 0, called.stderr
    assert called.stderr.index(f"For {label}") < called.stderr.index("Watching")


def catalog_labels():
    from gesta.tasks.catalog import read_bundle

    return read_bundle("demo").manifest.labels


def test_the_preview_answers_its_own_address_only():
    with Preview() as page:
        page.show(np.zeros((4, 4, 3), np.uint8), [WAVE])
        assert b"gesta live" in read(page.address)
        assert json.loads(read(page.address + "events")) == ["wave 1.0 - 2.0 s, 0.90"]
        assert read(page.address + "picture").startswith(b"\xff\xd8")
        for request in (
            page.address + "else",
            urllib.request.Request(page.address, headers={"Host": "evil.example:1"}),
        ):
            with pytest.raises(urllib.error.HTTPError):
                urllib.request.urlopen(request, timeout=10)


def read(address):
    with urllib.request.urlopen(address, timeout=10) as answer:
        return answer.read()


def test_a_tracker_before_a_follower_of_skeletons():
    class Keeps:
        takes = "skeletons"

        def push(self, value, _time_s):
            self.seen = value
            return []

    points = np.arange(6, dtype=float).reshape(2, 3)
    follower = Keeps()
    space = SkeletonSpace(joints=("a", "b"), dimensions=2)
    TrackedFollower(follower, lambda _image, _time: (points, np.array([0.9, 0.0])), space).push(
        np.zeros((2, 2, 3)), 0.0
    )
    np.testing.assert_array_equal(follower.seen, [[0, 1], [np.nan, np.nan]])


def test_chunks_become_events():
    class Stream:
        def push(self, _value, time_s):
            sure = 0.9 if 1.0 <= time_s < 2.0 else 0.1
            return [Prediction("wave", {"none": 1 - sure, "wave": sure}, time_s)]

        def finish(self):
            return []

    manifest = SimpleNamespace(
        labels=("none", "wave"), decoder=None, chunk_s=0.1, transform=SimpleNamespace(decoded=True)
    )
    follower = EventStream(Stream(), manifest)
    found = [e for n in range(30) for e in follower.push(np.zeros(1), n / 10)] + follower.finish()
    assert [event.label for event in found] == ["wave"]
    assert found[0].start_s == pytest.approx(0.9)  # where the chunk that ends at 1.0 begins
    assert found[0].decided_s < 2.9


@pytest.mark.integration
def test_a_session_is_kept_on_request(gesta, tmp_path):
    video = write_video(tmp_path / "a.mp4", frames=20)
    kept = tmp_path / "kept"
    called = gesta("live", "demo", "--source", video, "--record", kept, "--threshold", 0.05)
    assert called.exit_code == 0, called.stderr
    (path,) = kept.glob("live_*.mp4")
    assert len(frame_times(Resource(path))) == 20
    events = called.stdout.splitlines()
    rows = list(csv.DictReader((kept / "index.csv").open())) if events else []
    assert [row["label"] for row in rows] == [line.split("  ")[-3] for line in events]
    assert all(row["path"] == path.name and float(row["start_s"]) < float(row["end_s"]) for row in rows)


@pytest.mark.integration
def test_record_writes_clips_and_an_index(gesta, tmp_path):
    video = write_video(tmp_path / "camera.mp4", frames=12)
    data = tmp_path / "data"
    common = ("--source", video, "--seconds", 0.4, "--countdown", 0, "--yes")
    called = gesta("record", data, "--label", "wave", "--subject", "anna", "--count", 2, *common, "--json")
    assert called.exit_code == 0, called.stderr
    assert [clip["frames"] for clip in json.loads(called.stdout)["clips"]] == [9, 9]
    assert gesta("record", data, "--label", "none", "--subject", "ben", "--count", 1, *common).exit_code == 0
    rows = list(csv.DictReader((data / "index.csv").open()))
    assert [(row["label"], row["subject"]) for row in rows] == [("wave", "anna"), ("wave", "anna"), ("none", "ben")]
    assert [sample.subject for sample in catalog.read(data).samples] == ["anna", "anna", "ben"]


@pytest.mark.parametrize(
    ("index", "code", "said"),
    [("", 0, ""), ("\n\n", 0, ""), ("file,class\na.mp4,x\n", 1, "has no columns path,label"), ("a\nb", 1, "")],
)
def test_an_index_is_looked_at_before_anything_is_filmed(gesta, tmp_path, index, code, said):
    video, data = write_video(tmp_path / "camera.mp4", frames=12), tmp_path / "data"
    data.mkdir()
    (data / "index.csv").write_text(index)
    called = gesta("record", data, "--label", "wave", "--subject", "anna", "--source", video, "--count", 1,
                   "--seconds", 0.3, "--countdown", 0, "--yes")  # fmt: skip
    assert (called.exit_code, said in called.stderr) == (code, True), called.stderr
    assert len(list(data.rglob("*.mp4"))) == (code == 0)


def test_a_recording_needs_a_folder_and_its_own_table(tmp_path):
    source = Script([])
    (tmp_path / "file").touch()
    with pytest.raises(GestaError, match=r"is a file\. Choose a folder for --record"):
        Recorded(source, tmp_path / "file")
    (tmp_path / "index.csv").write_text("path,label\n")
    with pytest.raises(GestaError, match="does not have the columns path,label,start_s,end_s"):
        Recorded(source, tmp_path)
    (tmp_path / "index.csv").write_text("")
    one = Recorded(source, tmp_path, "one")
    one.keep(WAVE)
    assert (tmp_path / "index.csv").read_text() == "path,label,start_s,end_s\none.mp4,wave,1.000,2.000\n"


def test_clips_that_lie_there_are_in_the_index(gesta, tmp_path):
    data = tmp_path / "data"
    write_video(data / "clap" / "old.mp4")
    video = write_video(tmp_path / "camera.mp4", frames=12)
    called = gesta("record", data, "--label", "wave", "--subject", "anna", "--source", video, "--count", 1,
                   "--seconds", 0.3, "--countdown", 0, "--yes")  # fmt: skip
    assert called.exit_code == 0, called.stderr
    rows = {row["path"]: row["label"] for row in csv.DictReader((data / "index.csv").open())}
    assert rows == {"clap/old.mp4": "clap", "wave/anna_wave_001.mp4": "wave"}


def test_the_times_are_those_of_the_frames(tmp_path):
    times = [0.0, 0.11, 0.19, 0.42, 0.6]
    source = Script([(np.full((48, 64, 3), 30, np.uint8), time_s) for time_s in times])
    one = take(source, tmp_path / "a.mp4", seconds=2)
    assert np.allclose(frame_times(Resource(one.path)), times, atol=1e-3)
    assert one.frames == 5
    assert [warning.split(" (")[0].split(":")[0] for warning in one.warnings] == [
        "the picture is dim",
        "the camera gave only 6.7 frames/s",
    ]


def test_too_few_frames_leave_nothing(tmp_path):
    with pytest.raises(GestaError, match="the camera gave only 1 of at least 4 frames"):
        take(Script([(np.zeros((48, 64, 3), np.uint8), 0.0)]), tmp_path / "a.mp4", seconds=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("label", ["../up", "", "a/b", ".hidden"])
def test_labels_that_are_no_folders(gesta, label, tmp_path):
    video = write_video(tmp_path / "camera.mp4")
    called = gesta("record", tmp_path / "data", "--label", label, "--subject", "anna", "--source", video)
    assert called.exit_code == 2
    assert "--label" in called.stderr


def test_a_model_of_some_of_a_trackers_joints_gets_those(monkeypatch):
    space = SkeletonSpace(joints=("RightWrist", "LeftShoulder"), dimensions=2)
    points = np.arange(33 * 3, dtype=float).reshape(33, 3)
    seen = SimpleNamespace(joints=lambda _what: (points, np.ones(33)))
    monkeypatch.setattr(tracked_module, "Tracker", lambda _what: SimpleNamespace(step=lambda _image, _time: seen))
    pushed = []
    follower = SimpleNamespace(push=lambda value, time_s: pushed.append((value, time_s)) or [])
    tracked_module.tracked(follower, space).push(np.zeros((4, 4, 3), np.uint8), 0.5)
    places = [BLAZEPOSE_JOINTS.index(name) for name in ("right_wrist", "left_shoulder")]
    assert np.array_equal(pushed[0][0], points[places, :2]) and pushed[0][1] == 0.5


def test_joints_that_no_tracker_finds_are_named():
    with pytest.raises(GestaError, match=r"tail, wing, .*no tracker finds"):
        tracked_module.tracked(SimpleNamespace(), SkeletonSpace(joints=("tail", "wing")))
