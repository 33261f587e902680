"""Reports files that look like videos, pictures or archives but are not read, with a reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from gesta.schema import Problem
from gesta.sources.files import VIDEO_SUFFIXES, is_video
from gesta.words import counted

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".heic", ".ppm", ".pgm", ".jp2", ".dng")
ARCHIVE_SUFFIXES = (".zip", ".rar", ".7z", ".tar", ".tgz", ".gz", ".bz2", ".xz")
OTHER_VIDEO_SUFFIXES = (
    *(".3g2", ".divx", ".dv", ".f4v", ".h264", ".h265", ".264", ".265", ".hevc", ".m2v", ".mjpeg", ".mjpg", ".mpe"),
    *(".mxf", ".ogg", ".ogm", ".qt", ".rm", ".rmvb", ".swf", ".tod", ".mod", ".y4m", ".yuv", ".ivf", ".av1", ".obu"),
    *(".bag", ".oni", ".svo", ".xef", ".insv", ".braw", ".r3d", ".part", ".crdownload"),
)
TABLE_SUFFIXES = (".csv", ".tsv", ".xlsx", ".xls", ".ods")
_NEVER_VIDEOS = frozenset(
    {*TABLE_SUFFIXES, ".txt", ".json", ".jsonl", ".xml", ".md", ".npy", ".npz", ".yaml", ".yml", ".pdf", ".html", ".py"}
    | {".mat", ".h5", ".hdf5", ".pkl", ".srt", ".vtt", ".eaf", ".wav", ".mp3", ".log", ".ini", ".cfg", ".toml", ".bvh"}
)


def left_out(entries: Iterable[tuple[Path, bool]], used: Collection[Path]) -> Iterator[Problem]:
    """Yields problems for entries of `walk_all` that no sample uses; pictures are counted once per folder."""
    pictures: Counter[Path] = Counter()
    for path, regular in entries:
        suffix = path.suffix.lower()
        if path in used or path.parent in used:
            continue
        if not regular:
            if is_video(path) or path.is_dir():
                yield _irregular(path)
        elif suffix in IMAGE_SUFFIXES:
            pictures[path.parent] += 1
        elif suffix in ARCHIVE_SUFFIXES:
            yield Problem(str(path), "archive", "is an archive; archives are not opened.", "Unpack it.")
        elif suffix in OTHER_VIDEO_SUFFIXES or (not is_video(path) and suffix not in _NEVER_VIDEOS and _is_media(path)):
            kind = f"{suffix} files" if suffix else "files without an extension"
            reason = f"looks like a video, but {kind} are not read."
            hint = f"Convert or rename it to one of {', '.join(VIDEO_SUFFIXES[:5])}."
            yield Problem(str(path), "unread-format", reason, hint)
    for folder, count in sorted(pictures.items()):
        reason = f"contains {counted(count, 'image')} that no sample uses."
        yield Problem(str(folder), "pictures-left-out", reason, "Give each clip its own folder of frames, or a video.")


def tables_beside(root: Path) -> str:
    """Returns a sentence on unread tables in a folder, or "" if there are none."""
    names = (
        sorted(path.name for path in root.iterdir() if path.suffix.lower() in TABLE_SUFFIXES) if root.is_dir() else []
    )
    return (
        f"{', '.join(names[:3])} in this folder is not read: rename it to index.csv, with the columns path,label."
        if names
        else ""
    )


def _irregular(path: Path) -> Problem:
    if path.is_symlink():
        what = "is a link to a folder; links are not followed" if path.is_dir() else "is a link that leads to no file"
        return Problem(str(path), "link", f"{what}.", "Put the files themselves there.")
    return Problem(str(path), "no-file", "is a pipe, socket or device, not a file; it is not opened.", "Remove it.")


def _is_media(path: Path) -> bool:
    """Detects media by their first bytes: mp4 and mov, avi, Matroska and webm, gif, flv, mpeg, asf, ogg."""
    try:
        with path.open("rb") as stream:
            head = stream.read(12)
    except OSError:
        return False
    starts = (b"\x1aE\xdf\xa3", b"GIF8", b"FLV\x01", b"\0\0\x01\xba", b"\0\0\x01\xb3", b"0&\xb2u\x8ef\xcf\x11", b"OggS")
    return head.startswith(starts) or head[4:8] == b"ftyp" or (head[:4] == b"RIFF" and head[8:12] == b"AVI ")
