"""Location and installation of the published networks: from the package index, a wheel, a `.task` bundle, or a folder.

They are the files of the package mediapipe 0.10.21 (Apache-2.0), pinned by sha256. Location: `trackers/` in
`GESTA_DATA`, else in the user's data folder.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from gesta.files import read_json, user_data, write_whole
from gesta.schema import UNREADABLE, GestaError

PACKAGE = "mediapipe==0.10.21"
PYTHONS = ("311", "312")  # Python versions of the wheels that contain the files
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")

SHA256 = {
    "hand_landmark_full": "11c272b891e1a99ab034208e23937a8008388cf11ed2a9d776ed3d01d0ba00e3",
    "hand_landmark_lite": "048edd3645c9bf7397d19a9f6e3a42957d6e414c9bea6598030a2e9b624156e6",
    "palm_detection_full": "1b14e9422c6ad006cde6581a46c8b90dd573c07ab7f3934b5589e7cea3f89a54",
    "palm_detection_lite": "e9a4aaddf90dda56a87235303cf00e4c2d3fb28725f68fd88772997dac905c18",
    "pose_detection": "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
    "pose_landmark_full": "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
}
"""Expected sha256 of each network, by name."""

BUNDLES = {
    "fbc2a30080c3c557093b5ddfc334698132eb341044ccee322ccf8bcf3607cde1": {
        "hand_detector.tflite": "palm_detection_full",
        "hand_landmarks_detector.tflite": "hand_landmark_full",
    },
    "4eaa5eb7a98365221087693fcc286334cf0858e2eb6e15b506aa4a7ecdcec4ad": {
        "pose_detector.tflite": "pose_detection",
        "pose_landmarks_detector.tflite": "pose_landmark_full",
    },
}
"""Published `.task` bundles (hand_landmarker, pose_landmarker_full) by sha256, with our names for their members.

Their networks differ from the package's files, so those taken from bundles are recorded in FROM_BUNDLES.
"""
FROM_BUNDLES = "from_bundles.json"

LARGEST = 64 * 2**20  # maximum bytes of a network or a nested bundle; none exceeds 10 MB
MOST_MEMBERS = 5000
_ARCHIVES = (".whl", ".task", ".zip")


def default_folder() -> Path:
    """`GESTA_DATA`/trackers, else `gesta/trackers` in the user's data folder."""
    return user_data("trackers")


def located(names: Iterable[str], folder: Path) -> dict[str, Path]:
    """Paths of these networks. Raises GestaError if one is missing or is not the published file."""
    files = {name: folder / f"{name}.tflite" for name in names}
    missing = [file.name for file in files.values() if not file.is_file()]
    if missing:
        raise GestaError(
            f"{folder}: contains no {', '.join(missing)}. Get the networks of the trackers once: gesta fetch trackers "
            "(or --from a mediapipe wheel, a .task bundle or a folder)."
        )
    noted = _noted(folder)
    for name, file in files.items():
        if fingerprint(file) not in (SHA256[name], noted.get(name)):
            raise GestaError(
                f"{file}: is not the published network (sha256 {fingerprint(file)[:12]}..., expected "
                f"{SHA256[name][:12]}...). Get it again: gesta fetch trackers."
            )
    return files


def _noted(folder: Path) -> dict[str, str]:
    """sha256 of the networks installed from published bundles, by name."""
    return read_json(folder / FROM_BUNDLES) or {}


def fingerprint(file: Path) -> str:
    """sha256 of the content, cached until the file changes."""
    stat = file.stat()
    return _sha256(file, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _sha256(file: Path, size: int, mtime_ns: int) -> str:  # noqa: ARG001
    return hashlib.sha256(file.read_bytes()).hexdigest()


def fetch(folder: Path, source: Path | None = None, told: Callable[[str], None] = lambda _: None) -> list[Path]:
    """Installs the networks into `folder` from `source` (wheel, `.task`, zip, `.tflite`, folder) or the package index.

    Returns the files written; a source may contain only some of them. Raises GestaError if it contains none, or the
    package cannot be downloaded.
    """
    if source is not None:
        return _store(networks_in(source), folder, source)
    with tempfile.TemporaryDirectory(prefix="gesta-fetch-") as temporary:
        wheel = download(Path(temporary), told)
        files = _store(networks_in(wheel), folder, wheel)
    missing = sorted(set(SHA256) - {file.stem for file in files})
    if missing:
        raise GestaError(f"{wheel.name}: contains no {', '.join(missing)}. Expected the wheel of {PACKAGE}.")
    return files


def download(folder: Path, told: Callable[[str], None] = lambda _: None) -> Path:
    """Downloads the package's wheel with pip and its settings. On failure, GestaError says what to copy where."""
    said = ""
    told(f"downloading {PACKAGE} (about 36 MB; the networks are 21 MB of it)")
    for python in PYTHONS:
        done = subprocess.run(_pip(python, folder), capture_output=True, text=True, check=False)
        wheels = sorted(folder.glob("*.whl"))
        if done.returncode == 0 and wheels:
            return wheels[0]
        said = said or next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "pip failed")
    raise GestaError(
        f"The package {PACKAGE} could not be downloaded ({said.removeprefix('ERROR: ')}). On a computer with a "
        f"network: {' '.join(['pip', *_pip(PYTHONS[0], Path())[3:]])}. Copy the .whl file here, then: "
        f"gesta fetch trackers --from FILE.whl. Or copy {', '.join(f'{name}.tflite' for name in SHA256)} "
        f"into {default_folder()}."
    )


