"""Getting the networks: from wheels, bundles, folders; what is missing or another file is told."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import zipfile

import pytest

from gesta.schema import GestaError
from gesta.trackers import files

CONTENT = {name: name.encode() * 9 for name in files.SHA256}


@pytest.fixture(autouse=True)
def pinned(monkeypatch, tmp_path):
    """Stand-ins for the published networks: small files of known content."""
    monkeypatch.setattr(files, "SHA256", {n: hashlib.sha256(data).hexdigest() for n, data in CONTENT.items()})
    monkeypatch.setenv("GESTA_DATA", str(tmp_path / "data"))


def archive(path, members):
    with zipfile.ZipFile(path, "w") as out:
        for name, data in members.items():
            out.writestr(name, data)
    return path


def zipped(members) -> bytes:
    stream = io.BytesIO()
    archive(stream, members)
    return stream.getvalue()


def test_a_wheel_is_enough(tmp_path):
    wheel = archive(tmp_path / "package.whl", {f"package/modules/{n}.tflite": d for n, d in CONTENT.items()})
    written = files.fetch(files.default_folder(), wheel)
    assert {file.stem: file.read_bytes() for file in written} == CONTENT
    assert set(files.located(CONTENT, files.default_folder())) == set(CONTENT)
    assert not list(files.default_folder().glob("*.part"))


def test_a_task_bundle_has_other_names_inside(tmp_path):
    names = {"hand_detector.tflite": "palm_detection_full", "hand_landmarks_detector.tflite": "hand_landmark_full"}
    task = archive(tmp_path / "hands.task", {inner: CONTENT[name] for inner, name in names.items()})
    assert {f.stem for f in files.fetch(tmp_path / "to", task)} == set(names.values())


def test_a_published_bundle_is_known_as_a_whole(tmp_path, monkeypatch):
    inner = {"hand_detector.tflite": b"palm", "hand_landmarks_detector.tflite": b"hand", "other.tflite": b"face"}
    task = archive(tmp_path / "hands.task", inner)
    with pytest.raises(GestaError, match="contains none of the networks"):
        files.fetch(tmp_path / "to", task)
    (names,) = [names for names in files.BUNDLES.values() if "hand_detector.tflite" in names]
    monkeypatch.setattr(files, "BUNDLES", {hashlib.sha256(task.read_bytes()).hexdigest(): names})
    written = files.fetch(tmp_path / "to", task)
    assert {f.stem: f.read_bytes() for f in written} == {"palm_detection_full": b"palm", "hand_landmark_full": b"hand"}
    assert len(files.located(names.values(), tmp_path / "to")) == 2
    (tmp_path / "to" / "hand_landmark_full.tflite").write_bytes(b"changed")
    with pytest.raises(GestaError, match="is not the published network"):
        files.located(names.values(), tmp_path / "to")


def test_a_folder_with_files_and_a_bundle(tmp_path):
    folder = tmp_path / "from"
    folder.mkdir()
    (folder / "renamed.tflite").write_bytes(CONTENT["pose_detection"])
    nested = zipped({"pose_landmarks_detector.tflite": CONTENT["pose_landmark_full"]})
    archive(folder / "all.zip", {"pose.task": nested})
    assert {f.stem for f in files.fetch(tmp_path / "to", folder)} == {"pose_detection", "pose_landmark_full"}


@pytest.mark.parametrize("name", ["pose_detection", "hand_landmark_full"])
def test_another_content_is_refused_and_nothing_written(tmp_path, name):
    wheel = archive(tmp_path / "w.whl", {f"{n}.tflite": d + b"!" * (n == name) for n, d in CONTENT.items()})
    with pytest.raises(GestaError, match=f"{name}.tflite is not the published network"):
        files.fetch(tmp_path / "to", wheel)
    assert not (tmp_path / "to").exists()


def test_what_holds_none_of_them_or_is_broken_is_told_by_name(tmp_path):
    empty = archive(tmp_path / "other.whl", {"a.txt": b""})
    with pytest.raises(GestaError, match=r"other\.whl: contains none of the networks"):
        files.fetch(tmp_path / "to", empty)
    (tmp_path / "broken.task").write_bytes(b"PK not a zip")
    with pytest.raises(GestaError, match=r"broken\.task: cannot be read"):
        files.fetch(tmp_path / "to", tmp_path / "broken.task")


def test_missing_and_changed_files_say_the_next_step(tmp_path):
    with pytest.raises(GestaError, match=r"contains no pose_detection\.tflite.*gesta fetch trackers"):
        files.located(["pose_detection"], tmp_path)
    (tmp_path / "pose_detection.tflite").write_bytes(b"something else")
    with pytest.raises(GestaError, match=r"pose_detection\.tflite: is not the published network"):
        files.located(["pose_detection"], tmp_path)


def test_download_asks_pip_for_the_wheel_and_nothing_else(tmp_path, monkeypatch):
    asked = []

    def pip(command, **_):
        asked.append(command)
        if "3.12" in command:
            archive(tmp_path / "package.whl", {f"{n}.tflite": d for n, d in CONTENT.items()})
            return subprocess.CompletedProcess(command, 0, "", "")
        return subprocess.CompletedProcess(command, 1, "", "ERROR: none for this Python\n")

    monkeypatch.setattr(subprocess, "run", pip)
    assert files.download(tmp_path).name == "package.whl"
    assert asked[0][:4] == [sys.executable, "-m", "pip", "download"]
    assert {"--no-deps", "--only-binary=:all:", "mediapipe==0.10.21"} <= set(asked[0])
    assert not any("index" in word or "://" in word for command in asked for word in command)


def test_offline_it_says_what_to_copy_where(tmp_path, monkeypatch):
    def pip(command, **_):
        return subprocess.CompletedProcess(command, 1, "", "WARNING: x\nERROR: No matching distribution found\n")

    monkeypatch.setattr(subprocess, "run", pip)
    with pytest.raises(GestaError) as error:
        files.fetch(tmp_path / "to")
    text = str(error.value)
    assert "No matching distribution found" in text
    assert "pip download" in text and "--from FILE.whl" in text
    assert "pose_detection.tflite" in text and str(files.default_folder()) in text


def test_the_place_follows_the_users_settings(monkeypatch, tmp_path):
    assert files.default_folder() == tmp_path / "data" / "trackers"
    monkeypatch.delenv("GESTA_DATA")
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    assert files.default_folder() == tmp_path / "xdg" / "gesta" / "trackers"
