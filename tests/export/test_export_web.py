"""The page that runs a model in the browser: its modules compute what gesta computes."""

import json
import os
import shutil
import subprocess
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import pytest

from gesta import load
from gesta.clips import crops
from gesta.clips.preprocess import Preprocessor
from gesta.clips.skeleton_sets import BLAZEPOSE_JOINTS, HAND_JOINTS, TWO_HANDS_JOINTS
from gesta.clips.skeleton_space import Normalizer, SkeletonSpace
from gesta.clips.transform import Transform
from gesta.decoding import DecoderSpec, decode
from gesta.exporting.web import runtime, site
from gesta.schema import KINECT_JOINTS, Frame, GestaError
from gesta.tasks import catalog
from gesta.tasks.clips.standalone import example
from gesta.tasks.clips.web import _pixels, _timing
from gesta.tasks.web import mediapipe_places, space_document

pytestmark = pytest.mark.integration

BUNDLES = Path(__file__).parents[1] / "bundles_v1"
SOURCE = site.STATIC.with_name("source")
RUNNER = Path(__file__).with_name("web.mjs")
NODE = shutil.which("node")
TRANSFORMS = {
    "motion": Transform(
        fps=20, size=32, streams=("body",), channels=("gray", "gray_difference"), body="motion", box_smoothing=0.6
    ),
    "frame": Transform(
        fps=12.5, size=64, streams=("body",), channels=("red", "gray_difference", "blue"), body="frame", smooth=False
    ),
    "gain": Transform(
        fps=15,
        size=16,
        chunk=1,
        streams=("body",),
        channels=("gray_difference", "green"),
        body="motion",
        difference_gain=2.5,
    ),
}


