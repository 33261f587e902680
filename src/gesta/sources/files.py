"""Shared by all readers: recognizing videos, walking a folder in a stable order, reading small text files."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, cast

import yaml

from gesta.schema import IMAGE_SUFFIXES, GestaError, Split
from gesta.untrusted import open_file, read_bounded
from gesta.words import counted

VIDEO_SUFFIXES = (
    *(".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp", ".ogv", ".gif"),
    *(".ts", ".mts", ".m2ts", ".vob", ".asf"),
)
SPLIT_NAMES = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "development"), "val"),
    **dict.fromkeys(("test", "testing", "tst"), "test"),
}
"""Common names of the three splits, mapped to ours."""
_BESIDE_SPLIT = re.compile(r"(sets?|data|splits?|part|videos?|clips?|folder|images|frames|files|rgb|\d+)?")
_SYSTEM_FOLDERS = frozenset(
    {"__MACOSX", "@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information", "lost+found"}
)
SHOWN_MISSING = 50
NOT_YAML = (yaml.YAMLError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""Exceptions that PyYAML raises for invalid text, e.g. 2020-13-45, !!bool maybe, or 100,000 opening brackets."""


def split_name(text: str) -> Split | None:
    """Returns our name for `Train`, `validation`, `test` and the like, or None for other names."""
    return cast("Split | None", SPLIT_NAMES.get(text.strip().lower()))


def folder_split(name: str) -> Split | None:
    """Returns the split a folder name stands for, also `train_set`, `Test-Videos`, `01_val`; None for other names."""
    words = [word for word in re.split(r"[\W_]+", name.strip().lower()) if word]
    parts = {split_name(word) for word in words if split_name(word)}
    others = [word for word in words if not split_name(word)]
    return parts.pop() if len(parts) == 1 and all(_BESIDE_SPLIT.fullmatch(word) for word in others) else None


def split_lists(paths: Iterable[Path], pattern: re.Pattern[str]) -> dict[Split, Path]:
    """Returns the first file of each split, in the order train, val, test. A group of the pattern names the split."""
    found: dict[Split, Path] = {}
    for path in sorted(paths):
        name = pattern.fullmatch(path.name)
        part = split_name(next(filter(None, name.groups()))) if name else None
        if part is not None and path.is_file():
            found.setdefault(part, path)
    return {part: found[part] for part in ("train", "val", "test") if part in found}


def is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES


def frame_folders(files: Iterable[Path]) -> list[Path]:
    """Returns the parents of `files` with images but no video: each is a video, one image per frame."""
    videos, images = set(), Counter[Path]()
    for path in files:
        if is_video(path):
            videos.add(path.parent)
        elif path.suffix.lower() in IMAGE_SUFFIXES:
            images[path.parent] += 1
    return sorted(folder for folder, count in images.items() if count > 1 and folder not in videos)


def inside(root: Path, name: str, where: str) -> Path:
    """Returns a listed path below `root`. Raises GestaError that names `where` if it leads out of `root`."""
    relative = PurePosixPath(os.path.normpath(name.replace("\\", "/")))
    if relative.is_absolute() or ".." in relative.parts:
        raise GestaError(f"{where}: {name[:200]} is outside the folder {root}; paths in a list are relative to it.")
    return root / relative


def is_there(path: Path, *, folder: bool = False) -> bool:
    """Returns whether a listed file (or folder) exists; False for names that are invalid in the file system."""
    try:
        return path.is_dir() if folder else path.is_file()
    except (OSError, ValueError):
        return False


def is_hidden(name: str) -> bool:
    """Returns whether a name is a hidden or system file: `.DS_Store`, `._clip.mp4`, `__MACOSX`, thumbnails."""
    return name.startswith(".") or name in _SYSTEM_FOLDERS


def walk(root: Path, depth: int | None = None) -> Iterator[Path]:
    """Yields all regular files under `root`, sorted, without hidden ones. `depth` 1 is the folder itself; None has no
    limit. Links to files are followed, links to folders are not."""
    return (path for path, regular in walk_all(root, depth) if regular)


def walk_all(root: Path, depth: int | None = None) -> Iterator[tuple[Path, bool]]:
    """Like `walk`, but yields (path, whether it is a regular file), including pipes, sockets, devices, broken links
    and links to folders."""
    for folder, folders, names in os.walk(root):
        here = Path(folder)
        below = len(here.relative_to(root).parts) + 1
        linked = [name for name in folders if (here / name).is_symlink()]
        folders[:] = sorted(name for name in folders if not is_hidden(name)) if depth is None or below < depth else []
        for name in sorted([*names, *linked]):
            if not is_hidden(name):
                path = here / name
                yield path, path.is_file()


def decode_text(raw: bytes, name: str) -> str:
    """Decodes UTF-8 or, as saved by spreadsheets, UTF-16 or UTF-32, with or without byte order mark.

    Raises GestaError with the file's name for other data.
    """
    encoding = _encoding(raw)
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        shown = "UTF-8" if encoding == "utf-8-sig" else encoding.upper()
        raise GestaError(
            f"{name}: is not {shown} text ({error.reason} at byte {error.start}). Save it as UTF-8 "
            "(in a spreadsheet: CSV UTF-8)."
        ) from error


def _encoding(raw: bytes) -> str:
    """Detects the encoding by the byte order mark or, without one, by the position of zero bytes."""
    if raw.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return "utf-32"
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    head = raw[:400]
    even, odd = head[::2].count(0), head[1::2].count(0)
    if len(head) >= 4 and max(even, odd) > 0.3 * len(head) and min(even, odd) < 0.05 * len(head):
        return "utf-16-be" if even > odd else "utf-16-le"
    return "utf-8-sig"


def read_text(path: Path) -> str:
    """Reads a text file of at most 64 MB. Raises GestaError with its name if it is unreadable or not text."""
    try:
        with open_file(path) as stream:
            raw = read_bounded(stream)
    except (OSError, ValueError) as error:
        raise GestaError(f"{path}: cannot be read ({error}). Check the file.") from error
    return decode_text(raw, str(path))


def read_yaml(path: Path) -> Any:
    """Reads a small YAML file. Raises GestaError with the file's name if it is not YAML."""
    try:
        return yaml.safe_load(read_text(path))
    except NOT_YAML as error:
        reason = " ".join(str(error).split())
        raise GestaError(f"{path}: is not readable YAML ({reason}). Write it as `name: value` lines.") from error


def missing_videos(place: str, names: Sequence[str], hint: str) -> GestaError:
    """Returns the error for listed videos that are missing; it shows at most 50."""
    shown = "\n  ".join(names[:SHOWN_MISSING])
    more = f"\n  ... and {len(names) - SHOWN_MISSING} more" if len(names) > SHOWN_MISSING else ""
    return GestaError(f"{place} names {counted(len(names), 'video')} that cannot be found:\n  {shown}{more}\n{hint}")
