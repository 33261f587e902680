"""A tracker inside the pipeline of clips: plain RGB trains, predicts and streams on landmarks (by a stand-in)."""

from __future__ import annotations

import json

import numpy as np
import pytest
from clips.videos import moving_square, write_video

import gesta as package
from gesta.clips import tracker_spec, tracking
from gesta.clips.preprocess import preprocess
from gesta.clips.tracker_spec import TrackerSpec
from gesta.clips.transform import Transform
from gesta.schema import Frame, GestaError, Resource, Sample
from gesta.sources import catalog
from gesta.tasks.clips import offer
from gesta.trackers import BLAZEPOSE_JOINTS, Hand, Landmarks, Person, joint_names

pytestmark = pytest.mark.integration

FRAMES, FPS, SIZE = 16, 20, (48, 64)
SMALL = {"model.width": 0.1, "training.epochs": 15, "training.batch": 4, "training.validation": False}
SMALL |= {"training.learning_rate": 0.01}


class Stand:
    """Finds a body around the bright square of `moving_square`, and nothing in the dark."""

    steps = made = 0

    def __init__(self, what="pose", mask=False, **_):
        Stand.made += 1
        self.what, self.mask, self.joints, self.sha256 = what, mask, joint_names(what), identity(what, mask=mask)

    def reset(self):
        self.place = None

    def step(self, rgb, time_s):
        Stand.steps += 1
        bright = np.argwhere(rgb[..., 0] > 150)
        if not len(bright):
            return Landmarks(time_s, rgb.shape[:2])
        v, u = bright.mean(0)
        body = np.array([[u, v, 0]], np.float32) + np.linspace(-9, 9, 33, dtype=np.float32)[:, None] * [[0.5, 1, 0]]
        mask = np.zeros(rgb.shape[:2], bool)
        mask[:, int(u) :] = True
        seen = np.full(33, 0.9, np.float32)
        person = Person(body.astype(np.float32), seen, 0.9, mask if self.mask else None)
        hands = (Hand(np.full((21, 3), u, np.float32), 0.7, "right"),)
        return Landmarks(time_s, rgb.shape[:2], hands, person)


def identity(what, *, mask=False, **_):
    return f"{what}-{mask}"


