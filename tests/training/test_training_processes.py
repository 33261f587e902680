"""Two processes learn what one learns with the same batches: the gradients of their halves are averaged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent / "processes.py"


def losses(out: Path, devices: int, batch: int, which: str) -> list[float]:
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROGRAM.parents[1])}
    command = [sys.executable, str(PROGRAM), str(out), str(devices), str(batch), which]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=1200, check=False)
    assert done.returncode == 0, done.stderr
    return [row[name] for row in json.loads(done.stdout) for name in ("train_loss", "val_loss")]


@pytest.mark.slow
@pytest.mark.parametrize("which", ["c3d", "frozen"])
def test_two_processes_have_the_losses_of_one(which: str, tmp_path: Path) -> None:
    one, two = losses(tmp_path / "one", 1, 8, which), losses(tmp_path / "two", 2, 4, which)
    assert two == pytest.approx(one, rel=1e-5)
    assert abs(one[-2] / one[0] - 1) > 0.01  # the network did change, so there was something to agree on
    other = losses(tmp_path / "other", 1, 4, which)  # the same share of a process, alone: other updates
    assert other[2:] != pytest.approx(one[2:], rel=1e-3)
