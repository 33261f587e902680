"""Folders of videos named by class: `root/<label>/<any name, any depth>.{mp4,avi,mov,mkv,webm,...}`.

A video may be a folder of JPEG or PNG images, one per frame: `root/<label>/<clip>/00001.jpg`. If there is no video,
skeleton files (see `skeletons`) are the recordings: `root/<label>/01.npy`, with `root/joints.txt`.
Above or below the classes there may be folders for splits (`train/<label>/...`) and people (`anna/<label>/...`,
`<label>/p01/...`): see `folder_roles`. `level=2` means that the second folder is the class.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gesta.schema import Listing, Problem, Resource, Sample
from gesta.sources import skeletons
from gesta.sources.files import folder_split, frame_folders, is_hidden, is_video, walk, walk_all
from gesta.sources.folder_roles import Role, Roles, read_roles
from gesta.sources.headers import holds_depth
from gesta.sources.left_out import left_out, tables_beside
from gesta.untrusted import valid_text
from gesta.words import counted

LAYOUT = "class_folders"
FOLDER_ROLES = "folder-roles"
"""Kind of the problem that reports how ambiguous folders were interpreted."""


def matches(root: Path) -> bool:
    """Returns True if a subfolder of `root` contains a video or skeleton file."""
    files = []
    for path in walk(root) if root.is_dir() else ():
        if is_video(path) and path.parent != root:
            return True
        files.append(path)
    finder = skeletons.Finder(skeletons.joints_of(root)) if files else None
    return bool(_clip_folders(root, files)) or any(finder(path) for path in files if finder and path.parent != root)


def read(root: Path, level: int | None = None) -> Listing:
    """Returns one sample per video, sorted by path. `level`: depth of the label folder, 1 at the top; None: detect it.

    Clips above the class folders, or all clips if there are no classes, are unlabeled samples.
    """
    entries = list(walk_all(root))
    files = [path for path, regular in entries if regular]
    videos = [path for path in files if is_video(path) and path.parent != root]
    clips = sorted([*videos, *_clip_folders(root, files)])
    joints = skeletons.joints_of(root)
    of_skeletons = not clips
    if of_skeletons:
        clips = sorted(skeletons.among((path for path in files if path.parent != root), joints))
    relative = [path.relative_to(root) for path in clips]
    roles = read_roles([path.parts[:-1] for path in relative]) if level is None else _stated(relative, level)
    kept = [path for path in relative if roles.levels[0] != "split" or folder_split(path.parts[0])]
    named = [(path, _named(path, roles.levels)) for path in kept]
    if of_skeletons:
        samples = tuple(
            skeletons.skeleton_sample(root / path, path.as_posix(), joints, **known) for path, known in named
        )
    else:
        samples = tuple(_sample(root, path, known) for path, known in named)
    problems = [*_note(root, roles), *_unlabeled(root, samples, roles), *left_out(entries, set(clips))]
    return Listing(root, LAYOUT, samples, (*problems, *_folder_problems(root, samples, roles)))


def _clip_folders(root: Path, files: list[Path]) -> list[Path]:
    """Returns folders of images, one per frame, inside a class folder: `root/<label>/<clip>/00001.jpg`."""
    return [folder for folder in frame_folders(files) if len(folder.relative_to(root).parts) > 1]


def _stated(relative: list[Path], level: int) -> Roles:
    """Returns roles with the label at `level`; the top level is the split if all its names are split names."""
    above: list[Role] = ["group"] * (level - 1)
    if above and all(folder_split(path.parts[0]) for path in relative):
        above[0] = "split"
    return Roles((*above, "label"))


def _named(relative: Path, levels: tuple[Role, ...]) -> dict[str, Any]:
    """Returns the label, subject and split given by the folders above a clip."""
    named = dict(zip(levels, relative.parts[:-1], strict=False))
    split = folder_split(named["split"]) if "split" in named else None
    return {"label": named.get("label"), "subject": named.get("subject"), "split": split}


def _sample(root: Path, relative: Path, known: Mapping[str, Any]) -> Sample:
    name = relative.as_posix()
    path = root / relative
    depth = path.is_dir() and holds_depth(path)
    return Sample(
        id=name,
        recording=name,
        color=None if depth else Resource(path),
        depth=Resource(path) if depth else None,
        **known,
    )


def _note(root: Path, roles: Roles) -> Iterator[Problem]:
    if roles.note:
        number = roles.levels.index("label") + 1 if "label" in roles.levels else 1
        other = 1 if number > 1 else 2
        hint = f"If that is wrong: --format {LAYOUT}+level{other}, or write an index.csv (gesta data index)."
        yield Problem(str(root), FOLDER_ROLES, roles.note, hint)


def _unlabeled(root: Path, samples: tuple[Sample, ...], roles: Roles) -> Iterator[Problem]:
    """Reports clips too high in the tree to have a label, counted by folder."""
    places = Counter(Path(sample.id).parent for sample in samples if sample.label is None)
    beside = tables_beside(root)
    for folder, count in places.items():
        what = "part of the set" if roles.levels[0] == "split" and len(folder.parts) == 1 else "level above the classes"
        reason = f"has {counted(count, 'video')} directly in it, but is a {what}, so they have no label."
        hint = beside or "Move them into the folders of their classes, or write an index.csv with columns path,label."
        yield Problem(str(root / folder), "no-labels", reason, hint)


def _folder_problems(root: Path, samples: tuple[Sample, ...], roles: Roles) -> Iterator[Problem]:
    filled = {Path(sample.id).parts[0] for sample in samples}
    for path in sorted(root.iterdir()):
        if path.is_file() and is_video(path):
            reason = "is outside the class folders, so it has no label and is skipped."
            yield Problem(str(path), "no-labels", reason, "Move it into the folder of its class.")
        elif roles.levels[0] == "label" and _is_plain_folder(path) and valid_text(path.name) not in filled:
            reason = "contains no video, so this class is missing."
            yield Problem(str(path), "empty-class", reason, "Add videos or delete the folder.")


def _is_plain_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink() and not is_hidden(path.name)
