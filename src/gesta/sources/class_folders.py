"""A folder of class folders of videos: `root/<label>/<anything, deeper too>.{mp4,avi,mov,mkv,webm}`.

Who performs is not known here. Where the top folders are all named train, val or test, the labels are one level below
and the split is taken from the top: `root/train/<label>/...`.
"""

from __future__ import annotations

from pathlib import Path

from gesta.schema import Listing, Problem, Resource, Sample, Split
from gesta.sources.files import UNREAD_VIDEO_SUFFIXES, VIDEO_SUFFIXES, is_hidden, is_video, split_name, walk

LAYOUT = "class_folders"


def matches(root: Path) -> bool:
    """True where some video lies below `root` in a folder of its own."""
    return root.is_dir() and any(is_video(path) and path.parent != root for path in walk(root))


def read(root: Path) -> Listing:
    """One sample a video, sorted by path; the label is the name of the top folder."""
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not is_hidden(path.name))
    files = [path for path in walk(root) if path.parent != root]
    levels = 2 if _are_splits(root, folders, files) else 1
    samples: list[Sample] = []
    problems: list[Problem] = []
    for path in files:
        relative = path.relative_to(root)
        if is_video(path):
            samples.append(_sample(path, relative, levels))
        elif path.suffix.lower() in UNREAD_VIDEO_SUFFIXES:
            hint = f"Convert it to one of {', '.join(VIDEO_SUFFIXES)}."
            problems.append(Problem(str(path), "unread-format", f"videos of type {path.suffix} are not read.", hint))
    problems += _folder_problems(root, folders, samples, levels)
    return Listing(root, LAYOUT, tuple(samples), tuple(problems))


def _sample(path: Path, relative: Path, levels: int) -> Sample:
    split: Split | None = split_name(relative.parts[0]) if levels == 2 else None
    name = relative.as_posix()
    return Sample(id=name, recording=name, color=Resource(path), label=relative.parts[levels - 1], split=split)


def _are_splits(root: Path, folders: list[Path], files: list[Path]) -> bool:
    """True for `root/train/<label>/...`: only split names on top, and every video at least one folder below them."""
    videos = [path.relative_to(root) for path in files if is_video(path)]
    return all(split_name(folder.name) for folder in folders) and all(len(video.parts) >= 3 for video in videos)


def _folder_problems(root: Path, folders: list[Path], samples: list[Sample], levels: int) -> list[Problem]:
    problems = []
    for path in sorted(root.iterdir()):
        if path.is_file() and is_video(path):
            reason = "lies beside the class folders, so it has no label and is left out."
            problems.append(Problem(str(path), "no-labels", reason, "Move it into the folder of its class."))
    filled = {sample.label for sample in samples}
    for folder in folders:
        if levels == 1 and folder.name not in filled:
            reason = "holds no video, so the class does not exist."
            problems.append(Problem(str(folder), "empty-class", reason, "Add videos or delete the folder."))
    return problems
