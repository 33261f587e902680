"""Videos without labels: a single file, or a folder with videos directly inside. For prediction and inspection."""

from __future__ import annotations

from pathlib import Path

from gesta.schema import Listing, Resource, Sample
from gesta.sources.files import is_video, walk

LAYOUT = "videos"


def matches(root: Path) -> bool:
    if root.is_file():
        return is_video(root)
    return any(is_video(path) for path in walk(root, depth=1))


def read(root: Path) -> Listing:
    """One sample without label a video, sorted by name."""
    paths = [root] if root.is_file() else [path for path in walk(root, depth=1) if is_video(path)]
    samples = tuple(Sample(id=path.name, recording=path.name, color=Resource(path)) for path in paths)
    return Listing(root, LAYOUT, samples)
