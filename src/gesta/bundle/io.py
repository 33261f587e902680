"""Reads and writes bundles: a folder or zip with `manifest.json`, `CARD.md` and the files that the manifest lists.

Nothing here runs code from a bundle: weights are safetensors, networks are passed on as verified bytes.
Every file is written under a temporary name and renamed, and the manifest matches the files next to it at all times.
"""

from __future__ import annotations

import hashlib
import json
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
from gesta.bundle.manifest import FORMAT_VERSION, Artifact, Manifest
from gesta.bundle.safe import check_name, read_member
from gesta.files import swap_in, write_whole
from gesta.leftovers import remove_left_behind, temporary
from gesta.schema import GestaError
from gesta.words import install

MANIFEST = "manifest.json"
CARD = "CARD.md"
WEIGHTS = "weights.safetensors"
PACKAGED = {name: Path(__file__).parent / f"{name}.zip" for name in ("demo", "everyday")}
"""Bundles included in the package."""
MAX_MANIFEST_BYTES = 16 * 1024**2

Content = bytes | Path
M = TypeVar("M", bound=Manifest, default=Manifest)


@dataclass(frozen=True)
class Bundle(Generic[M]):
    """A saved model: its path (folder or zip) and manifest. Files are read and verified on demand."""

    path: Path
    manifest: M

    def find(self, role: str, engine: str, precision: str | None = None, stage: str | None = None) -> Artifact | None:
        """Returns the first artifact with this role, engine and (if given) precision and stage, or None."""
        for artifact in self.manifest.artifacts:
            wanted = (artifact.role, artifact.engine) == (role, engine) and precision in (None, artifact.precision)
            if wanted and stage in (None, artifact.stage):
                return artifact
        return None

    def read(self, artifact: Artifact, file: str | None = None) -> bytes:
        """Returns the content of an artifact's file, or of one of its companions.

        Raises GestaError if it is missing, is a link, leads outside or differs from what was saved (sha256).
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

    def counts(self) -> dict[str, bytes]:
        """Returns the content of the files of `manifest.counts` by name. Raises GestaError as `read` does."""
        return {artifact.file: self.read(artifact) for artifact in self.manifest.counts}

    def size_of(self, artifact: Artifact) -> int:
        """Returns the total size in bytes of an artifact's file and its companions."""
        return sum(len(self.read(artifact, name)) for name in (artifact.file, *artifact.companions))


def digest(content: Content) -> str:
    """Returns the sha256 of bytes or of a file, in hex."""
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with content.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read(path: Path | str, schema: type[M]) -> Bundle[M]:
    """Reads the bundle at `path`, a folder or zip whose manifest is a `schema`. Weights and networks stay unopened.

    Raises GestaError if there is none, its manifest is invalid, it needs a newer gesta or is for another task.
    """
    document = manifest_document(path)
    kind = document.get("kind")
    if kind not in (schema.model_fields["kind"].default, *schema.former):
        raise GestaError(f"{path}: is a bundle for the task {kind!r}, but {schema.title} was expected.")
    return Bundle(located(path), _parse(located(path), document, schema))


def manifest_document(path: Path | str) -> dict[str, Any]:
    """Returns a bundle's manifest.json, not validated. Raises GestaError if there is no bundle or no valid JSON."""
    path = located(path)
    if not path.exists():
        raise GestaError(f"{path}: no such bundle. A bundle is the folder that `gesta train` writes to OUT/bundle.")
    if path.is_dir() and not (path / MANIFEST).exists():
        inner = path / "bundle"
        hint = f" There is one in {inner}: use that." if (inner / MANIFEST).exists() else ""
        raise GestaError(
            f"{path}: is not a bundle, it has no {MANIFEST}.{hint or ' Give the folder OUT/bundle of a training run.'}"
        )
    if not path.is_dir() and not (path.is_file() and zipfile.is_zipfile(path)):
        raise GestaError(f"{path}: is not a bundle (neither a folder with {MANIFEST} nor a zip of one).")
    try:
        document = from_json(read_member(path, MANIFEST, MAX_MANIFEST_BYTES))  # limits the depth, unlike json
    except ValueError as error:
        raise GestaError(f"{path}: {MANIFEST} is not JSON ({error}). Get the bundle again.") from error
    if not isinstance(document, dict):
        raise GestaError(f"{path}: {MANIFEST} is not a JSON object. Get the bundle again.")
    return document


