"""Videos without labels: a single file, or a folder with videos directly inside. For prediction and inspection."""

from __future__ import annotations

from pathlib import Path

from gesta.schema import Listing, Resource, Sample
from gesta.sources.files import is_video, walk
from gesta.sources.headers import holds_depth

LAYOUT = "videos"


def matches(root: Path) -> bool:
    if root.is_file():
        return is_video(root)
    return any(is_video(path) for path in walk(root, depth=1))


def read(root: Path) -> Listing:
    """One sample without label a video, sorted by name; videos of 16-bit grey are depth."""
    paths = [root] if root.is_file() else [path for path in walk(root, depth=1) if is_video(path)]
    return Listing(root, LAYOUT, tuple(_sample(path) for path in paths))


def _sample(path: Path) -> Sample:
    if holds_depth(path):
        return Sample(id=path.name, recording=path.name, depth=Resource(path))
    return Sample(id=path.name, recording=path.name, color=Resource(path))
