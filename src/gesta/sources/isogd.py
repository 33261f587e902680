"""ChaLearn IsoGD (Wan et al. 2016): isolated gestures in 249 classes as color and depth videos.

    ROOT/train_list.txt, valid_list.txt, test_list.txt    or train.txt, valid.txt, test.txt
    train/001/M_00001.avi train/001/K_00001.avi 36        color, depth, class from 1; no class if it is not public

The performers are unknown; the splits have different people. Depth is an 8-bit video without a scale: a gray level is
taken as 16 mm (Decision), which is correct up to a factor.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from gesta.schema import GestaError, Listing, Problem, Resource, Sample, Split
from gesta.sources.files import inside, is_there, missing_videos, read_text

LAYOUT = "isogd"
LISTS: dict[str, Split] = {"train": "train", "valid": "val", "test": "test"}
DEPTH_UNIT_MM = 16.0

Modality = Literal["rgb", "depth", "both"]


def matches(root: Path) -> bool:
    """Returns True if the first line of a list begins with a color video `M_...`."""
    return root.is_dir() and any(_names_pairs(path) for path in _lists(root).values())


def read(root: Path, modality: Modality = "both") -> Listing:
    """Returns one sample per line of the lists, in order; repeated videos are skipped and reported.

    `modality`: which of the two videos a sample has.
    Raises GestaError if there is no list, a line has another format, or videos are missing (up to 50 are listed).
    """
    lists = _lists(root)
    if not lists:
        raise GestaError(
            f"{root}: contains no train_list.txt, valid_list.txt or test_list.txt. Copy the lists of IsoGD there."
        )
    samples: dict[str, Sample] = {}
    problems: list[Problem] = []
    missing: list[str] = []
    for part, path in lists.items():
        for number, line in enumerate(read_text(path).splitlines(), 1):
            if not line.strip():
                continue
            sample = _sample(root, part, f"{path}:{number}", line.split(), modality, missing)
            if sample.id in samples:
                first = samples[sample.id]
                reason = f"{sample.id} is already listed, in part {first.split} with class {first.label or 'unknown'}."
                problems.append(Problem(f"{path}:{number}", "row-twice", reason, "The line is skipped; correct it."))
            else:
                samples[sample.id] = sample
    if missing:
        hint = "Unpack all parts of the set, or remove the lines from the lists."
        raise missing_videos(f"{root}: a list of IsoGD", missing, hint)
    return Listing(root, LAYOUT, tuple(samples.values()), tuple(problems))


def _sample(root: Path, part: Split, place: str, words: list[str], modality: Modality, missing: list[str]) -> Sample:
    if len(words) not in (2, 3) or (len(words) == 3 and not words[2].isdecimal()):
        raise GestaError(f"{place}: expected a color video, a depth video and a class, found {' '.join(words)!r}.")
    color, depth = (inside(root, word, place) for word in words[:2])
    wanted = {"rgb": (color,), "depth": (depth,), "both": (color, depth)}[modality]
    missing.extend(path.relative_to(root).as_posix() for path in wanted if not is_there(path))
    return Sample(
        id=words[0],
        recording=words[0],
        color=None if modality == "depth" else Resource(color),
        depth=None if modality == "rgb" else Resource(depth),
        label=f"{int(words[2]):03d}" if len(words) == 3 else None,
        split=part,
        depth_unit_mm=1.0 if modality == "rgb" else DEPTH_UNIT_MM,
    )


def _lists(root: Path) -> dict[Split, Path]:
    found: dict[Split, Path] = {}
    for name, part in LISTS.items():
        for path in (root / f"{name}_list.txt", root / f"{name}.txt"):
            if path.is_file():
                found.setdefault(part, path)
    return found


def _names_pairs(path: Path) -> bool:
    with path.open("rb") as stream:
        first = stream.readline(400).split()
    return len(first) >= 2 and first[0].rpartition(b"/")[2].startswith(b"M_")