def in_node(work, folder=site.STATIC, **given):
    """The answer of web.mjs; skips where there is no Node."""
    if NODE is None:
        pytest.skip("no node here")
    text = json.dumps({"work": work, "folder": str(folder), **given})
    done = subprocess.run([NODE, RUNNER], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def fetched():
    """Skips where onnxruntime-web has not been fetched."""
    try:
        return runtime.ONNXRUNTIME.located()
    except GestaError as error:
        pytest.skip(str(error))


def image(levels):
    return {"data": levels.ravel().tolist(), "height": levels.shape[0], "width": levels.shape[1]}


def rows(skeletons):
    return [[float(x) if np.isfinite(x) else None for x in frame.ravel()] for frame in skeletons]


def test_the_committed_modules_are_what_the_source_compiles_to(tmp_path):
    wanted = json.loads((SOURCE / "package.json").read_text())["devDependencies"]["typescript"]
    own = shutil.which("tsc", path=SOURCE / "node_modules" / ".bin")
    found = os.environ.get("GESTA_TSC") or own or shutil.which("tsc")
    told = f"needs TypeScript {wanted}: npm install in {SOURCE}, or GESTA_TSC=/path/to/tsc"
    if found is None or subprocess.run([found, "-v"], capture_output=True, text=True).stdout.split()[-1:] != [wanted]:
        pytest.skip(told)
    subprocess.run([found, "-p", SOURCE, "--outDir", tmp_path], check=True)
    made = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert made == {path.name: path.read_text() for path in (site.STATIC / "gesta").iterdir()}


def test_images_are_scaled_smoothed_and_cut_as_by_opencv():
    rng, asked, expected = np.random.default_rng(0), [], []
    for shape in [(33, 40), (70, 90), (129, 200), (256, 256), (20, 20), (97, 211), (144, 180), (4, 300), (240, 320)]:
        levels = rng.integers(0, 256, shape).astype(np.uint8)
        size = [max(1, round(length * 120 / max(shape))) for length in shape[::-1]]
        box = (rng.uniform(-30, 30), rng.uniform(-30, 30), *rng.uniform(35, 250, 2))
        for how, answer in (
            ("resized", crops.resized(levels, 64)),
            ("area", cv2.resize(levels, size, interpolation=cv2.INTER_AREA)),
            ("smoothed", cv2.GaussianBlur(levels, (3, 3), 0)),
            ("cut", crops.cut(levels, box)),
        ):
            asked.append({"how": how, "size": [64] if how == "resized" else size, "box": box, **image(levels)})
            expected.append(answer.ravel().tolist())
    assert in_node("images", images=asked) == expected


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.filterwarnings("ignore:The time stamps of the stream")
def test_preprocessing_gives_gestas_arrays_to_the_last_bit(name):
    t, count = TRANSFORMS[name], 43
    frames = example.drawn(example.drawing(count))
    frames[:4] = frames[0]  # nothing moves yet
    frames[30:33] = np.random.default_rng(1).integers(0, 256, frames[30:33].shape)
    times = 5 + np.cumsum(np.random.default_rng(2).uniform(0.3, 1.7, count)) / t.fps
    times[20:] += 3.1  # a pause
    times[25], times[36:] = times[24] - 0.02, times[36:] - 9  # a late stamp, and another clock
    preprocessor, expected, ends = Preprocessor(t), [], []
    for frame, time_s in zip(frames, times, strict=True):
        expected += list(preprocessor.push(Frame(float(time_s), color=frame)))
        ends += preprocessor.ends_s
    expected += list(preprocessor.flush())
    given = [{"data": f.ravel().tolist(), "height": f.shape[0], "width": f.shape[1]} for f in frames]
    model = {"pixels": _pixels(t), "timing": _timing(t)}
    found = in_node("preprocess", model=model, frames=given, times=times.tolist())
    seen = np.array([frame for _, chunk in found for frame in chunk], np.uint8)
    np.testing.assert_array_equal(seen, np.array(expected)[:, 0].transpose(0, 3, 1, 2).reshape(seen.shape))
    np.testing.assert_allclose([end for end, _ in found], [*ends, *preprocessor.ends_s], atol=1e-9)
    assert seen.std() > 5


@pytest.mark.parametrize(
    "space",
    [
        SkeletonSpace(joints=KINECT_JOINTS, origin="first", view="first", least_confidence=0.3),
        SkeletonSpace(joints=BLAZEPOSE_JOINTS, dimensions=2, scale="first"),
        SkeletonSpace(joints=("a", "b", "c"), origin="none"),
    ],
    ids=["kinect", "blazepose", "others"],
)
def test_skeletons_are_normalized_alike(space):
    rng, shape = np.random.default_rng(3), (len(space.joints), space.dimensions)
    skeletons = rng.normal(0, 1, (30, *shape)).astype(np.float32)
    skeletons[rng.random(skeletons.shape[:2]) < 0.2] = np.nan
    skeletons[:2] = np.nan  # nobody yet
    confidences = rng.random(skeletons.shape[:2]) if space.least_confidence else None
    expected = Normalizer(space)(skeletons, confidences)
    given = {"skeletons": rows(skeletons), "confidences": None if confidences is None else confidences.tolist()}
    found = in_node("normalize", space=space_document(space), **given)
    found = np.array(found, float).reshape(expected.shape)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.isfinite(found).any() and np.isnan(found).any()


def test_mediapipes_landmarks_find_their_joints():
    assert mediapipe_places(BLAZEPOSE_JOINTS[::-1]) == list(range(33))[::-1]
    assert mediapipe_places(TWO_HANDS_JOINTS) == list(range(33, 75))
    assert mediapipe_places(HAND_JOINTS) == list(range(54, 75))
    assert mediapipe_places(("left_shoulder", "RightWrist")) == [11, 16]
    assert mediapipe_places(KINECT_JOINTS) is None
    space = space_document(SkeletonSpace(joints=BLAZEPOSE_JOINTS + TWO_HANDS_JOINTS))
    marks = [{"x": i / 100, "y": 0.5, "z": -0.1, "visibility": 0.25} for i in range(33)]
    hand = [{"x": 0.5, "y": i / 100, "z": 0} for i in range(21)]
    found = {"width": 200, "height": 100, "pose": marks, "rightHand": hand}
    skeleton, confidence = in_node("landmarks", space=space, found=found)
    points = np.array(skeleton, float).reshape(75, 3)
    np.testing.assert_allclose(points[7], (14, 50, -20), atol=1e-4)
    np.testing.assert_allclose(points[54 + 3], (100, 3, 0), atol=1e-4)
    assert np.isnan(points[33:54]).all()
    assert (confidence[0], confidence[40], confidence[60]) == (0.25, 0, 1)


def test_events_of_random_probabilities_are_gestas():
    rng, tracks, expected = np.random.default_rng(4), [], []
    for number in range(150):
        labels = ["none", "wave", "push", "clap"][number % 2 :]
        logits = np.cumsum(rng.normal(0, 0.9, (120, len(labels))), axis=0) * 0.7
        powers = np.exp(logits - logits.max(1, keepdims=True))
        values, times = powers / powers.sum(1, keepdims=True), np.cumsum(rng.uniform(0.02, 0.15, 120))
        on = rng.uniform(0.3, 0.9)
        spec = DecoderSpec(
            smoothing_s=float(rng.choice([0, 0.1, 0.4])),
            on=on,
            off=on * rng.uniform(0.3, 1),
            least_s=float(rng.choice([0, 0.2, 0.5])),
            rearm_s=float(rng.choice([0, 0.1, 0.5])),
            decide_s=(None, 0.3)[number % 3 == 0],
        )
        tracks.append(
            {"spec": spec.model_dump(), "labels": labels, "times": times.tolist(), "probabilities": values.tolist()}
        )
        expected.append([asdict(event) for event in decode(spec, labels, times, values)])
    found = in_node("decode", tracks=tracks)
    names = (("startS", "start_s"), ("endS", "end_s"), ("confidence", "confidence"), ("decidedS", "decided_s"))
    for one, other in zip(found, expected, strict=True):
        assert [event["label"] for event in one] == [event["label"] for event in other]
        for ours, theirs in names:
            np.testing.assert_allclose([e[ours] for e in one], [e[theirs] for e in other], atol=1e-9)
    assert sum(map(len, expected)) > 300


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page of a small recognizer with a decoder of its own."""
    fetched()
    folder = tmp_path_factory.mktemp("web")
    shutil.unpack_archive(BUNDLES / "clips_onnx.zip", folder / "bundle")
    document = json.loads((folder / "bundle" / "manifest.json").read_text())
    document["decoder"] = {"none": document["labels"][0], "on": 0.4, "off": 0.35, "least_s": 0.1}
    (folder / "bundle" / "manifest.json").write_text(json.dumps(document))
    _, bundle = catalog.of_bundle(folder / "bundle")
    site.write_site(bundle, folder / "page")
    return folder / "page"


def test_the_example_gets_the_same_answers_and_events(page):
    found = in_node("model", page, repeats=4)
    check = found["check"]
    assert check["same"] and check["label"] == check["expected"]
    assert check["largestDifference"] < 1e-5
    golden = json.loads((page / "golden.json").read_text())
    frames, times = example.drawn(golden["drawing"]), np.array(golden["times_s"])
    stream = load(page.parent / "bundle").open_events()
    shown = [(image, again * times[-1] + s) for again in range(4) for image, s in zip(frames, times, strict=True)]
    expected = [event for image, s in shown for event in stream.push(image, float(s))] + stream.finish()
    assert expected
    for one, other in zip(found["events"], expected, strict=True):
        assert one.pop("label") == other.label
        wanted = [other.start_s, other.end_s, other.confidence, other.decided_s]
        np.testing.assert_allclose([one[k] for k in ("startS", "endS", "confidence", "decidedS")], wanted, atol=1e-5)


def test_another_answer_is_told(page, tmp_path):
    other = Path(shutil.copytree(page, tmp_path / "other"))
    golden = json.loads((other / "golden.json").read_text())
    golden["answers"][1]["probabilities"].reverse()
    (other / "golden.json").write_text(json.dumps(golden))
    check = in_node("model", other)["check"]
    assert not check["same"] and 0.01 < check["largestDifference"] < 1


def test_nothing_on_the_page_names_another_server(page):
    for path in page.rglob("*"):
        if path.suffix in (".html", ".js", ".css") and path.parent.name != "onnxruntime":
            assert "://" not in path.read_text().replace("http://www.w3.org", ""), path
    assert "default-src 'none'" in (page / "index.html").read_text()
    assert len((page / "example.html").read_text().splitlines()) <= 30


def test_a_page_is_replaced_only_where_asked(page, tmp_path):
    _, bundle = catalog.of_bundle(page.parent / "bundle")
    with pytest.raises(GestaError, match="--overwrite") as error:
        site.check_out(page, overwrite=False)
    assert error.value.usage
    site.check_out(page, overwrite=True)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(GestaError, match="is not an exported page"):
        site.write_site(bundle, tmp_path, overwrite=True)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_models_that_a_camera_does_not_serve_are_refused(gesta, pose_bundle, tmp_path):
    done = gesta("export", pose_bundle, "--to", "web", "--out", tmp_path / "page")
    assert done.exit_code == 2
    assert "need depth images" in done.stderr and "--with-preprocessing" in done.stderr
    done = gesta("export", BUNDLES / "features.zip", "--to", "web", "--out", tmp_path / "page")
    assert done.exit_code == 2
    assert "(--to web) is not available" in done.stderr
    shutil.unpack_archive(BUNDLES / "clips_joint.zip", tmp_path / "bundle")
    document = json.loads((tmp_path / "bundle" / "manifest.json").read_text())
    document["transform"]["channels"] = ["flow_x", "flow_y"]
    (tmp_path / "bundle" / "manifest.json").write_text(json.dumps(document))
    done = gesta("export", tmp_path / "bundle", "--to", "web", "--out", tmp_path / "page")
    assert done.exit_code == 2
    assert "needs optical flow" in done.stderr and "input.body=motion" in done.stderr
    assert not (tmp_path / "page").exists()
