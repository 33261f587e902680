"""Reads files from an untrusted folder or zip: only plain files inside it, of limited size."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path, PurePosixPath, PureWindowsPath

from gesta.schema import GestaError
from gesta.untrusted import ZIP_FAULTS, open_file

MAX_BYTES = 2 * 1024**3
"""Maximum size of a bundle and of each file in it."""
MAX_EXPANSION = 200
"""Zips that unpack to more than this many times their size are rejected (weights hardly compress)."""
SMALL_BYTES = 64 * 1024**2
"""Below this unpacked size, the expansion is not checked."""


def check_name(name: str, bundle: Path) -> str:
    """Returns `name` if it is a plain relative path with forward slashes.

    Raises GestaError for `..`, absolute paths, drive letters, backslashes and empty names.
    """
    parts = PurePosixPath(name).parts
    bad = not parts or "\0" in name or "\\" in name or ".." in parts or PurePosixPath(name).is_absolute()
    if bad or PureWindowsPath(name).drive or ":" in name or PurePosixPath(name).as_posix() != name:
        raise GestaError(
            f"{bundle}: the path {name!r} leads outside the bundle or is not a plain relative path. "
            "A bundle may only name files inside itself. Do not use this one; get it again from its author."
        )
    return name


def read_member(bundle: Path, name: str, limit: int = MAX_BYTES) -> bytes:
    """Returns the content of one file of a bundle (folder or zip).

    Raises GestaError if the name leads outside, the file is missing, is a link, is too large or is unreadable.
    """
    check_name(name, bundle)
    try:
        return _from_folder(bundle, name, limit) if bundle.is_dir() else _from_zip(bundle, name, limit)
    except ZIP_FAULTS as error:
        raise GestaError(f"{bundle}: {name} cannot be read ({error}). The bundle is damaged; copy it again.") from error


def is_zipped_bundle(path: Path) -> bool:
    """Returns whether a file is a zip with a manifest; PyTorch's .pth files are zips, too."""
    try:
        with open_file(path) as stream, zipfile.ZipFile(stream) as archive:
            return _top_folder(archive) + "manifest.json" in archive.namelist()
    except ZIP_FAULTS:
        return False


def check_zip(archive: zipfile.ZipFile, bundle: Path) -> None:
    """Raises GestaError if a member leads outside, is a link or a duplicate, or the unpacked size is too large."""
    seen: set[str] = set()
    for info in archive.infolist():
        check_name(info.filename.rstrip("/"), bundle)
        if stat.S_ISLNK(info.external_attr >> 16):
            raise GestaError(
                f"{bundle}: {info.filename} is a link. A bundle contains plain files only; pack it without links."
            )
        if info.filename in seen:
            raise GestaError(f"{bundle}: {info.filename} is in the zip twice. Pack the bundle again.")
        seen.add(info.filename)
    unpacked = sum(info.file_size for info in archive.infolist())
    allowed = max(SMALL_BYTES, MAX_EXPANSION * bundle.stat().st_size)
    if unpacked > min(MAX_BYTES, allowed):
        raise GestaError(
            f"{bundle}: would unpack from {bundle.stat().st_size:,} to {unpacked:,} bytes. "
            "That is not a model (perhaps a zip bomb), so it was not opened."
        )


def _from_folder(bundle: Path, name: str, limit: int) -> bytes:
    path = bundle
    for part in PurePosixPath(name).parts:
        path = path / part
        if path.is_symlink():
            raise GestaError(
                f"{bundle}: {name} is a link. A bundle contains plain files only; put the file itself there."
            )
    if not path.is_file():
        raise GestaError(f"{bundle}: {name} is missing. The bundle is incomplete; copy it again with all its files.")
    with path.open("rb") as stream:
        return _bounded(stream.read(limit + 1), bundle, name, limit)


def _from_zip(bundle: Path, name: str, limit: int) -> bytes:
    with open_file(bundle) as file, zipfile.ZipFile(file) as archive:
        check_zip(archive, bundle)
        try:
            info = archive.getinfo(_top_folder(archive) + name)
        except KeyError:
            raise GestaError(f"{bundle}: {name} is missing. The bundle is incomplete; pack or copy it again.") from None
        with archive.open(info) as stream:
            return _bounded(stream.read(limit + 1), bundle, name, limit)


def _top_folder(archive: zipfile.ZipFile) -> str:
    """Returns "" or "name/": zips made by hand often contain the bundle's folder instead of its files."""
    names = archive.namelist()
    if "manifest.json" in names:
        return ""
    tops = {name.split("/", 1)[0] for name in names}
    return f"{tops.pop()}/" if len(tops) == 1 else ""


def _bounded(data: bytes, bundle: Path, name: str, limit: int) -> bytes:
    if len(data) > limit:
        raise GestaError(f"{bundle}: {name} is larger than {limit:,} bytes, the limit for such a file.")
    return data
