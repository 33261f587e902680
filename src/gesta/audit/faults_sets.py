"""Faults of the whole set: people or files in several splits, small, unbalanced or single classes, mixed modalities."""

from __future__ import annotations

import hashlib
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from gesta.audit.probing import main_video
from gesta.schema import GestaError, Problem, Resource, Sample, grouped
from gesta.words import counted

FEWEST_CLIPS = 5
"""A class needs some clips in each of train, validation and test."""
STRONG_IMBALANCE = 5


def class_faults(root: Path, samples: Sequence[Sample]) -> Iterator[Problem]:
    """Yields missing labels, a single class, classes with too few clips, and strong class imbalance."""
    counts = Counter(s.label for s in samples if s.label is not None)
    if not samples:
        return
    if not counts:
        hint = "They can be used by gesta predict, but not for training."
        yield Problem(str(root), "no-labels", "no sample has a label.", hint)
        return
    if len(counts) == 1:
        reason = f"there is only one class, {next(iter(counts))}."
        yield Problem(str(root), "one-class", reason, "Add a second class: a classifier needs at least two.")
    for label, count in sorted(counts.items()):
        if count < FEWEST_CLIPS:
            reason = f"class {label} has {counted(count, 'clip')}, fewer than the {FEWEST_CLIPS} needed."
            hint = "Record more, or leave the class out."
            yield Problem(str(root), "few-clips", reason, hint)
    (most, high), (least, low) = counts.most_common()[0], counts.most_common()[-1]
    if high > STRONG_IMBALANCE * low:
        reason = f"class {most} has {high} clips and {least} has {low}, more than {STRONG_IMBALANCE} times fewer."
        hint = "Accuracy is dominated by the large classes; look at the results per class."
        yield Problem(str(root), "imbalance", reason, hint)


def people_faults(root: Path, samples: Sequence[Sample]) -> Iterator[Problem]:
    """Yields missing subjects (all or some), and people in both train (or validation) and test."""
    labeled = [s for s in samples if s.label is not None]
    unnamed = [s for s in labeled if s.subject is None]
    hint = (
        "Name the person of each recording (subject in index.csv, or gesta_subjects.csv), so that splits are by person."
    )
    if labeled and len(unnamed) == len(labeled):
        reason = "there is no information on people; the accuracy will be optimistic for new people."
        yield Problem(str(root), "no-people", reason, hint)
    elif unnamed:
        reason = f"{len(unnamed)} of {counted(len(labeled), 'sample')} have no person, e.g. {unnamed[0].id}."
        yield Problem(str(root), "no-people", reason, hint)
    parts: dict[str, set[str]] = defaultdict(set)
    for sample in labeled:
        if sample.subject is not None and sample.split is not None:
            parts[sample.split].add(sample.subject)
    for part in ("train", "val"):
        for person in sorted(parts[part] & parts["test"]):
            reason = f"person {person} is in both {part} and test."
            hint = "Keep a person on one side; otherwise the accuracy is optimistic for new people."
            yield Problem(str(root), "same-person", reason, hint)


def same_file_faults(samples: Sequence[Sample]) -> Iterator[Problem]:
    """Yields videos used in several splits and videos with identical content, compared by size, then SHA-256."""
    users = grouped((main_video(sample), sample) for sample in samples)
    for resource, ours in users.items():
        splits = sorted({s.split or "no split" for s in ours})
        if "test" in splits and len(splits) > 1:
            reason = f"its spans are in {' and '.join(splits)}."
            yield Problem(str(resource), "same-file", reason, "Put all spans of a recording into one part.")
    for group in same_content(list(users)):
        first = group[0]
        for other in group[1:]:
            yield _same_file(first, users[first], other, users[other])


def same_content(resources: Sequence[Resource]) -> list[list[Resource]]:
    """Returns groups of at least two files (not folders) with identical bytes, in the order of the list."""
    members: dict[Path, dict[str, int]] = {}
    sizes = grouped((size, resource) for resource in resources if (size := _size(resource, members)))
    doubtful = [resource for same_size in sizes.values() if len(same_size) > 1 for resource in same_size]
    hashes = grouped((digest, one) for one in doubtful if (digest := _sha256(one)) is not None)
    return [group for group in hashes.values() if len(group) > 1]


def mixed_faults(root: Path, samples: Sequence[Sample]) -> Iterator[Problem]:
    """Yields modalities that only some samples have."""
    for name in ("color", "depth", "mask", "skeleton"):
        lacking = [s for s in samples if name not in s.modalities]
        if 0 < len(lacking) < len(samples):
            reason = f"{len(lacking)} of {len(samples)} samples have no {name}, e.g. {lacking[0].id}."
            hint = f"A recipe that uses {name} skips these."
            yield Problem(str(root), "mixed-modalities", reason, hint)


def _same_file(first: Resource, ours: Sequence[Sample], other: Resource, theirs: Sequence[Sample]) -> Problem:
    labels = sorted({s.label or "none" for s in (*ours, *theirs)})
    splits = {s.split for s in ours} | {s.split for s in theirs}
    reason = f"has the same content as {first}"
    if "test" in splits and len(splits) > 1:
        reason += f", and they are in {' and '.join(sorted(split or 'no split' for split in splits))}"
    elif splits == {None} and labels != ["none"]:
        reason += ", and the two may end up in train and test"
    if len(labels) > 1 and len(ours) == len(theirs) == 1:
        reason += f"; their labels differ: {', '.join(labels)}"
    return Problem(str(other), "same-file", reason + ".", "Keep one of them.")


def _size(resource: Resource, members: dict[Path, dict[str, int]]) -> int:
    """Returns a size in bytes, 0 for folders and unreadable files. `members` caches the sizes inside each zip."""
    try:
        if resource.member is None:
            return resource.path.stat().st_size if resource.path.is_file() else 0
        if resource.path not in members:
            with zipfile.ZipFile(resource.path) as archive:
                members[resource.path] = {item.filename: item.file_size for item in archive.infolist()}
        return members[resource.path].get(resource.member, 0)
    except (OSError, zipfile.BadZipFile):
        return 0


def _sha256(resource: Resource) -> str | None:
    try:
        with resource.open() as stream:
            digest = hashlib.sha256()
            while block := stream.read(1 << 20):
                digest.update(block)
            return digest.hexdigest()
    except (GestaError, OSError):
        return None
