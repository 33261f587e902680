"""Preprocessed clips in shards, as written by `gesta data pack` (gesta.clips.shards)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gesta.clips.shards import CONTENTS, ShardIndex, read_contents, read_index
from gesta.schema import KINECT_JOINTS, GestaError, Listing, Resource, Sample

LAYOUT = "shards"


def matches(root: Path) -> bool:
    return (root / CONTENTS).is_file()


def read(root: Path) -> Listing:
    """Returns every clip, in the order of the original data, whose layout the listing has. Clips that could not be
    preprocessed are included, so that splits match those of the original data.

    Raises GestaError if the packing is unfinished or an index is damaged.
    """
    contents = read_contents(root)
    if contents.shards is None:
        raise GestaError(f"{root}: packing has not finished. Run the same gesta data pack command again.")
    shared: dict[Any, Any] = {}
    samples: list[Sample] = []
    for shard in contents.shards:
        path = root / shard.name
        index = read_index(path)
        if index.sha256 != shard.sha256:
            raise GestaError(
                f"{path}: is not the shard that {CONTENTS} lists there. Copy the folder again, or run the same gesta "
                "data pack command again."
            )
        samples += _samples(path, index, shared)
    if contents.order is not None:
        if sorted(contents.order) != list(range(len(samples))):
            raise GestaError(
                f"{root / CONTENTS}: its order of clips does not fit the shards. Run gesta data pack again."
            )
        samples = [samples[place] for place in contents.order]
    return Listing(root, contents.layout, tuple(samples))


def _samples(path: Path, index: ShardIndex, shared: dict[Any, Any]) -> Iterator[Sample]:
    """Yields the clips of one shard; equal values share one object (`shared`)."""

    def one(value: Any) -> Any:
        return shared.setdefault(value, value)

    for i, name in enumerate(index.id):
        place = Resource(path, f"{index.first + i:09d}.npy", fps=one(index.fps[i]))
        recording = index.recording[i]
        yield Sample(
            name,
            name if recording == name else one(recording),
            **dict.fromkeys(index.modalities[i].split("+"), place),  # type: ignore[arg-type]
            label=one(index.label[i]),
            subject=one(index.subject[i]),
            split=index.split[i],
            first_frame=index.first_frame[i],
            last_frame=index.last_frame[i],
            joints=KINECT_JOINTS if index.crops[i] else (),
        )
