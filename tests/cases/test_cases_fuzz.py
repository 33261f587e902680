"""A short run of the fuzzer, and that it sees what it is for."""

from __future__ import annotations

import numpy as np
import pytest

from tools import fuzz
from tools.fuzz_damage import damage_bytes


@pytest.mark.slow
def test_a_short_run_finds_nothing():
    report = fuzz.run(seconds=45, seed=20_000, most=1200)
    assert report.failures == []
    assert sum(report.inputs.values()) >= 200
    assert set(report.answers) == {"read", "refused"}
    assert report.slowest_s < fuzz.HANG_S
    assert report.peak_mb < fuzz.MOST_MB


def test_kept_inputs_are_tried_first(monkeypatch, tmp_path):
    kept = tmp_path / "kept.txt"
    kept.write_text("# comment\nbundle:3:284 # why\n\n")
    monkeypatch.setattr(fuzz, "KEPT", kept)
    first, second, *_ = (case for case, _ in zip(fuzz.cases(9), range(3), strict=False))
    assert (str(first), second.seed, second.number) == ("bundle:3:284", 9, 0)


@pytest.mark.parametrize("line", [line for line in fuzz.KEPT.read_text().splitlines() if not line.startswith("#")])
def test_what_failed_before_is_answered(line, tmp_path):
    assert fuzz.attempt(fuzz.Case.parse(line), tmp_path) in ("read", "refused")


def test_anything_but_an_answer_is_a_failure(monkeypatch, tmp_path):
    from tools import fuzz_targets

    def broken(_rng, _root):
        raise ZeroDivisionError("as if")

    monkeypatch.setitem(fuzz_targets.TARGETS, "broken", broken)
    case = fuzz.Case("broken", 1, 2)
    answer = fuzz.attempt(case, tmp_path)
    assert "ZeroDivisionError: as if" in answer
    report = fuzz.Report()
    report.add(case, answer, 0.5, 100)
    report.add(fuzz.Case("video", 1, 2), "refused", 0.1, 90)
    assert (report.failures, report.slowest, report.peak_mb) == ([("broken:1:2", answer)], "broken:1:2", 100)


@pytest.mark.integration
def test_a_process_that_dies_is_a_failure(tmp_path):
    worker = fuzz.Worker(tmp_path / "w")
    worker.case = fuzz.Case("video", 1, 1)
    worker.process.kill()
    worker.process.join()
    answer, _, _ = worker.poll()
    assert answer == "the process died (-9)"
    worker.stop()


def test_the_same_numbers_make_the_same_damage():
    data = bytes(range(256)) * 4
    one, other = (damage_bytes(np.random.default_rng(5), data, data) for _ in range(2))
    assert one == other != data