@pytest.fixture(autouse=True)
def _stand_in(monkeypatch):
    tracking._idle.clear()
    offer._probed.cache_clear()
    monkeypatch.setattr(tracking, "Tracker", Stand)
    monkeypatch.setattr(offer, "Tracker", Stand)
    monkeypatch.setattr(tracker_spec, "identity", identity)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Folders of two classes with six videos each: a square that goes to the right, and one that stays."""
    root = tmp_path_factory.mktemp("tracked") / "data"
    for label, step in (("goes", 2), ("stays", 0)):
        (root / label).mkdir(parents=True)
        for i in range(6):
            frames = [np.roll(image, i, axis=1) for image in moving_square(FRAMES, *SIZE, 12, step)]
            write_video(root / label / f"{i}.mkv", frames, fps=FPS)
    return root


def spec(what="pose", **more) -> TrackerSpec:
    return TrackerSpec(what=what, sha256=identity(what, **more), **more)


def test_plain_videos_train_predict_and_stream_on_landmarks(data, gesta, tmp_path):
    sets = {**SMALL, "input.tracker": "pose", "input.skeleton.origin": "first"}
    model = package.load(package.train(data, recipe="dd-net", out=tmp_path / "run", **sets).bundle)
    transform = model.manifest.transform
    assert (transform.tracker.sha256, transform.skeleton.joints) == ("pose-False", BLAZEPOSE_JOINTS)
    assert (transform.skeleton.dimensions, transform.needs) == (2, ("color",))
    assert any("does not contain it" in note for note in model.manifest.notes)
    sample = next(s for s in catalog.read(data).samples if s.label == "goes")
    whole = model.predict(sample)
    assert whole.label == "goes"
    *_, last = model.stream(sample)
    assert np.allclose(list(last.probabilities.values()), list(whole.probabilities.values()), atol=1e-5)
    for _ in range(2):
        steps = Stand.steps
        measured = gesta("evaluate", tmp_path / "run" / "bundle", data, "--split", "all", "--json")
        assert json.loads(measured.stdout)["accuracy"] > 0.7
    assert Stand.steps == steps, "the cache holds landmarks"
    stream = model.open_stream()
    images = moving_square(FRAMES, *SIZE, 12)
    found = [one for i, image in enumerate(images) for one in stream.push(image, i / FPS)] + stream.finish()
    assert len(found) == FRAMES / 4


def test_landmarks_are_pixels_with_y_upwards_and_serve_crops_and_mask(tmp_path):
    path = write_video(tmp_path / "a.mkv", moving_square(4, *SIZE, 12, 4), fps=FPS)
    sample = Sample(id="a", recording="a", color=Resource(path))
    plain = {"fps": FPS, "size": 16, "smooth": False, "hand_rule": "so_far"}
    space = {"joints": BLAZEPOSE_JOINTS, "dimensions": 2, "origin": "none", "scale": "none"}
    alone = Transform(**plain, streams=("skeleton",), channels=(), body="frame", tracker=spec(), skeleton=space)
    joints = preprocess(sample, alone).pixels
    assert joints.shape == (4, 33, 2)
    assert np.allclose(joints[:, 16].mean(axis=0), [13.5 + 6, -43.5], atol=1)
    assert np.allclose(np.diff(joints[:, :, 0], axis=0), 4, atol=0.6)
    crops = Transform(**plain, streams=("body", "hand"), channels=("gray",), tracker=spec(mask=True))
    pixels = preprocess(sample, crops).pixels
    assert pixels[:, 0].any() and pixels[:, 1].any()
    unmasked = preprocess(sample, crops.model_copy(update={"mask": False})).pixels
    assert (pixels == 0).sum() > (unmasked == 0).sum()


def test_each_recording_has_a_tracker_of_its_own_and_trackers_are_used_again(tmp_path):
    path = write_video(tmp_path / "a.mkv", moving_square(4, *SIZE, 12), fps=FPS)
    sample = Sample(id="a", recording="a", color=Resource(path))
    space = {"joints": BLAZEPOSE_JOINTS, "dimensions": 2}
    plain = {"streams": ("skeleton",), "channels": (), "body": "frame"}
    transform = Transform(fps=FPS, **plain, tracker=spec(), skeleton=space)
    made = Stand.made
    for _ in range(3):
        preprocess(sample, transform)
    assert Stand.made == made + 1


def test_what_cannot_be_tracked_is_told(tmp_path, data, monkeypatch):
    space = {"joints": BLAZEPOSE_JOINTS, "dimensions": 2}
    plain = {"fps": FPS, "streams": ("skeleton",), "channels": (), "body": "frame", "skeleton": space}
    dark = write_video(tmp_path / "dark.mkv", [np.full((*SIZE, 3), 20, np.uint8)] * 4, fps=FPS)
    with pytest.raises(GestaError, match="finds nobody in any of the 4 frames"):
        preprocess(Sample(id="a", recording="a", color=Resource(dark)), Transform(**plain, tracker=spec()))
    other = Transform(**plain, tracker=TrackerSpec(what="pose", sha256="another"))
    with pytest.raises(GestaError, match=r"with another tracker.*gesta fetch trackers"):
        preprocess(catalog.read(data).samples[0], other)
    with pytest.raises(GestaError, match="in color images, but the frames have none"):
        tracking.FrameTracker(spec())(tracking.RawFrame(0.0))
    monkeypatch.undo()
    monkeypatch.setenv("GESTA_DATA", str(tmp_path))
    with pytest.raises(GestaError, match="gesta fetch trackers"):
        package.train(data, recipe="dd-net", out=tmp_path / "run", **SMALL, **{"input.tracker": "pose"})


def test_frames_with_landmarks_are_not_tracked():
    frame = tracking.RawFrame(0.0, joints=np.zeros((33, 2), np.float32))
    assert tracking.FrameTracker(spec())(frame) is frame
    assert Frame(0.0, joints=frame.joints).color is None


def test_auto_offers_a_tracker_and_says_what_it_found(data):
    from gesta.tasks.catalog import load_recipe

    samples = catalog.read(data).samples
    (note,) = offer.offer(samples, load_recipe("auto", []))
    assert "a person in 100% and a hand in 100% of 10 frames" in note and "input.tracker=both" in note
    assert offer.offer(samples, load_recipe("dd-net", [])) == []
