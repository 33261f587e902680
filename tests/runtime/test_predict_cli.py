"""gesta predict, as it is called."""

import json
import sys

import cv2
import numpy as np
import pytest
from tiny_bundles import LABELS, RGBD, make_bundle, write_video

from gesta.cli import main
from gesta.clips.decode import iter_frames, probe
from gesta.schema import Resource

pytestmark = pytest.mark.integration


@pytest.fixture
def predict(monkeypatch, capsys):
    """Calls the command; returns (exit code, lines of stdout, stderr)."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["gesta", "predict", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capsys.readouterr()
        return end.value.code or 0, out.splitlines(), " ".join(err.split())

    return call


def test_files_and_folders(predict, joint, tmp_path):
    one, two = (write_video(tmp_path / "videos" / name, seed=i) for i, name in enumerate(("a.mkv", "b.avi")))
    code, lines, err = predict(joint, one)
    assert code == 0, err
    assert lines[0].startswith(f"{one}  ")
    assert sum(label in lines[0] for label in LABELS) == 3
    code, lines, _ = predict(joint, tmp_path / "videos", "--json")
    documents = [json.loads(line) for line in lines]
    assert [d["input"] for d in documents] == [str(one), str(two)]
    for document in documents:
        assert set(document["probabilities"]) == set(LABELS)
        assert document["label"] == max(document["probabilities"], key=document["probabilities"].get)
        assert sum(document["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        assert "time_s" not in document


def test_stream(predict, joint, tmp_path):
    video = write_video(tmp_path / "a.mkv", 10)
    _, lines, _ = predict(joint, video, "--stream", "--json")
    documents = [json.loads(line) for line in lines]
    assert [d["time_s"] for d in documents] == [0.4, 0.8, 1.0]
    _, (whole,), _ = predict(joint, video, "--json")
    assert documents[-1]["probabilities"] == pytest.approx(json.loads(whole)["probabilities"], abs=1e-5)
    _, lines, _ = predict(joint, video, "--stream")
    assert lines[0] == str(video)
    assert lines[1].split()[:2] == ["0.40", "s"]


def test_spans_are_told_apart_and_streamed_as_one(predict, joint, tmp_path):
    write_video(tmp_path / "long.mkv", 40)
    (tmp_path / "index.csv").write_text("path,label,start_s,end_s\nlong.mkv,wave,0,1.5\nlong.mkv,clap,2,3.9\n")
    code, lines, err = predict(joint, tmp_path, "--json")
    assert code == 0, err
    documents = [json.loads(line) for line in lines]
    assert [d["truth"] for d in documents] == ["wave", "clap"]
    assert documents[0]["sample"] != documents[1]["sample"]
    _, lines, _ = predict(joint, tmp_path, "--stream", "--json")
    assert [json.loads(line)["time_s"] for line in lines] == pytest.approx([0.4 * k for k in range(1, 11)])


def test_broken_inputs_are_listed_and_the_others_predicted(predict, joint, tmp_path):
    good = write_video(tmp_path / "good.mkv")
    for name in ("broken.mp4", "notes.txt", "broken.zip"):
        (tmp_path / name).write_text("no video at all")
    broken = [tmp_path / name for name in ("broken.mp4", "notes.txt", "broken.zip", "nowhere.mp4")]
    for options in ((), ("--stream",)):
        code, lines, err = predict(joint, *broken[:2], good, *broken[2:], *options, "--json")
        assert code == 1
        assert {json.loads(line)["input"] for line in lines} == {str(good)}
        for path in broken:
            assert str(path) in err


def test_missing_modality_is_a_failure_with_its_reason(predict, tmp_path):
    bundle = make_bundle(tmp_path / "bundle", "cnn3d_lstm", **RGBD)
    video = write_video(tmp_path / "a.mkv")
    for options in ((), ("--stream",)):
        code, lines, err = predict(bundle, video, *options)
        assert code == 1
        assert lines in ([], [str(video)])
        assert "missing: depth, skeleton" in err


def test_annotated_video(predict, joint, tmp_path):
    video, out = write_video(tmp_path / "a.mkv", 10, size=(47, 65)), tmp_path / "made" / "out.mp4"
    for options in ((), ("--stream",)):
        code, lines, err = predict(joint, video, "--annotate", out, *options)
        assert code == 0, err
        assert len(lines) == (4 if options else 1)
        info = probe(Resource(out))
        assert (info.frames, info.error) == (10, None)
        assert info.height >= 240
        assert info.duration_s == pytest.approx(1.0, abs=0.1)
        drawn = next(image for _, image in iter_frames(Resource(out), "rgb"))
        assert drawn[-info.height // 13 :].mean() < 90 < 150 < drawn[60:140, 30:90].mean()  # label below, square above
        assert sorted(path.name for path in out.parent.iterdir()) == ["out.mp4", "out.svg"]
        out.unlink()


def test_annotate_that_fails_leaves_nothing(predict, joint, tmp_path):
    video = write_video(tmp_path / "a.mkv", 40)
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(b"\x1aE\xdf\xa3 rubbish")
    code, _, err = predict(joint, cut, "--stream", "--annotate", tmp_path / "out.mp4")
    assert code == 1
    assert "cut.mkv" in err
    code, _, err = predict(joint, video, "--annotate", tmp_path / "out.avi")
    assert (code, "ends in .mp4" in err) == (2, True)
    code, _, err = predict(joint, video, cut, "--annotate", tmp_path / "out.mp4")
    assert (code, "there are 2 recordings" in err) == (2, True)
    (tmp_path / "file").touch()
    code, _, err = predict(joint, video, "--annotate", tmp_path / "file" / "out.mp4")
    assert (code, "cannot be written" in err) == (1, True)
    assert {path.name for path in tmp_path.iterdir()} == {"a.mkv", "cut.mkv", "file"}


def test_wrong_usage(predict, joint, tmp_path):
    video = write_video(tmp_path / "a.mkv")
    for arguments, words in (
        ((joint, video, "--engine", "tensorflow"), "unknown engine"),
        ((joint, video, "--format", "chalearn"), "Did you mean chalearn2014"),
        ((joint, video, "--device", "tpu"), "does not run on 'tpu'"),
    ):
        code, lines, err = predict(*arguments)
        assert (code, lines, words in err) == (2, [], True), err
    code, _, err = predict(tmp_path / "nowhere", video)
    assert (code, "no such bundle" in err) == (1, True)


def test_an_address_and_a_picture_are_refused(predict, joint, tmp_path):
    code, lines, err = predict(joint, "rtsp://camera/1")
    assert (code, lines) == (1, []) and "rtsp://camera/1: URLs are not opened" in err
    picture = tmp_path / "a.png"
    cv2.imwrite(str(picture), np.zeros((32, 32, 3), np.uint8))
    code, lines, err = predict(joint, picture)
    assert (code, lines) == (1, []) and "is a single image" in err
