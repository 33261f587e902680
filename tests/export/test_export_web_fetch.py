"""Getting onnxruntime-web: by npm and its settings, or from a file; what is another file or missing is told."""

import hashlib
import io
import subprocess
import tarfile

import pytest

from gesta.exporting.web import runtime
from gesta.schema import GestaError

CONTENT = {name: name.encode() * 9 for name in runtime.FILES}


@pytest.fixture(autouse=True)
def pinned(monkeypatch, tmp_path):
    """Stand-ins for the published files: small ones of known content."""
    files = {name: (to, hashlib.sha256(CONTENT[name]).hexdigest()) for name, (to, _) in runtime.FILES.items()}
    monkeypatch.setattr(runtime, "FILES", files)
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
    assert set(runtime.located().values()) == set(CONTENT.values())
    with tarfile.open(file) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    written = runtime.fetch(tmp_path / "other", tmp_path / "unpacked")
    assert {path.read_bytes() for path in written} == set(CONTENT.values())


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: package(path, {**CONTENT, next(iter(CONTENT)): b"older"}), "another file than the published one"),
        (lambda path: package(path, {}), "is missing"),
        (lambda path: package(path, folder="../dist"), "is missing"),
        (lambda path: path.write_bytes(b"no archive"), "cannot be read"),
    ],
)
def test_another_package_is_refused_and_nothing_is_written(tmp_path, make, reason):
    make(tmp_path / "p.tgz")
    with pytest.raises(GestaError, match=reason) as error:
        runtime.fetch(runtime.default_folder(), tmp_path / "p.tgz")
    assert runtime.PACKAGE in str(error.value) and "\n" not in str(error.value)
    assert not runtime.default_folder().exists()


def test_npm_fetches_the_pinned_package_by_its_own_settings(tmp_path, monkeypatch):
    asked = []

    def run(words, **given):
        asked.append(words)
        package(given["cwd"] / "p.tgz")
        return subprocess.CompletedProcess(words, 0, "", "")

    monkeypatch.setattr(runtime.shutil, "which", lambda _name: "/bin/npm")
    monkeypatch.setattr(runtime.subprocess, "run", run)
    assert len(runtime.fetch(tmp_path / "to")) == len(CONTENT)
    assert asked[0][:3] == ["/bin/npm", "pack", runtime.PACKAGE]
    assert not any("registry" in word for word in asked[0])


@pytest.mark.parametrize("npm", [None, "/bin/npm"])
def test_offline_it_says_what_to_copy_where(npm, monkeypatch, gesta, tmp_path):
    said = "npm error code ENOTFOUND\nnpm error network request failed\n"
    monkeypatch.setattr(runtime.shutil, "which", lambda _name: npm)
    monkeypatch.setattr(runtime.subprocess, "run", lambda words, **_: subprocess.CompletedProcess(words, 1, "", said))
    done = gesta("fetch", "onnxruntime-web")
    assert done.exit_code == 1
    assert ("npm is not installed" if npm is None else "network request failed") in done.stderr
    assert f"npm pack {runtime.PACKAGE}" in done.stderr and "--from FILE.tgz" in done.stderr
    assert str(tmp_path / "data") in done.stderr.replace(" ", "")


def test_a_page_says_what_to_fetch_and_notices_another_file(tmp_path):
    with pytest.raises(GestaError, match="gesta fetch onnxruntime-web"):
        runtime.located()
    runtime.fetch(runtime.default_folder(), package(tmp_path / "p.tgz"))
    (runtime.default_folder() / "ort.js").write_bytes(b"changed")
    with pytest.raises(GestaError, match="is not that of"):
        runtime.located()