def _pip(python: str, folder: Path) -> list[str]:
    """pip command for the Linux wheel of that Python, on any platform: only the networks in it are used."""
    platforms = [word for platform in PLATFORMS for word in ("--platform", platform)]
    version = ["--python-version", f"{python[0]}.{python[1:]}", "--implementation", "cp", "--abi", f"cp{python}"]
    options = ["--no-deps", "--only-binary=:all:", *version, *platforms, "--dest", str(folder)]
    return [sys.executable, "-m", "pip", "download", *options, PACKAGE]


def networks_in(source: Path) -> Iterator[tuple[str, bytes]]:
    """Yields (name, content) of each pinned network in a wheel, bundle, zip, `.tflite` file or folder, by content.

    Raises GestaError naming the file if it cannot be read, or a network has the right name but different content.
    """
    known = {sha256: name for name, sha256 in SHA256.items()}
    for label, data, of_bundle in _candidates(source):
        name = known.get(hashlib.sha256(data).hexdigest(), of_bundle)
        if name is not None:
            yield name, data
        elif Path(label).stem in SHA256:
            raise GestaError(
                f"{source}: its {Path(label).name} is not the published network (another sha256). "
                f"Expected that of {PACKAGE}; get the file again."
            )


def _candidates(source: Path) -> Iterator[tuple[str, bytes, str | None]]:
    """Yields (label, content, name from BUNDLES) of every `.tflite` in the source, including nested `.task` bundles."""
    try:
        if source.is_dir():
            for file in sorted(source.iterdir()):
                if file.suffix.lower() in (".tflite", *_ARCHIVES):
                    yield from _candidates(file)
        elif source.suffix.lower() == ".tflite":
            if source.stat().st_size <= LARGEST:
                yield source.name, source.read_bytes(), None
        else:
            digest = hashlib.sha256(source.read_bytes()).hexdigest() if source.stat().st_size <= LARGEST else ""
            with zipfile.ZipFile(source) as archive:
                yield from _members(archive, BUNDLES.get(digest, {}))
    except UNREADABLE as error:
        raise GestaError(
            f"{source}: cannot be read ({error}). Expected a mediapipe wheel, a .task bundle, or a folder with them "
            "or with .tflite files."
        ) from error


def _members(
    archive: zipfile.ZipFile, names: Mapping[str, str], nested: bool = True
) -> Iterator[tuple[str, bytes, str | None]]:
    for member in archive.infolist()[:MOST_MEMBERS]:
        suffix = Path(member.filename).suffix.lower()
        if member.file_size > LARGEST:
            continue
        if suffix == ".tflite":
            yield member.filename, archive.read(member), names.get(member.filename)
        elif suffix == ".task" and nested:
            data = archive.read(member)
            with zipfile.ZipFile(io.BytesIO(data)) as inner:
                yield from _members(inner, BUNDLES.get(hashlib.sha256(data).hexdigest(), {}), nested=False)


def _store(networks: Iterator[tuple[str, bytes]], folder: Path, source: Path) -> list[Path]:
    found = dict(networks)
    if not found:
        raise GestaError(
            f"{source}: contains none of the networks {', '.join(SHA256)} of {PACKAGE}. Expected that wheel, the "
            "published hand_landmarker.task or pose_landmarker_full.task, or a folder with the files."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        digests = {name: hashlib.sha256(data).hexdigest() for name, data in found.items()}
        noted = _noted(folder) | {name: digest for name, digest in digests.items() if digest != SHA256[name]}
        if noted:
            write_whole(folder / FROM_BUNDLES, json.dumps(noted, indent=1))
        return [write_whole(folder / f"{name}.tflite", data) for name, data in sorted(found.items())]
    except OSError as error:
        raise GestaError(
            f"{folder}: cannot be written ({error}). Free some space, or choose another folder with GESTA_DATA."
        ) from error
