"""Getting onnxruntime-web: by npm and its settings, or from a file; what is another file or missing is told."""

import hashlib
import io
import subprocess
import tarfile
from dataclasses import replace
from types import SimpleNamespace

import pytest

from gesta.exporting.web import runtime, site
from gesta.schema import GestaError

CONTENT = {name: name.encode() * 9 for name in runtime.ONNXRUNTIME.files}


@pytest.fixture(autouse=True)
def pinned(monkeypatch, tmp_path):
    """Stand-ins for the published files: small ones of known content."""
    files = {
        name: (to, hashlib.sha256(CONTENT[name]).hexdigest()) for name, (to, _) in runtime.ONNXRUNTIME.files.items()
    }
    monkeypatch.setattr(runtime, "ONNXRUNTIME", replace(runtime.ONNXRUNTIME, files=files))
    monkeypatch.setenv("GESTA_DATA", str(tmp_path / "data"))


def package(path, content=CONTENT, folder="package/dist"):
    with tarfile.open(path, "w:gz") as archive:
        for name, data in {"README.md": b"text", **content}.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def test_from_a_file_or_a_folder_with_it_unpacked(tmp_path, gesta):
    file = package(tmp_path / "p.tgz")
    done = gesta("fetch", "onnxruntime-web", "--from", file)
    assert done.exit_code == 0 and str(tmp_path / "data" / "onnxruntime-web") in done.stdout
    assert set(runtime.ONNXRUNTIME.located().values()) == set(CONTENT.values())
    with tarfile.open(file) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    written = runtime.ONNXRUNTIME.fetch(tmp_path / "unpacked")
    assert {path.read_bytes() for path in written} == set(CONTENT.values())


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: package(path, {**CONTENT, next(iter(CONTENT)): b"older"}), "not the published file"),
        (lambda path: package(path, {}), "is missing"),
        (lambda path: package(path, folder="../dist"), "is missing"),
        (lambda path: path.write_bytes(b"no archive"), "cannot be read"),
    ],
)
def test_another_package_is_refused_and_nothing_is_written(tmp_path, make, reason):
    make(tmp_path / "p.tgz")
    with pytest.raises(GestaError, match=reason) as error:
        runtime.ONNXRUNTIME.fetch(tmp_path / "p.tgz")
    assert runtime.ONNXRUNTIME.pinned in str(error.value) and "\n" not in str(error.value)
    assert not runtime.ONNXRUNTIME.folder.exists()


def test_npm_fetches_the_pinned_package_by_its_own_settings(monkeypatch):
    asked = []

    def run(words, **given):
        asked.append(words)
        package(given["cwd"] / "p.tgz")
        return subprocess.CompletedProcess(words, 0, "", "")

    monkeypatch.setattr(runtime.shutil, "which", lambda _name: "/bin/npm")
    monkeypatch.setattr(runtime.subprocess, "run", run)
    assert len(runtime.ONNXRUNTIME.fetch()) == len(CONTENT)
    assert asked[0][:3] == ["/bin/npm", "pack", runtime.ONNXRUNTIME.pinned]
    assert not any("registry" in word for word in asked[0])


@pytest.mark.parametrize("npm", [None, "/bin/npm"])
def test_offline_it_says_what_to_copy_where(npm, monkeypatch, gesta, tmp_path):
    said = "npm error code ENOTFOUND\nnpm error network request failed\n"
    monkeypatch.setattr(runtime.shutil, "which", lambda _name: npm)
    monkeypatch.setattr(runtime.subprocess, "run", lambda words, **_: subprocess.CompletedProcess(words, 1, "", said))
    done = gesta("fetch", "onnxruntime-web")
    assert done.exit_code == 1
    assert ("npm is not installed" if npm is None else "network request failed") in done.stderr
    assert f"npm pack {runtime.ONNXRUNTIME.pinned}" in done.stderr and "--from FILE.tgz" in done.stderr
    assert str(tmp_path / "data") in done.stderr.replace(" ", "")


def test_a_page_says_what_to_fetch_and_notices_another_file(tmp_path):
    with pytest.raises(GestaError, match="gesta fetch onnxruntime-web"):
        runtime.ONNXRUNTIME.located()
    runtime.ONNXRUNTIME.fetch(package(tmp_path / "p.tgz"))
    (runtime.ONNXRUNTIME.folder / "ort.js").write_bytes(b"changed")
    with pytest.raises(GestaError, match="is not the one of"):
        runtime.ONNXRUNTIME.located()


def test_a_page_of_joints_gets_what_finds_them_or_says_what_is_missing(monkeypatch, tmp_path):
    web = SimpleNamespace(model={"space": {"mediapipe": [11, 12]}})
    files, lacks = site.mediapipe(web)
    assert files == {} and "gesta fetch mediapipe-web" in lacks
    content = {name: name.encode() for name in runtime.MEDIAPIPE.files}
    pins = {name: (name, hashlib.sha256(data).hexdigest()) for name, data in content.items()}
    monkeypatch.setattr(runtime, "MEDIAPIPE", replace(runtime.MEDIAPIPE, files=pins))
    runtime.MEDIAPIPE.fetch(package(tmp_path / "p.tgz", content, "package"))
    assert "gesta fetch trackers" in site.mediapipe(web)[1]
    monkeypatch.setattr(site, "task_file", lambda _folder: b"networks")
    expected = {f"mediapipe/{name}": data for name, data in content.items()}
    assert site.mediapipe(web) == (expected | {"mediapipe/pose_landmarker.task": b"networks"}, "")
    assert site.mediapipe(SimpleNamespace(model={"space": {"mediapipe": None}})) == ({}, "")
    assert site.mediapipe(SimpleNamespace(model={})) == ({}, "")
