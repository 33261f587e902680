"""Writes a folder's `index.csv` from its structure, with people or labels extracted from names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gesta.files import csv_text, write_whole
from gesta.schema import GestaError, Listing, Resource, Sample, base
from gesta.sources.index_csv import INDEX_FILE, LAYOUT
from gesta.sources.name_patterns import NamePattern
from gesta.untrusted import valid_text

COLUMNS = ("path", "label", "subject", "split", "depth", "mask", "skeleton", "depth_unit_mm", "start_s", "end_s")


@dataclass(frozen=True)
class Written:
    """Result of writing: the rows, and names that the pattern does not match or that cannot be stored in a csv."""

    path: Path
    rows: int
    labels: tuple[str, ...]
    subjects: tuple[str, ...]
    unmatched: tuple[str, ...]
    left_out: tuple[str, ...]


def write_index(
    listing: Listing, subject: NamePattern | None = None, label: NamePattern | None = None, *, overwrite: bool = False
) -> Written:
    """Writes `index.csv` to the listing's root, with the non-empty columns. Pattern matches take precedence over
    folder names.

    Raises GestaError if the file exists (unless `overwrite`), the layout cannot be expressed as an index, a pattern
    matches no name, or the disk fails.
    """
    root = listing.root
    path = root / INDEX_FILE
    if not root.is_dir():
        raise GestaError(f"{root}: is not a folder. Give the data folder to write the index into.", usage=True)
    if not overwrite and path.exists():
        raise GestaError(f"{path}: already exists. Give --overwrite to replace it, or rename it.", usage=True)
    rows, unmatched = [], []
    left_out = [str(problem) for problem in listing.problems if base(listing.layout) == LAYOUT]  # rows of the old index
    for sample in listing.samples:
        row = _row(root, sample)
        if not _can_be_written(row["path"]):
            left_out.append(valid_text(row["path"]))
            continue
        for name, pattern in (("subject", subject), ("label", label)):
            found = pattern.find(row["path"]) if pattern is not None else None
            row[name] = found or row[name]
            if pattern is not None and not found:
                unmatched.append(row["path"])
        rows.append(row)
    if not rows or ((subject or label) and len(unmatched) >= len(rows) * ((subject is not None) + (label is not None))):
        names = ", ".join([*unmatched, *left_out][:3]) or "none"
        raise GestaError(
            f"{root}: the pattern matches none of the {len(listing.samples)} names, e.g. {names}. Nothing was written."
        )
    _write(path, rows)
    return Written(
        path,
        len(rows),
        tuple(sorted({row["label"] for row in rows} - {""})),
        tuple(sorted({row["subject"] for row in rows} - {""})),
        tuple(dict.fromkeys(unmatched)),
        tuple(left_out),
    )


def _row(root: Path, sample: Sample) -> dict[str, str]:
    if sample.first_frame is not None or any(resource.member for resource in sample.files):
        raise GestaError(
            f"{root}: its recordings are in archives or labeled by frame number; index.csv cannot express this."
        )
    main = sample.files[0]
    unit = "" if sample.depth_unit_mm == 1.0 else f"{sample.depth_unit_mm:.17g}"
    return {
        "path": _relative(root, main),
        "label": sample.label or "",
        "subject": sample.subject or "",
        "split": sample.split or "",
        "depth": "" if sample.color is None else _relative(root, sample.depth),
        "mask": _relative(root, sample.mask),
        "skeleton": "" if main == sample.skeleton else _relative(root, sample.skeleton),
        "depth_unit_mm": unit,
        "start_s": "" if sample.start_s is None else f"{sample.start_s:.17g}",
        "end_s": "" if sample.end_s is None else f"{sample.end_s:.17g}",
    }


def _relative(root: Path, resource: Resource | None) -> str:
    return "" if resource is None else resource.path.relative_to(root).as_posix()


def _can_be_written(name: str) -> bool:
    return name == valid_text(name) == name.strip() and "\\" not in name


def _write(path: Path, rows: list[dict[str, str]]) -> None:
    columns = [name for name in COLUMNS if name in ("path", "label") or any(row[name] for row in rows)]
    try:
        write_whole(path, csv_text([columns, *([row[name] for name in columns] for row in rows)]))
    except OSError as error:
        raise GestaError(f"{path}: cannot be written ({error.strerror}). Check that you may write there.") from error
