"""Skeletons as the input of clips, without any video: trained, predicted, streamed; bad ones by name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from calls import run_of

import gesta as package
from gesta.clips.preprocess import preprocess
from gesta.clips.sampling import to_network
from gesta.clips.skeleton_space import SkeletonSpace
from gesta.clips.transform import Transform
from gesta.schema import Frame, GestaError, Resource, Sample
from gesta.sources import catalog
from gesta.sources.inputs import find

pytestmark = pytest.mark.integration

JOINTS = ("HipCenter", "ShoulderCenter", "Head", "HandLeft", "HandRight")
FRAMES = 24


def wave(side: str, seed: int, frames: int = FRAMES) -> np.ndarray:
    """T J 3: a person of whom one hand goes up and down."""
    rng = np.random.default_rng(seed)
    body = np.array([[0, 0, 2], [0, 0.5, 2], [0, 0.7, 2], [-0.3, 0.1, 2], [0.3, 0.1, 2]], np.float32)
    clip = np.repeat(body[None], frames, 0) * rng.uniform(0.9, 1.1) + rng.normal(0, 0.005, (frames, 5, 3))
    clip[:, JOINTS.index(f"Hand{side}"), 1] += 0.5 * np.sin(np.arange(frames) / 3) ** 2
    return clip.astype(np.float32)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Folders of classes with eight `.npy` each, and joints.txt. Not to be changed."""
    root = tmp_path_factory.mktemp("skeletons") / "data"
    for number, side in enumerate(("Left", "Right")):
        folder = root / side.lower()
        folder.mkdir(parents=True)
        for i in range(8):
            np.save(folder / f"{i}.npy", wave(side, 10 * number + i, FRAMES + i))
    (root / "joints.txt").write_text("\n".join(JOINTS))
    return root


@pytest.fixture(scope="module")
def bundles(data, tmp_path_factory):
    """A bundle of a network of whole clips, and of one with a step."""
    made = {}
    for name in ("dd-net", "skeleton-tcn"):
        out = tmp_path_factory.mktemp("runs") / name
        settings = {"epochs": 15, "batch": 4, "validation": False, "learning_rate": 0.01}
        sets = {"model.width": 0.1, **{f"training.{key}": value for key, value in settings.items()}}
        sets |= {"baselines": False} if name == "dd-net" else {}
        made[name] = package.train(data, recipe=name, out=out, **sets).bundle
    return made


def test_folders_of_skeletons_train_and_predict(bundles, data, gesta):
    listing = catalog.read(data)
    assert (listing.layout, len(listing.samples), listing.labels) == ("class_folders", 16, ("left", "right"))
    answer = gesta("predict", bundles["skeleton-tcn"], data / "left" / "0.npy", "--json")
    assert answer.exit_code == 0 and json.loads(answer.stdout)["label"] == "left"
    measured = gesta("evaluate", bundles["dd-net"], data, "--split", "all", "--json")
    assert json.loads(measured.stdout)["accuracy"] > 0.7


