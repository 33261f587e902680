"""Reading and writing bundles: a folder, or one zip, with `manifest.json`, `CARD.md` and the files it lists.

Nothing here runs code from a bundle: weights are safetensors, networks are handed on as checked bytes.
Every file is written under a temporary name and renamed, and at every moment the manifest fits the files beside it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from pydantic_core import from_json
from typing_extensions import TypeVar

from gesta.bundle import card as card_module
from gesta.bundle.manifest import (
    FORMAT_VERSION,
    POSE_FORMAT_VERSION,
    SEQUENCE_FORMAT_VERSION,
    Artifact,
    Manifest,
    PoseManifest,
    SequenceManifest,
)
from gesta.bundle.safe import check_name, read_member
from gesta.clips.hand_transform import HAND_TRANSFORM_VERSION
from gesta.clips.transform import TRANSFORM_VERSION
from gesta.leftovers import remove_left_behind, temporary
from gesta.schema import GestaError

MANIFEST = "manifest.json"
CARD = "CARD.md"
WEIGHTS = "weights.safetensors"
MAX_MANIFEST_BYTES = 16 * 1024**2

Content = bytes | Path
AnyManifest = Manifest | PoseManifest | SequenceManifest
M = TypeVar("M", bound=Manifest | PoseManifest | SequenceManifest, default=Manifest)

KINDS: dict[str, tuple[type[AnyManifest], int, str]] = {
    "classifier": (Manifest, FORMAT_VERSION, "a recogniser of clips"),
    "pose": (PoseManifest, POSE_FORMAT_VERSION, "a hand pose model"),
    "sequence": (SequenceManifest, SEQUENCE_FORMAT_VERSION, "a classifier of a backbone's features"),
}
"""Kind of a bundle -> its manifest, the newest format known here, and what it is in words."""


@dataclass(frozen=True)
class Bundle(Generic[M]):
    """A saved model: where it lies (folder or zip) and its manifest. Files are read, and checked, when asked for.

    `Bundle` is that of a classifier, `Bundle[PoseManifest]` that of a hand pose model, `Bundle[SequenceManifest]` that
    of a backbone and a classifier of its features.
    """

    path: Path
    manifest: M

    def find(self, role: str, engine: str, precision: str | None = None, stage: str | None = None) -> Artifact | None:
        """The first artifact of that role, engine and (if given) precision and stage, or None."""
        for artifact in self.manifest.artifacts:
            wanted = (artifact.role, artifact.engine) == (role, engine) and precision in (None, artifact.precision)
            if wanted and stage in (None, artifact.stage):
                return artifact
        return None

    def read(self, artifact: Artifact, file: str | None = None) -> bytes:
        """Content of an artifact's file, or of one of its companions.

        Raises GestaError if it is missing, is a link, leads outside or is not what was saved (sha256).
        """
        name = file or artifact.file
        expected = artifact.sha256 if name == artifact.file else artifact.companions[name]
        data = read_member(self.path, name)
        if digest(data) != expected:
            raise GestaError(
                f"{self.path}: {name} is not the file that was saved (its sha256 differs from the manifest's). "
                "It was changed or damaged; get the bundle again, or train it again."
            )
        return data


def digest(content: Content) -> str:
    """sha256 of bytes or of a file, in hex."""
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with content.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read(path: Path | str) -> Bundle:
    """The classifier's bundle at `path`, a folder or a zip. Weights and networks are not opened yet.

    Raises GestaError if there is none, its manifest is no valid one, it needs a newer gesta or is no classifier's.
    """
    found = read_any(path)
    if not isinstance(found.manifest, Manifest):
        raise GestaError(f"{path}: is {KINDS[found.manifest.kind][2]}; a recogniser of clips was expected here.")
    return Bundle(found.path, found.manifest)


def read_pose(path: Path | str) -> Bundle[PoseManifest]:
    """The same for a hand pose model. Raises GestaError as `read` does."""
    found = read_any(path)
    if not isinstance(found.manifest, PoseManifest):
        raise GestaError(f"{path}: is {KINDS[found.manifest.kind][2]}; a hand pose model was expected here.")
    return Bundle(found.path, found.manifest)


def read_sequence(path: Path | str) -> Bundle[SequenceManifest]:
    """The same for a chain of a backbone and a classifier of its features. Raises GestaError as `read` does."""
    found = read_any(path)
    if not isinstance(found.manifest, SequenceManifest):
        raise GestaError(
            f"{path}: is {KINDS[found.manifest.kind][2]}; a classifier of a backbone's features was expected here."
        )
    return Bundle(found.path, found.manifest)


def read_any(path: Path | str) -> Bundle[AnyManifest]:
    """A bundle of any kind: ask `manifest.kind`. Raises GestaError as `read` does."""
    path = Path(path)
    if not path.exists():
        raise GestaError(f"{path}: no such bundle. A bundle is the folder that `gesta train` leaves at OUT/bundle.")
    if path.is_dir() and not (path / MANIFEST).exists():
        inner = path / "bundle"
        hint = f" There is one in {inner}: give that." if (inner / MANIFEST).exists() else ""
        raise GestaError(
            f"{path}: is not a bundle, it has no {MANIFEST}.{hint or ' Give the folder OUT/bundle of a training.'}"
        )
    if not path.is_dir() and not (path.is_file() and zipfile.is_zipfile(path)):
        raise GestaError(f"{path}: is not a bundle (neither a folder with {MANIFEST} nor a zip of one).")
    return Bundle(path, _parse(path, read_member(path, MANIFEST, MAX_MANIFEST_BYTES)))


def write(folder: Path | str, manifest: M, files: Mapping[str, Content], card: str | None = None) -> Bundle[M]:
    """A new bundle at `folder`; one that is there already is replaced. `card` is rendered if left out.

    `files`: name inside the bundle -> content, for every file that the manifest's artifacts name (ValueError if not, or
    if a sha256 differs). Raises GestaError if `folder` holds something else, or the disk is full; nothing is left then.
    """
    folder = Path(folder)
    _check_files(folder, manifest.artifacts, files)
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not (folder / MANIFEST).exists())):
        raise GestaError(
            f"{folder}: is there already and is not a bundle, so it is not replaced. Choose another folder."
        )
    remove_left_behind(folder)
    made = temporary(folder)
    try:
        made.mkdir(parents=True)
        for name, content in files.items():
            _write_file(made / name, content)
        _write_file(made / CARD, (card or card_module.render(manifest)).encode())
        _write_file(made / MANIFEST, _dump(manifest))
        _swap(made, folder)
    except OSError as error:
        raise GestaError(f"{folder}: the bundle could not be written ({error.strerror}). {_disk_hint()}") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return Bundle(folder, manifest)


def update(bundle: Bundle[M], **changes: Any) -> Bundle[M]:
    """The bundle with fields of its manifest changed (e.g. `metrics=...`), on disk too; the card is rendered again.

    Raises GestaError for a zip (it is never changed in place) and on a failing disk.
    """
    _need_folder(bundle)
    manifest = cast(M, type(bundle.manifest).model_validate({**bundle.manifest.model_dump(), **changes}))
    try:
        _write_file(bundle.path / MANIFEST, _dump(manifest))
        _write_file(bundle.path / CARD, card_module.render(manifest).encode())
    except OSError as error:
        raise GestaError(f"{bundle.path}: could not be written ({error.strerror}). {_disk_hint()}") from error
    return Bundle(bundle.path, manifest)


def add_artifact(bundle: Bundle[M], artifact: Artifact, files: Mapping[str, Content]) -> Bundle[M]:
    """The bundle with one artifact more; one of the same role, engine, precision and stage is replaced.

    A crash on the way leaves a bundle without either, never one whose manifest does not fit its files.
    Raises GestaError for a zip and on a failing disk, ValueError if `files` are not the artifact's.
    """
    _need_folder(bundle)
    _check_files(bundle.path, (artifact,), files)
    kept = tuple(a for a in bundle.manifest.artifacts if _place(a) != _place(artifact))
    if len(kept) < len(bundle.manifest.artifacts):
        bundle = update(bundle, artifacts=kept)
    taken = {name for a in kept for name in (a.file, *a.companions)}
    if clash := taken & set(files):
        raise ValueError(f"{sorted(clash)} belong to another artifact of {bundle.path}")
    try:
        for name, content in files.items():
            _write_file(bundle.path / name, content)
    except OSError as error:
        raise GestaError(f"{bundle.path}: could not be written ({error.strerror}). {_disk_hint()}") from error
    return update(bundle, artifacts=(*kept, artifact))


def load_weights(bundle: Bundle[M], stage: str | None = None) -> dict[str, NDArray[np.generic]]:
    """The network's tensors by name, from any precision and layout (docs/sparse_format.md); of a chain a stage's.

    Raises GestaError if the bundle has none or the file is damaged.
    """
    from gesta.bundle import sparse

    artifact = bundle.find("weights", "torch", stage=stage)
    if artifact is None:
        raise GestaError(f"{bundle.path}: has no weights, only exported networks. Use the bundle that training left.")
    weights = sparse.decode(bundle.read(artifact), f"{bundle.path}: {artifact.file}")
    for name, array in weights.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise GestaError(
                f"{bundle.path}: {artifact.file}: {name} holds values that are no numbers (NaN or infinite), so every "
                "answer would be none. The training went wrong, or the file is damaged; train or get it again."
            )
    return weights


def save_zip(bundle: Bundle[M], path: Path | str, only: Sequence[Artifact] | None = None) -> Path:
    """The bundle as a single zip, the same bytes each time: manifest, card and the listed files, each checked.

    `only`: these artifacts and no others, e.g. just the streaming step, which predicts whole clips too.
    """
    path = Path(path)
    chosen = bundle.manifest.artifacts if only is None else tuple(only)
    manifest = bundle.manifest.model_copy(update={"artifacts": chosen})
    contents: dict[str, bytes] = {MANIFEST: _dump(manifest), CARD: card_module.render(manifest).encode()}
    for artifact in chosen:
        for name in (artifact.file, *artifact.companions):
            contents[name] = bundle.read(artifact, name)
    remove_left_behind(path)
    made = temporary(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for name, data in contents.items():
                archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED, compresslevel=9)
        made.replace(path)
    except OSError as error:
        raise GestaError(f"{path}: could not be written ({error.strerror}). {_disk_hint()}") from error
    finally:
        made.unlink(missing_ok=True)
    return path


def _parse(path: Path, raw: bytes) -> AnyManifest:
    try:
        document = from_json(raw)  # of bounded depth, unlike json's: what is read can be written again
    except ValueError as error:
        raise GestaError(f"{path}: {MANIFEST} is not JSON ({error}). Get the bundle again.") from error
    if not isinstance(document, dict):
        raise GestaError(f"{path}: {MANIFEST} is not a JSON object. Get the bundle again.")
    _refuse_newer(path, document)
    schema, _, _ = _kind(document)
    try:
        manifest = schema.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise GestaError(
            f"{path}: {MANIFEST} is not valid at {field}: {first['msg']}. Get the bundle again."
        ) from error
    for artifact in manifest.artifacts:
        for name in (artifact.file, *artifact.companions):
            check_name(name, path)
    return manifest


def _kind(document: Mapping[str, Any]) -> tuple[type[AnyManifest], int, str]:
    """The entry of KINDS; a classifier's where the kind is unknown: it is refused as newer, or as not valid."""
    kind = document.get("kind")
    return KINDS.get(kind, KINDS["classifier"]) if isinstance(kind, str) else KINDS["classifier"]


