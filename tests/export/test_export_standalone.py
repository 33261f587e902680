"""The ONNX file that takes camera frames, run by the program beside it, says what gesta says."""

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("onnxscript")
import onnxruntime

import gesta
from gesta import decoder
from gesta.cli import app
from gesta.clips import crops
from gesta.clips.transform import Transform
from gesta.decoding import DecoderSpec
from gesta.exporting import standalone
from gesta.exporting.run import Export, export_bundle
from gesta.schema import Camera, Frame, GestaError
from gesta.tasks import catalog
from gesta.tasks.clips.standalone import files, resize, rules
from gesta.tasks.clips.standalone.run import Recognizer
from gesta.tasks.hands.standalone import model as hand_model
from gesta.tasks.hands.standalone.run import Hands, nearest_object
from gesta.tasks.hands.transform import HandTransform, preprocess_images

BUNDLES = Path(__file__).parents[1] / "bundles_v1"


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A small recognizer in ONNX with its preprocessing."""
    folder = tmp_path_factory.mktemp("alone") / "exported"
    shutil.unpack_archive(BUNDLES / "clips_onnx.zip", folder)
    task, bundle = catalog.of_bundle(folder)
    document = standalone.add_standalone(task, bundle)
    assert document["check"].startswith("same")
    return folder


def recording(height=90, width=130, count=41, fps=26.0, seed=3):
    """(RGB frames of a bright square that moves over noise, uneven times)."""
    rng = np.random.default_rng(seed)
    frames = np.repeat(rng.integers(0, 120, (1, height, width, 3)).astype(np.uint8), count, axis=0)
    for i, frame in enumerate(frames):
        frame[20:50, 2 * i : 2 * i + 25] = (230, 160, 60 + 4 * i)
    return frames, 7 + np.cumsum(rng.uniform(0.4, 1.6, count)) / fps


def streamed(folder, frames, times):
    """What gesta's own stream says: (until seconds, probabilities)."""
    stream = gesta.load(folder, engine="onnxruntime", threads=1).open_stream()
    found = [p for frame, s in zip(frames, times, strict=True) for p in stream.push(Frame(float(s), color=frame))]
    found += stream.finish()
    return [p.time_s for p in found], np.array([list(p.probabilities.values()) for p in found])


def pushed(folder, frames, times, piece):
    model = Recognizer(folder / "model.onnx")
    starts = range(0, len(frames), piece)
    answers = [
        answer
        for start in starts
        for answer in model.push(
            frames[start : start + piece], times[start : start + piece], last=start + piece >= len(frames)
        )
    ]
    return [end for end, _ in answers], np.array([probabilities for _, probabilities in answers])


@pytest.mark.parametrize("piece", [41, 7, 1])
def test_any_number_of_frames_at_a_time_gives_gestas_stream(exported, piece):
    frames, times = recording()
    ends, expected = streamed(exported, frames, times)
    found_ends, found = pushed(exported, frames, times, piece)
    assert len(ends) > 3
    np.testing.assert_allclose(found_ends, ends, atol=1e-9)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert not np.allclose(found[0], found[-1], atol=1e-3)


@pytest.mark.filterwarnings("ignore:The time stamps of the stream")
def test_pauses_and_a_clock_that_starts_anew(exported):
    frames, times = recording()
    times[15:] += 9.0  # a pause
    times[30:] -= 20.0  # another clock
    times[20] = times[19] - 0.02  # a late stamp
    ends, expected = streamed(exported, frames, times)
    found_ends, found = pushed(exported, frames, times, 5)
    np.testing.assert_allclose(found_ends, ends, atol=1e-9)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_recording_of_one_frame_and_the_next_one_begins_anew(exported):
    frames, times = recording()
    model = Recognizer(exported / "model.onnx")
    first = model.push(frames[:1], times[:1], last=True)
    assert len(first) == 1
    assert model.state == {}
    again = model.push(frames[:1], times[:1], last=True)
    np.testing.assert_array_equal(first[0][1], again[0][1])


@pytest.mark.parametrize("shape", [(33, 40), (64, 64), (70, 90), (130, 131), (300, 257)])
def test_crops_are_scaled_as_opencv_does(shape):
    from gesta.engines.onnx_graph import new_graph, output, serialized

    graph = new_graph("resize")
    image = graph.input("image", resize.FLOAT, [1, "h", "w"])
    output(graph.op, resize.resized(graph.op, image, 64), "small", resize.FLOAT, [1, 64, 64])
    session = onnxruntime.InferenceSession(serialized(graph, {}))
    levels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    (found,) = session.run(None, {"image": levels[None].astype(np.float32)})
    assert np.abs(found[0] - crops.resized(levels, 64)).max() <= 1
    assert (found[0] == crops.resized(levels, 64)).mean() > 0.98


