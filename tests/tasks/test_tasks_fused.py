"""Pixels and skeletons in one model: trained, measured, predicted from both or from either, streamed, exported."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from clips.videos import moving_square, write_video

import gesta as package
from gesta.clips.fused_frames import JoinedSkeletons
from gesta.clips.plane import RawFrame
from gesta.clips.preprocess import preprocess
from gesta.clips.sampling import feed
from gesta.clips.skeleton_augment import SkeletonAugmentation
from gesta.clips.skeleton_space import SkeletonSpace
from gesta.clips.transform import Transform
from gesta.models.catalog import FUSIONS
from gesta.recipes import RecipeError
from gesta.schema import Clip, Frame, Resource, Sample
from gesta.sources import catalog
from gesta.tasks.catalog import load_recipe
from gesta.tasks.clips.data import ClipSet
from gesta.tasks.clips.network import as_input, fresh
from gesta.tasks.clips.recipe import AugmentationSettings

pytestmark = pytest.mark.integration

JOINTS = ("HipCenter", "ShoulderCenter", "Head", "HandLeft", "HandRight")
FPS, FRAMES = 20, 16
SMALL = {"input.size": 16, "model.width": 0.05, "model.skeleton.width": 0.1, "training.epochs": 12}
SMALL |= {"training.batch": 4, "training.validation": False, "training.learning_rate": 0.01}


def wave(side: str, seed: int, frames: int = FRAMES) -> np.ndarray:
    """T J 3: a person of whom one hand goes up and down."""
    rng = np.random.default_rng(seed)
    body = np.array([[0, 0, 2], [0, 0.5, 2], [0, 0.7, 2], [-0.3, 0.1, 2], [0.3, 0.1, 2]], np.float32)
    clip = np.repeat(body[None], frames, 0) + rng.normal(0, 0.005, (frames, 5, 3))
    clip[:, JOINTS.index(f"Hand{side}"), 1] += 0.5 * np.sin(np.arange(frames) / 3) ** 2
    return clip.astype(np.float32)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Six videos with skeletons of each of two classes: a square that goes, or stays, and a hand. Not to be changed."""
    root = tmp_path_factory.mktemp("fused") / "data"
    root.mkdir()
    rows = ["path,skeleton,label"]
    for side, step in (("Left", 2), ("Right", 0)):
        for i in range(6):
            name = f"{side}{i}"
            write_video(root / f"{name}.mkv", moving_square(FRAMES, 48, 64, 12, step), fps=FPS)
            np.save(root / f"{name}.npy", wave(side, i))
            rows.append(f"{name}.mkv,{name}.npy,{side.lower()}")
    (root / "index.csv").write_text("\n".join(rows))
    (root / "joints.txt").write_text("\n".join(JOINTS))
    return root


@pytest.fixture(scope="module")
def bundles(data, tmp_path_factory):
    """A bundle that sees clips whole, and one with a step."""
    made = {}
    for name, more in (
        ("dd_net", {}),
        ("tcn", {"model.skeleton.embedding_dropout": None, "model.fusion": "attention"}),
    ):
        out = tmp_path_factory.mktemp("runs") / name
        sets = {**SMALL, "model.skeleton.name": name, **more}
        made[name] = package.train(data, recipe="fused", out=out, **sets).bundle
    return made


def without(sample: Sample, part: str) -> Sample:
    from dataclasses import replace

    return replace(sample, **{part: None})


@pytest.mark.parametrize("name", ["dd_net", "tcn"])
def test_one_bundle_answers_from_both_and_from_either(bundles, data, name):
    model = package.load(bundles[name])
    sample = next(s for s in catalog.read(data).samples if s.label == "left")
    both, pixels, skeleton = (model.predict(s) for s in (sample, without(sample, "skeleton"), without(sample, "color")))
    assert {one.label for one in (both, pixels, skeleton)} == {"left"}
    assert not any("alone" in note for note in both.notes)
    assert pixels.notes == ("No skeleton: the prediction is from the pixels alone.",)
    assert skeleton.notes == ("No pixels: the prediction is from the skeleton alone.",)


@pytest.mark.parametrize("name", ["dd_net", "tcn"])
def test_a_stream_ends_with_the_prediction_of_the_whole_clip(bundles, data, name):
    model = package.load(bundles[name])
    sample = catalog.read(data).samples[0]
    for given in (sample, without(sample, "skeleton"), without(sample, "color")):
        whole = model.predict(given).probabilities
        *_, last = model.stream(given)
        assert np.allclose(list(last.probabilities.values()), list(whole.values()), atol=1e-5)
    pushed = model.open_stream()
    found = []
    for i, (image, joints) in enumerate(zip(moving_square(FRAMES, 48, 64, 12), wave("Left", 0), strict=True)):
        found += pushed.push(Frame(i / FPS, color=image, joints=joints))
    assert len(found + pushed.finish()) == 4


def test_commands_say_what_is_missing(bundles, data, gesta, tmp_path):
    video, skeleton = data / "Left0.mkv", data / "Left0.npy"
    both = gesta("predict", bundles["dd_net"], video, "--skeleton", skeleton, "--json")
    bare = gesta("predict", bundles["dd_net"], video, "--json")
    assert (both.exit_code, bare.exit_code) == (0, 0)
    assert "from the pixels alone" in json.loads(bare.stdout)["notes"][0]
    assert "notes" not in json.loads(both.stdout) or "alone" not in str(json.loads(both.stdout)["notes"])
    rows = (data / "index.csv").read_text().splitlines()
    for path in data.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "index.csv").unlink()
    plain = "\n".join(",".join([line.split(",")[0], line.split(",")[2]]) for line in rows)
    (tmp_path / "index.csv").write_text(plain)
    measured = gesta("evaluate", bundles["dd_net"], tmp_path, "--split", "all", "--out", tmp_path / "report", "--json")
    assert json.loads(measured.stdout)["withheld"] == {"skeleton": 12}
    assert "skeleton is missing in 12" in " ".join((tmp_path / "report" / "report.html").read_text().split())