def _refuse_newer(path: Path, document: Mapping[str, Any]) -> None:
    transform = document.get("transform")
    newest = HAND_TRANSFORM_VERSION if document.get("kind") == "pose" else TRANSFORM_VERSION
    found = {
        "bundle format": (document.get("format_version"), _kind(document)[1]),
        "transform": (transform.get("version") if isinstance(transform, dict) else None, newest),
    }
    for what, (version, known) in found.items():
        if isinstance(version, int) and version > known:
            provenance = document.get("provenance")
            writer = provenance.get("gesta") if isinstance(provenance, dict) else None
            by = f"gesta {writer} wrote it and can read it: pip install 'gesta>={writer}'" if writer else "Update gesta"
            raise GestaError(f"{path}: {what} version {version} is newer than this gesta knows (up to {known}). {by}.")


def _check_files(folder: Path, artifacts: tuple[Artifact, ...], files: Mapping[str, Content]) -> None:
    expected: dict[str, str] = {}
    for artifact in artifacts:
        expected |= {artifact.file: artifact.sha256, **artifact.companions}
    if set(expected) != set(files):
        raise ValueError(f"the artifacts name {sorted(expected)}, the files are {sorted(files)}")
    for name, content in files.items():
        check_name(name, folder)
        if name in (MANIFEST, CARD):
            raise ValueError(f"{name} is written by the bundle itself")
        if digest(content) != expected[name]:
            raise ValueError(f"{name}: its sha256 is not the one in its artifact")


