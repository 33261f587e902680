"""Data folders with an index.csv, to put one fault each into."""

from __future__ import annotations

import pytest
from audit.videos import write_video


@pytest.fixture
def healthy(tmp_path):
    """Two classes, three people, two clips each: nothing wrong with it."""
    rows = []
    for person in range(3):
        for label in ("wave", "clap"):
            for take in range(2):
                name = f"{label}_{person}_{take}.mkv"
                write_video(tmp_path / name, seed=len(rows), frames=10)
                rows.append(f"{name},{label},p{person},{('train', 'val', 'test')[person]}")
    index = tmp_path / "index.csv"
    index.write_text("\n".join(["path,label,subject,split", *rows]) + "\n")
    return tmp_path