def test_an_export_has_an_input_that_says_what_is_there(bundles):
    bundle = package.load(bundles["tcn"]).manifest
    inputs = {artifact.role: [tensor.name for tensor in artifact.inputs] for artifact in bundle.artifacts}
    assert inputs["whole"] == ["clip", "skeleton", "present", "lengths"]
    assert inputs["step"][:3] == ["chunk", "skeleton", "present"]


def records(frames: int = 6) -> tuple[Transform, np.ndarray]:
    transform = Transform(
        fps=10,
        size=16,
        streams=("body", "skeleton"),
        channels=("gray",),
        body="frame",
        sampling="whole",
        skeleton=SkeletonSpace(joints=JOINTS),
    )
    clip = transform.empty(frames)
    clip["pixels"][:, 0, :, :8] = 200
    clip["skeleton"] = wave("Left", 0, frames)
    return transform, clip


def test_the_mask_tells_frames_with_pixels_and_with_a_skeleton():
    _, clip = records()
    clip["skeleton"][:2] = np.nan
    clip["pixels"][4] = 0
    inputs, lengths = feed([clip, clip[:3]], 4)
    assert {name: array.shape for name, array in inputs.items()} == {
        "clip": (2, 1, 1, 8, 16, 16),
        "skeleton": (2, 8, 5, 4),
        "present": (2, 8, 2),
    }
    assert inputs["present"][0].tolist() == [[1, 0], [1, 0], [1, 1], [1, 1], [0, 1], [1, 1], [0, 0], [0, 0]]
    assert lengths.tolist() == [6, 3]


@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_missing_part_does_not_change_the_answer(fusion):
    transform, clip = records()
    torch.manual_seed(0)
    model = {"name": "cnn3d_lstm", "width": 0.05, "fusion": fusion, "skeleton": {"name": "dd_net", "width": 0.1}}
    network = fresh(model, transform, 3).eval()
    given, lengths = as_input([clip], transform, "cpu")
    with torch.no_grad():
        both = network(given, lengths)
        for part in range(2):
            left = given._replace(present=given.present * torch.tensor([1.0 - part, float(part)]))
            noise = torch.randn_like(given.skeleton) if part == 0 else 255 - given.pixels
            other = left._replace(**{("skeleton", "pixels")[part]: noise})
            assert torch.allclose(network(left, lengths), network(other, lengths), atol=1e-6)
            assert not torch.allclose(network(left, lengths), both, atol=1e-4)


class Store:
    def __init__(self, clip: np.ndarray) -> None:
        self.clip = clip

    def load(self, sample: Sample, transform: Transform) -> Clip:  # noqa: ARG002
        return Clip(self.clip, sample.label)


def test_a_mirror_flips_pixels_and_swaps_the_joints_of_both_sides():
    transform, clip = records()
    still = {"rotation_deg": 0, "shift_px": 0, "zoom_in_px": 0, "skeleton": None, "modality_dropout": 0.3}
    sample = Sample(id="a", recording="a", color=Resource(Path("a")), label="left")
    clips = ClipSet([sample], ["left"], transform, Store(clip), AugmentationSettings(**still, flip=1.0))
    item = clips[0]
    assert item.theta is not None and np.allclose(item.theta[:, :2], [[-1, 0], [0, 1]])
    left, right = JOINTS.index("HandLeft"), JOINTS.index("HandRight")
    expected = clip["skeleton"][:, left] * [-1, 1, 1]
    assert np.allclose(item.pixels["skeleton"][:, right], expected)
    assert not np.allclose(clip["skeleton"][:, right], expected), "the cached clip stays"


def test_skeletons_are_joined_to_frames_by_time(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(1, 5, dtype=np.float32)[:, None, None] + np.zeros((4, 5, 3), np.float32))
    skeleton = Resource(tmp_path / "a.npy", fps=10.0)
    sample = Sample(id="a", recording="a", skeleton=skeleton, joints=JOINTS)
    joined = JoinedSkeletons(sample, SkeletonSpace(joints=JOINTS))
    found = [joined.on(RawFrame(time_s)).joints for time_s in (0.0, 0.09, 0.1, 0.35, 0.6)]
    assert [None if joints is None else joints[0, 0] for joints in found] == [1, 1, 2, 4, None]


def test_crops_by_a_skeleton_follow_motion_where_it_is_missing(data):
    transform = Transform(
        fps=FPS,
        size=16,
        streams=("body", "hand", "skeleton"),
        channels=("gray",),
        sampling="whole",
        skeleton=SkeletonSpace(joints=JOINTS),
    )
    sample = Sample(id="a", recording="a", color=Resource(data / "Left0.mkv"))
    pixels = preprocess(sample, transform).pixels["pixels"]
    assert pixels[:, 0].any() and not pixels[:, 1].any()


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        (["model.fusion=null"], "must be set together"),
        (["input.streams=[body]"], "must be set together"),
        (["augmentation.skeleton.speed=0.1"], "apply to both"),
        (["model.skeleton.topology=fixed"], "st_gcn, not for dd_net"),
        (["model.fusion=score"], "end with flow"),
    ],
)
def test_recipes_that_do_not_fit_are_refused(sets, words):
    with pytest.raises(RecipeError, match=words):
        load_recipe("fused", sets)


def test_augmentation_of_joints_keeps_the_frames_of_the_pixels():
    recipe = load_recipe("fused", [])
    assert recipe.augmentation.skeleton == SkeletonAugmentation(speed=0.0)