def _place(artifact: Artifact) -> tuple[str, str, str, str]:
    return artifact.role, artifact.engine, artifact.precision, artifact.stage


def _need_folder(bundle: Bundle[M]) -> None:
    if not bundle.path.is_dir():
        raise GestaError(f"{bundle.path}: is a zip, which is never changed. Unpack it and give the folder.")


def _dump(manifest: AnyManifest) -> bytes:
    return (json.dumps(manifest.model_dump(mode="json"), ensure_ascii=False, indent=1) + "\n").encode()


def _write_file(path: Path, content: Content) -> None:
    """Under a temporary name in the same folder, flushed to the disk, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_left_behind(path)
    made = temporary(path)
    try:
        with made.open("wb") as stream:
            if isinstance(content, bytes):
                stream.write(content)
            else:
                with content.open("rb") as source:
                    shutil.copyfileobj(source, stream)
            stream.flush()
            os.fsync(stream.fileno())
        made.replace(path)
    finally:
        made.unlink(missing_ok=True)


def _swap(new: Path, folder: Path) -> None:
    """Puts `new` in the place of `folder`, which may hold an older bundle."""
    if not folder.exists():
        new.replace(folder)
        return
    old = temporary(folder, "old")
    folder.replace(old)
    try:
        new.replace(folder)
    except OSError:
        old.replace(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _disk_hint() -> str:
    return "Check that the folder can be written and the disk has space; nothing half-written is left."