@pytest.mark.parametrize("name", ["dd-net", "skeleton-tcn"])
def test_a_stream_ends_with_the_prediction_of_the_whole_clip(bundles, data, name):
    model = package.load(bundles[name])
    path = data / "right" / "3.npy"
    values = np.load(path)
    values[5:9, 4] = np.nan  # a hand that is lost for a while
    whole = model.predict(find(path).samples[0]).probabilities
    *_, last = model.stream(path)
    assert np.allclose(list(last.probabilities.values()), list(whole.values()), atol=1e-5)
    pushed = model.open_stream()
    frames = [Frame(i / 30, joints=values[i]) for i in range(len(values))]
    found = [one for frame in frames for one in pushed.push(frame)] + pushed.finish()
    assert len(found) == (len(values) if name == "skeleton-tcn" else -(-len(values) // 4))


def test_what_the_manifest_says_is_what_a_network_sees(bundles):
    transform = package.load(bundles["skeleton-tcn"]).manifest.transform
    assert transform.skeleton.joints == JOINTS and (transform.sampling, transform.chunk) == ("chunks", 1)
    assert transform.needs == ("skeleton",)
    clip = np.full((3, 5, 3), np.nan, np.float32)
    clip[1, 2] = 7
    batch, lengths = to_network([clip, clip[:2]], 1)
    assert (batch.shape, batch.dtype, lengths.tolist()) == ((2, 3, 5, 4), np.float32, [3, 2])
    assert batch[0, 1, 2].tolist() == [7, 7, 7, 1] and batch.sum() == 2 * 22


def test_preprocessing_looks_back_only(tmp_path):
    np.save(tmp_path / "a.npy", wave("Left", 0, 40))
    np.save(tmp_path / "b.npy", wave("Left", 0, 40)[:20])
    transform = Transform(
        fps=30,
        streams=("skeleton",),
        channels=(),
        body="frame",
        chunk=1,
        skeleton=SkeletonSpace(joints=JOINTS),
    )
    long, short = (
        preprocess(Sample(id=n, recording=n, skeleton=Resource(tmp_path / f"{n}.npy"), joints=JOINTS), transform)
        for n in ("a", "b")
    )
    assert (len(long.pixels), len(short.pixels)) == (40, 20)
    assert np.array_equal(long.pixels[:20], short.pixels)


def test_a_transform_of_pixels_is_written_as_before():
    assert "skeleton" not in Transform(fps=10).model_dump()
    with pytest.raises(ValueError, match="if, and only if"):
        Transform(fps=10, streams=("skeleton",), channels=())
    with pytest.raises(ValueError, match="none for skeleton alone"):
        Transform(fps=10, streams=("skeleton",), skeleton=SkeletonSpace(joints=JOINTS))
    with pytest.raises(ValueError, match="need sampling chunks or whole"):
        Transform(fps=10, streams=("body", "skeleton"), sampling="central", skeleton=SkeletonSpace(joints=JOINTS))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.full((9, 5, 3), np.nan), "nobody is tracked in any of its 9 frames"),
        (np.zeros((0, 5, 3)), "contains no frames"),
        (np.ones((9, 4, 3)), "it has 4 joints, but 5 are named"),
        (np.ones((9, 5, 2)), "its joints are 2-D, but the model takes 3-D ones"),
        (np.ones((9, 5)), r"its shape is \(9, 5\)"),
    ],
)
def test_bad_skeletons_are_told_by_name(bundles, tmp_path, values, words):
    path = tmp_path / "odd.npy"
    np.save(path, values.astype(np.float32))
    with pytest.raises(GestaError, match=rf"odd\.npy: .*{words}"):
        package.load(bundles["skeleton-tcn"]).predict(path)


def test_another_joint_set_is_told_by_name(bundles, tmp_path, gesta):
    rows = [f"{f},{j},0.{j},0.5,0.1,1" for f in range(5) for j in range(21)]
    (tmp_path / "hand.csv").write_text("\n".join(["frame,landmark,x,y,z,visibility", *rows]))
    answer = gesta("predict", bundles["skeleton-tcn"], tmp_path / "hand.csv")
    assert answer.exit_code == 1
    assert "hand.csv: it has 21 joints of hand (wrist, thumb_cmc, ...), but the model takes 5" in answer.stderr


def test_a_bare_video_is_told_what_to_give(bundles, data, tmp_path, gesta):
    (tmp_path / "a.mp4").touch()
    bare = gesta("predict", bundles["skeleton-tcn"], tmp_path / "a.mp4")
    assert bare.exit_code == 1
    assert "Give a file of skeletons (--skeleton FILE; `gesta track` finds one in plain video)" in bare.stderr
    several = gesta("predict", bundles["skeleton-tcn"], data, "--skeleton", data / "left" / "0.npy")
    assert several.exit_code == 2 and "are for one recording" in several.stderr