@pytest.mark.parametrize("box", [(10.5, 4.5, 40.2, 34.2), (-12, -7, 30, 35), (90, 70, 160, 140), (-30, -30, 200, 200)])
def test_boxes_that_leave_the_image_are_filled_with_zeros(box):
    from gesta.engines.onnx_graph import new_graph, output, serialized

    graph = new_graph("crop")
    image, edges = graph.input("image", resize.UINT8, [1, "h", "w", 3]), graph.input("box", resize.DOUBLE, [4])
    output(graph.op, resize.cropped(graph.op, image, edges), "crop", resize.UINT8, [1, "a", "b", 3])
    session = onnxruntime.InferenceSession(serialized(graph, {}))
    frame = recording()[0][0]
    (found,) = session.run(None, {"image": frame[None], "box": np.array(box, float)})
    np.testing.assert_array_equal(found[0], crops.cut(frame, box))


def imported(program):
    """The modules that a program imports."""
    nodes = list(ast.walk(ast.parse(program.read_text())))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    every = plain | {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    return {name.split(".")[0] for name in every}


def test_the_program_is_short_and_needs_no_gesta(exported):
    assert len((exported / "run.py").read_text().splitlines()) <= 120
    own = {"numpy", "onnxruntime", "av", "decoder"}
    assert imported(exported / "run.py") <= sys.stdlib_module_names | own
    assert imported(exported / "camera.py") <= sys.stdlib_module_names | {"cv2", "run"}
    assert not (exported / "decoder.py").exists()  # it names single clips
    assert imported(Path(decoder.__file__)) <= sys.stdlib_module_names | {"numpy"}
    shown = subprocess.run([sys.executable, exported / "run.py"], capture_output=True, text=True, check=False)
    assert "python run.py wave.mp4" in shown.stderr
    missing = subprocess.run(
        [sys.executable, exported / "run.py", "no.mp4"], capture_output=True, text=True, check=False
    )
    assert missing.returncode == 1
    assert "no.mp4: cannot be used (" in missing.stderr


def test_a_video_file_is_named_as_by_gesta(exported, tmp_path):
    sys.path.insert(0, str(Path(__file__).parents[1] / "runtime"))
    from tiny_bundles import write_video

    video = write_video(tmp_path / "clip.avi", frames=30, fps=20, size=(120, 160))
    done = subprocess.run([sys.executable, exported / "run.py", video], capture_output=True, text=True, check=True)
    found = gesta.load(exported, engine="onnxruntime").predict(video)
    label, value = done.stdout.split("  ")[1].split(",")[0].split()
    assert label == found.label
    assert float(value) == pytest.approx(found.confidence, abs=0.005)


def test_gestures_in_a_long_video_are_those_that_gesta_finds(exported, tmp_path):
    sys.path.insert(0, str(Path(__file__).parents[1] / "runtime"))
    from tiny_bundles import write_video

    folder = Path(shutil.copytree(exported, tmp_path / "copy"))
    for name in files.PROGRAMS:
        (folder / name).unlink()
    document = json.loads((folder / "manifest.json").read_text())
    quiet = document["labels"][0]  # "none" of a network that was not trained for streams: any label will do
    spec = DecoderSpec(none=quiet, on=0.3, off=0.25, smoothing_s=0.05, least_s=0.0, rearm_s=0.0)
    (folder / "manifest.json").write_text(json.dumps({**document, "decoder": spec.model_dump()}))
    standalone.add_standalone(*catalog.of_bundle(folder))
    video = write_video(tmp_path / "clip.avi", frames=90, fps=20, size=(120, 160))
    done = subprocess.run([sys.executable, folder / "run.py", video], capture_output=True, text=True, check=True)
    found = list(gesta.load(folder, engine="onnxruntime").events(video))
    name, *lines = done.stdout.splitlines()
    assert name.strip() == str(video)
    assert lines
    assert lines == [event.line for event in found]


def test_an_answer_that_is_not_gestas_leaves_nothing(exported, tmp_path, monkeypatch):
    folder = Path(shutil.copytree(exported, tmp_path / "copy"))
    for name in ("model.onnx", "run.py", "camera.py", "preprocessing.md", "golden.npz"):
        (folder / name).unlink()
    answers = files.Recognizer.predict_clips
    monkeypatch.setattr(files.Recognizer, "predict_clips", lambda self, clips: np.roll(answers(self, clips), 1, axis=1))
    with pytest.raises(GestaError, match=r"does not agree with gesta \(NOT the same; largest difference"):
        standalone.add_standalone(*catalog.of_bundle(folder))
    assert not (folder / "model.onnx").exists()


def test_the_rules_have_the_numbers_of_the_transform(exported):
    written = (exported / "preprocessing.md").read_text()
    for number in ("20 frames per second", "9798 R", "128 + 4 (this frame", "rounded up", "16 x 16", "**Chunks** of 4"):
        assert number in written
    t = Transform(
        fps=12.5, size=48, streams=("body",), channels=("red",), body="frame", sampling="central", smooth=False
    )
    manifest = catalog.of_bundle(exported)[1].manifest.model_copy(update={"transform": t})
    other = rules.markdown(manifest, True)
    assert "12.5 frames per second" in other
    assert "48 x 48" in other
    assert "central 32" in other
    assert "moves" not in other
    assert "Smoothing" not in other


def test_what_has_no_place_in_a_graph_is_told():
    depth = Transform(fps=10, streams=("body",), channels=("depth",), body="motion")
    assert "depth" in rules.missing(depth)
    assert "skeleton" in rules.missing(Transform(fps=10, channels=("gray",)))
    assert "flow" in rules.missing(Transform(fps=10, streams=("body",), body="frame", channels=("flow_x", "flow_y")))
    assert rules.missing(Transform(fps=10, streams=("body",), body="motion", channels=("gray", "blue"))) is None


def test_only_onnx_and_tasks_that_can(tmp_path):
    rest = ["--out", str(tmp_path / "o"), "--with-preprocessing", "--to"]
    for bundle, to, words in (
        ("clips_joint", "openvino", "Give --to onnx"),
        ("features", "onnx", "is not available for"),
    ):
        result = CliRunner().invoke(app, ["export", str(BUNDLES / f"{bundle}.zip"), *rest, to])
        assert words in str(result.exception)
        assert result.exception.usage
    assert not (tmp_path / "o").exists()


@pytest.fixture(scope="module")
def hands(tmp_path_factory):
    """A hand pose model in ONNX with its preprocessing."""
    task, bundle = catalog.of_bundle(BUNDLES / "hands.zip")
    folder = tmp_path_factory.mktemp("hands") / "exported"
    export_bundle(bundle, folder, Export("onnx", seconds=0))
    assert "joint" in standalone.add_standalone(task, catalog.of_bundle(folder)[1])["check"]
    return folder


def arm(at=(120, 160), length=90):
    """Depth 240 x 320 of a fist at the end of an arm before a wall, mm."""
    rows, columns = np.mgrid[:240, :320]
    depth = np.full((240, 320), 1600, np.float32)
    depth[(rows > at[0]) & (rows < at[0] + length) & (np.abs(columns - at[1]) < 11)] = 640
    depth[np.hypot(rows - at[0], columns - at[1]) < 24] = 610
    depth[5:7, 5:7] = 200  # a speck
    return depth


@pytest.mark.slow
@pytest.mark.parametrize("at", [(120, 160), (30, 40), (150, 300), (60, 8)])
def test_joints_and_the_hands_middle_are_gestas(hands, at):
    camera = Camera(240.0, 238.0, 158.0, 121.0)
    depth = arm(at)
    expected = gesta.load(hands, engine="onnxruntime").predict_images(depth, None, camera)
    given = camera.fx, camera.fy, camera.cx, camera.cy
    np.testing.assert_allclose(nearest_object(depth, given, 300.0), expected.center_mm, atol=1e-3)
    joints_mm, joints_uv = Hands(hands / "model.onnx").find(depth, given)
    np.testing.assert_allclose(joints_mm, expected.joints_mm, atol=0.5)
    np.testing.assert_allclose(joints_uv, expected.joints_uv, atol=0.5)


@pytest.mark.slow
def test_no_hand_and_an_empty_cube(hands):
    model, camera = Hands(hands / "model.onnx"), (240, 240, 160, 120)
    with pytest.raises(ValueError, match="shows no object"):
        model.find(np.zeros((240, 320), np.float32), camera)
    with pytest.raises(ValueError, match="No depth readings within 150 mm"):
        model.find(arm(), camera, (0, 0, 3000))


@pytest.mark.slow
def test_the_hands_program_is_short_and_the_rules_have_its_numbers(hands):
    assert len((hands / "run.py").read_text().splitlines()) <= 120
    rules_text = (hands / "preprocessing.md").read_text()
    for number in ("32 x 32 pixels", "300 fx / z / 32", "(d - z) / 150"):
        assert number in rules_text


def test_color_is_cut_out_as_gesta_does():
    from gesta.engines.onnx_graph import new_graph, output, serialized

    t = HandTransform(inputs="rgbd", size=32, color_mean=(90, 100, 110), color_deviation=(40, 50, 60))
    depth, camera, center = arm(), Camera(240.0, 238.0, 158.0, 121.0), (5.0, 2.0, 620.0)
    color = np.random.default_rng(0).integers(0, 256, (240, 320, 3)).astype(np.uint8)
    expected = preprocess_images(depth, color, camera, t, center).image
    graph = new_graph("hand")
    op = graph.op
    images = (
        graph.input("depth_mm", hand_model.FLOAT, ["h", "w"]),
        graph.input("color", hand_model.UINT8, ["h", "w", 3]),
    )
    inputs = [graph.input(name, hand_model.DOUBLE, [n]) for name, n in (("camera", 4), ("center_mm", 3))]
    output(op, hand_model.prepared(op, t, *images, *inputs)[0], "hand", hand_model.FLOAT, [1, 4, 32, 32])
    lens = np.array([camera.fx, camera.fy, camera.cx, camera.cy])
    feed = {"depth_mm": depth, "color": color, "camera": lens, "center_mm": np.array(center)}
    (found,) = onnxruntime.InferenceSession(serialized(graph, {})).run(None, feed)
    near = np.abs(found[0] - expected) < 2 / 40  # two levels: OpenCV rounds places to a share of a pixel
    assert near[0].mean() > 0.99
    assert near[1:].mean() > 0.9
