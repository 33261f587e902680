"""What must not solve the synthetic gestures: a picture without time."""

import time

import numpy as np
import pytest
from synthetic_clips import all_summaries, nearest_accuracy

from gesta.schema import CHALEARN_GESTURES
from gesta.synthetic.chalearn2014 import plan_tasks
from gesta.synthetic.gestures import PROGRAMS
from gesta.synthetic.recording import Plan, prepare


def _by_split(people: int, recordings: int, size: tuple[int, int]) -> tuple[list, list]:
    tasks = plan_tasks(people, recordings, size, 0, 20, "standard")
    train = [t for t in tasks if t.folder.startswith("Train")]
    return train, [t for t in tasks if not t.folder.startswith("Train")]


@pytest.mark.slow
def test_nearest_neighbor_stays_below_half_on_unseen_people() -> None:
    train, test = _by_split(23, 2, (320, 240))
    train = [task for task in train if task.plan.take == 0]
    means, middles, ids = all_summaries(train, 2)
    test_means, test_middles, test_ids = all_summaries(test, 2)
    assert len(test_ids) >= 400 and len({t.plan.person for t in test}) >= 5
    assert not {t.plan.person for t in train} & {t.plan.person for t in test}
    for name, known, seen in (("mean", means, test_means), ("middle", middles, test_middles)):
        accuracy = nearest_accuracy(known, ids, seen, test_ids)
        print(f"nearest neighbor on {name} frames: {accuracy:.3f} ({len(test_ids)} clips)")
        assert 0.05 < accuracy < 0.5, name


def _visited(name: str) -> set[tuple[float, ...]]:
    """Poses of the main hand, regardless of order."""
    program = PROGRAMS[name]
    return {tuple(np.round(p, 6)) for p in (program.start, *(s.pose for s in program.cycle))}


@pytest.mark.parametrize(
    ("one", "other"), [("vattene", "vieniqui"), ("basta", "messidaccordo"), ("freganiente", "prendere")]
)
def test_pairs_that_differ_only_in_time_order(one: str, other: str) -> None:
    forward, backward = PROGRAMS[one], PROGRAMS[other]
    path = [forward.start, *(s.pose for s in forward.cycle)]
    back = [backward.start, *(s.pose for s in backward.cycle)]
    assert np.allclose(path, back[::-1])
    assert [s.frames for s in forward.cycle] == [s.frames for s in backward.cycle][::-1]
    assert not np.allclose(path, back)


def test_gestures_that_differ_only_in_the_hands_shape() -> None:
    programs = [PROGRAMS[name] for name in ("ok", "perfetto", "noncenepiu", "chevuoi")]
    for program in programs[1:]:
        assert [s.frames for s in program.cycle] == [s.frames for s in programs[0].cycle]
        assert np.allclose([s.pose[:9] for s in program.cycle], [s.pose[:9] for s in programs[0].cycle])
        assert not np.allclose(program.start[9:], programs[0].start[9:])


def test_gestures_that_differ_only_in_rhythm() -> None:
    fast, slow = PROGRAMS["fame"], PROGRAMS["cheduepalle"]
    assert _visited("fame") == _visited("cheduepalle")
    assert fast.cycle[0].frames * 3 < slow.cycle[0].frames
    assert fast.repeats > slow.repeats


def test_gestures_that_differ_only_in_the_number_of_hands() -> None:
    assert _visited("combinato") == _visited("chevuoi")
    assert PROGRAMS["combinato"].two_handed and not PROGRAMS["chevuoi"].two_handed


def test_every_gesture_has_a_program_of_usual_length() -> None:
    assert set(PROGRAMS) == set(CHALEARN_GESTURES) and len(CHALEARN_GESTURES) == 20
    recording = prepare(Plan(0, 2, 0, tuple(range(1, 21)), (320, 240), "standard"))
    lengths = [s.last - s.first + 1 for s in recording.spans]
    assert min(lengths) >= 12 and max(lengths) <= 90
    assert 25 <= np.median(lengths) <= 60


@pytest.mark.slow
def test_frames_per_second_before_encoding() -> None:
    recording = prepare(Plan(0, 0, 0, (1, 5, 11, 13), (320, 240), "standard"))
    start = time.process_time()
    n = sum(1 for _ in recording.frames())
    rate = n / (time.process_time() - start)
    print(f"{rate:.0f} frames/s at 320 x 240 on one core")
    assert rate >= 100
