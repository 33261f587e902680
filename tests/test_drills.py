"""The drills detect what is lost, duplicated or different, and run end to end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools.drills.kills import Tally
from tools.drills.works import Result


def test_what_is_wrong_is_counted_and_kept(tmp_path: Path) -> None:
    tally = Tally(tmp_path / "cache.json", count=4)
    expected = Result({"a": "1", "b": "2"})
    tally.compare(expected, expected, interrupted=True)
    assert tally.good
    tally.compare(Result({"a": "1"}), expected, interrupted=False)
    tally.compare(Result({"a": "1", "b": "2", "c": "3"}, doubled=("a",)), expected, interrupted=False)
    tally.compare(Result({"a": "1", "b": "other"}), expected, interrupted=False)
    again = Tally.read(tmp_path / "cache.json")
    assert (again.compared, again.lost, again.doubled, again.unequal) == (4, 1, 2, 1) and not again.good
    told = "4 disturbances, 4 finished and compared (1 of them interrupted): 1 lost, 2 duplicated, 1 different"
    assert told in again.line("cache")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="forks and kills")
def test_killed_filling_of_the_cache(tmp_path: Path) -> None:
    words = ["-m", "tools.drills", "cache", "--count", "2", "--out", str(tmp_path)]
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, *words], cwd=root, env=os.environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "cache: 2 disturbances" in done.stdout and "0 lost, 0 duplicated, 0 different" in done.stdout