def located(path: Path | str) -> Path:
    """Returns the path of a bundle: `path` itself, or that of a bundle named in PACKAGED. Raises GestaError."""
    packaged = PACKAGED.get(str(path))
    if packaged is None:
        return Path(path)
    if not packaged.is_file():
        raise GestaError(f"The bundle {path!r}, which comes with gesta, is missing. Install gesta again.")
    return packaged


def write(folder: Path | str, manifest: M, files: Mapping[str, Content], card: str | None = None) -> Bundle[M]:
    """Writes a new bundle to `folder`, replacing an existing one. `card` is rendered if omitted.

    `files`: name inside the bundle -> content, for every file of the manifest's artifacts (ValueError if not, or if a
    sha256 differs). Raises GestaError if `folder` contains something else or the disk is full; nothing is left then.
    """
    folder = Path(folder)
    _check_files(folder, manifest.artifacts, files)
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not (folder / MANIFEST).exists())):
        raise GestaError(f"{folder}: already exists and is not a bundle, so it is not replaced. Choose another folder.")
    remove_left_behind(folder)
    made = temporary(folder)
    try:
        made.mkdir(parents=True)
        for name, content in files.items():
            _write_file(made / name, content)
        _write_file(made / CARD, (card or card_module.render(manifest)).encode())
        _write_file(made / MANIFEST, _dump(manifest))
        swap_in(made, folder)
    except OSError as error:
        raise GestaError(f"{folder}: the bundle could not be written ({error.strerror}). {_disk_hint()}") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return Bundle(folder, manifest)


def update(bundle: Bundle[M], **changes: Any) -> Bundle[M]:
    """Changes fields of the manifest (e.g. `metrics=...`), also on disk, and renders the card again.

    Raises GestaError for a zip (never changed in place) and on disk errors.
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
    """Adds an artifact, replacing one with the same role, engine, precision and stage.

    A crash leaves a bundle without either, never one whose manifest does not match its files.
    Raises GestaError for a zip and on disk errors, ValueError if `files` are not the artifact's.
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
    """Loads the network's (or one stage's) tensors by name, of any precision and layout (docs/sparse_format.md).

    Raises GestaError if the bundle has none or the file is damaged.
    """
    from gesta.bundle import sparse

    artifact = bundle.find("weights", "torch", stage=stage)
    if artifact is None:
        raise GestaError(f"{bundle.path}: has no weights, only exported networks. Use the bundle that training wrote.")
    weights = sparse.decode(bundle.read(artifact), f"{bundle.path}: {artifact.file}")
    for name, array in weights.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise GestaError(
                f"{bundle.path}: {artifact.file}: {name} contains values that are not finite numbers (NaN or "
                "infinite), so the model cannot predict. Training failed or the file is damaged: train again, or get "
                "it again."
            )
    return weights


def save_zip(bundle: Bundle[M], path: Path | str, only: Sequence[Artifact] | None = None) -> Path:
    """Saves the bundle as a reproducible zip: manifest, card and the listed files, each verified.

    `only`: just these artifacts, e.g. the streaming step, which predicts whole clips, too.
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


def _parse(path: Path, document: dict[str, Any], schema: type[M]) -> M:
    refuse_newer(path, document, schema)
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


def refuse_newer(path: Path, document: Mapping[str, Any], schema: type[Manifest]) -> None:
    transform = document.get("transform")
    found = {
        "bundle format": (document.get("format_version"), FORMAT_VERSION),
        "transform": (transform.get("version") if isinstance(transform, dict) else None, schema.transform_version),
    }
    for what, (version, known) in found.items():
        if isinstance(version, int) and known is not None and version > known:
            provenance = document.get("provenance")
            writer = provenance.get("gesta") if isinstance(provenance, dict) else None
            by = (
                f"To read it, install gesta {writer}, which wrote it: {install(version=writer)}"
                if writer
                else "Update gesta"
            )
            raise GestaError(
                f"{path}: {what} version {version} is newer than this gesta supports (up to {known}). {by}."
            )


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
        raise GestaError(f"{bundle.path}: is a zip, and gesta does not change zips. Unpack it and give the folder.")


def _dump(manifest: Manifest) -> bytes:
    return (json.dumps(manifest.model_dump(mode="json"), ensure_ascii=False, indent=1) + "\n").encode()


def _write_file(path: Path, content: Content) -> None:
    write_whole(path, content if isinstance(content, bytes) else content.read_bytes())


def _disk_hint() -> str:
    return "Check that the folder is writable and the disk has space. No partial files were left."
