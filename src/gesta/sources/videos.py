"""Videos without labels: a single one, or a folder with videos directly inside. For prediction and inspection.

A video is a file or a folder of JPEG or PNG images, one per frame. If there is none, skeleton files are read.
"""

from __future__ import annotations

from pathlib import Path

from gesta.schema import Listing, Problem, Resource, Sample
from gesta.sources import skeletons
from gesta.sources.files import frame_folders, is_video, walk, walk_all
from gesta.sources.headers import holds_depth
from gesta.sources.left_out import left_out, tables_beside

LAYOUT = "videos"


def matches(root: Path) -> bool:
    if root.is_file():
        return is_video(root) or bool(_skeletons(root))
    return any(is_video(path) for path in walk(root, depth=1)) or bool(_clip_folders(root)) or bool(_skeletons(root))


def read(root: Path) -> Listing:
    """Returns one unlabeled sample per video, sorted by name; 16-bit gray videos are depth."""
    folders = [] if root.is_file() else _clip_folders(root)
    if samples := () if folders else _skeletons(root):
        return Listing(root, LAYOUT, samples)
    if root.is_file() or folders == [root]:
        return Listing(root, LAYOUT, (_sample(root),))
    entries = list(walk_all(root, depth=1))
    paths = sorted([*(path for path, regular in entries if regular and is_video(path)), *folders])
    problems = list(left_out(entries, set(paths)))
    if beside := tables_beside(root):
        problems.append(Problem(str(root), "no-labels", "the videos have no labels.", beside))
    return Listing(root, LAYOUT, tuple(_sample(path) for path in paths), tuple(problems))


def _clip_folders(root: Path) -> list[Path]:
    """Returns `root` itself if it is a folder of images, one per frame, else such folders directly in it."""
    here = frame_folders(walk(root, depth=1))
    return here or [folder for folder in frame_folders(walk(root, depth=2)) if folder != root]


def _skeletons(root: Path) -> tuple[Sample, ...]:
    """Returns `root` itself if it is a skeleton file, or those directly in it if it contains no video."""
    folder, paths = (root.parent, [root]) if root.is_file() else (root, list(walk(root, depth=1)))
    if any(is_video(path) for path in paths):
        return ()
    joints = skeletons.joints_of(folder)
    return tuple(skeletons.skeleton_sample(path, path.name, joints) for path in skeletons.among(paths, joints))


def _sample(path: Path) -> Sample:
    if holds_depth(path):
        return Sample(id=path.name, recording=path.name, depth=Resource(path))
    return Sample(id=path.name, recording=path.name, color=Resource(path))
