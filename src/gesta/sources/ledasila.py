"""Videos of single signs and a table of them, as from a sign dictionary such as LedaSila.

    ROOT/signs.csv                 file,sign          optionally person; comma or semicolon
    ROOT/videos/00001.mp4 ...      paths in `file` are relative to the table

Such vocabularies have a long tail; `gesta.sources.frequent` picks the most frequent signs.
"""

from __future__ import annotations

from pathlib import Path

from gesta.schema import GestaError, Listing, Resource, Sample
from gesta.sources.files import inside, is_there, missing_videos
from gesta.sources.tables import read_table

LAYOUT = "ledasila"
TABLE = "signs.csv"


def matches(root: Path) -> bool:
    return (root / TABLE).is_file()


def read(root: Path) -> Listing:
    """Returns one sample per row, in the order of the table.

    Raises GestaError if a column or cell is missing, a file is listed twice, or videos are missing (up to 50 are
    listed).
    """
    path = root / TABLE
    if not path.is_file():
        raise GestaError(f"{root}: contains no {TABLE} with the columns file,sign. Write one with one row per video.")
    rows = read_table(path)
    header = [cell.lower() for cell in rows[0][1]] if rows else []
    if not {"file", "sign"} <= set(header):
        raise GestaError(f"{path}: expected the columns file,sign (and perhaps person), found {', '.join(header)}.")
    samples: dict[str, Sample] = {}
    missing = []
    for line, cells in rows[1:]:
        row = dict(zip(header, cells, strict=False))
        name, sign = row.get("file", ""), row.get("sign", "")
        if not name or not sign:
            raise GestaError(f"{path}:{line}: a row needs a file and a sign. Fill it in or remove the row.")
        if name in samples:
            raise GestaError(
                f"{path}:{line}: {name} already has a row. Each video shows one sign; remove one of the rows."
            )
        file = inside(root, name, f"{path}:{line}")
        if not is_there(file):
            missing.append(name)
        samples[name] = Sample(
            id=name, recording=name, color=Resource(file), label=sign, subject=row.get("person") or None
        )
    if missing:
        raise missing_videos(str(path), missing, "Add the videos, or remove their rows.")
    return Listing(root, LAYOUT, tuple(samples.values()))