def test_one_odd_file_of_a_set_is_listed_and_left_out(data, tmp_path, gesta):
    rows = ["path,label,fps"]
    for side in ("left", "right"):
        for i in range(4):
            np.save(tmp_path / f"{side}{i}.npy", np.load(data / side / f"{i}.npy"))
            rows.append(f"{side}{i}.npy,{side},25")
    np.save(tmp_path / "lost.npy", np.full((9, 5, 3), np.nan, np.float32))
    (tmp_path / "index.csv").write_text("\n".join([*rows, "lost.npy,left,25", "gone.npy,left,25"]))
    (tmp_path / "joints.txt").write_text("\n".join(JOINTS))
    report = json.loads(gesta("data", "inspect", tmp_path, "--json").stdout)
    assert report["frame_rates"] == {"25": 8} and report["usable"] == 8
    assert {p["kind"] for p in report["problems"]} >= {"missing-file", "skeleton-all-zero"}
    small = ("--set", "model.width=0.1", "--set", "training.epochs=1", "--set", "training.validation=false")
    trained = gesta("train", tmp_path, "--recipe", "dd-net", "--out", tmp_path / "run", *small)
    assert trained.exit_code == 0
    assert "lost.npy: nobody is tracked in any of its 9 frames" in trained.stderr + " ".join(trained.stdout.split())


def test_names_of_ntu_and_msr_tell_class_and_person(tmp_path):
    for name in ("S001C002P003R002A013.skeleton", "a01_s02_e03_skeleton3D.txt", "notes.txt"):
        (tmp_path / name).write_text("")
    listing = catalog.read(tmp_path)
    assert listing.layout == "skeletons"
    assert [(s.label, s.subject) for s in listing.samples] == [("A013", "P003"), ("a01", "s02")]
    assert [p.path for p in listing.problems] == [str(tmp_path / "notes.txt")]


def test_a_recipe_of_skeletons_wants_skeletons_and_their_networks():
    from gesta.tasks.catalog import load_recipe
    from gesta.tasks.clips.fit import fit

    for sets in (["input.streams=[body]"], ["model.name=joint"]):
        with pytest.raises(GestaError, match=r"do not fit|embedding_dropout is for"):
            load_recipe("dd-net", sets)
    videos = [
        Sample(f"v{i}", f"v{i}", color=Resource(Path(f"v{i}.mp4")), label=f"c{i % 2}", split="train") for i in range(4)
    ]
    with pytest.raises(GestaError, match="0% of the clips have one"):
        fit(videos, load_recipe("skeleton-tcn"), run_of(None, {}), layout="x")


@pytest.mark.slow
def test_a_graph_network_from_training_to_export_and_folds(tmp_path, gesta):
    from gesta.schema import KINECT_JOINTS

    rng, rows = np.random.default_rng(0), ["path,label,subject"]
    still = rng.normal(0, 1, (20, 3))
    for number in range(16):
        side = ("Left", "Right")[number % 2]
        clip = np.repeat(still[None], FRAMES, 0) + rng.normal(0, 0.01, (FRAMES, 20, 3))
        clip[:, KINECT_JOINTS.index(f"Hand{side}"), 1] += np.sin(np.arange(FRAMES) / 3)
        np.save(tmp_path / f"{number}.npy", clip.astype(np.float32))
        rows.append(f"{number}.npy,{side.lower()},{number // 4}")
    (tmp_path / "index.csv").write_text("\n".join(rows))
    (tmp_path / "joints.txt").write_text("\n".join(KINECT_JOINTS))
    small = ["--set", "model.width=0.25", "--set", "training.validation=false"]
    small += ["--set", "training.learning_rate=0.01", "--set", "training.batch=4", "--recipe", "st-gcn"]
    trained = gesta("train", tmp_path, "--out", tmp_path / "run", *small, "--set", "training.epochs=30")
    assert trained.exit_code == 0, trained.stderr
    bundle = tmp_path / "run" / "bundle"
    exported = gesta("export", bundle, "--to", "onnx", "--out", tmp_path / "onnx", "--json")
    assert exported.exit_code == 0, exported.stderr
    answer = gesta("predict", tmp_path / "onnx", tmp_path / "0.npy", "--json")
    assert json.loads(answer.stdout)["label"] == "left"
    small += ["--by", 2, "--workers", 1, "--out", tmp_path / "folds", "--set", "training.epochs=1", "--json"]
    folds = gesta("crossval", tmp_path, *small)
    assert folds.exit_code == 0, folds.stderr
    assert json.loads(folds.stdout)["n"] == 16
