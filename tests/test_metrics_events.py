"""Each measure of events against a slow obvious loop or an example worked by hand."""

import numpy as np
import pytest

from gesta import metrics_events as m
from gesta.metrics_events import Event


def random_set(seed, recordings=6, frames=120, classes=3):
    """True and predicted events: true ones apart from each other, predicted ones anywhere, often near a true one."""
    rng = np.random.default_rng(seed)
    truth, predicted = [], []
    for _ in range(recordings):
        bounds = np.sort(rng.choice(frames, size=8, replace=False))
        true = [Event(int(rng.integers(classes)), int(a), int(b)) for a, b in bounds.reshape(-1, 2)]
        results = []
        for event in true:
            for _ in range(rng.integers(0, 3)):
                start = int(max(event.start + rng.integers(-8, 9), 0))
                end = int(start + rng.integers(1, 30))
                label = event.label if rng.random() < 0.8 else int(rng.integers(classes))
                results.append(Event(label, start, end, start + int(rng.integers(0, 20))))
        truth.append(true)
        predicted.append(results)
    return truth, predicted


def slow_match(truth, predicted):
    """The rule as it is written, frame lengths counted one by one."""
    found, right, false = [], [], []
    for number, (label, start, end, _) in enumerate(predicted):
        verdict = "false"
        for i, (true_label, first, last, _) in enumerate(truth):
            if i in found or true_label != label or (end - start) > 2 * (last - first):
                continue
            shared = len(set(range(int(start), int(end))) & set(range(int(first), int(last))))
            if 2 * shared >= last - first and verdict != "right":
                verdict = "right"
                found.append(i)
                right.append((i, number))
            elif shared > 0 and verdict == "false":
                verdict = "neither"
        if verdict == "false":
            false.append(number)
    return right, false


@pytest.mark.parametrize("seed", range(20))
def test_match_equals_loop(seed):
    for truth, predicted in zip(*random_set(seed), strict=True):
        found = m.match(truth, predicted)
        assert (found.right, found.false) == slow_match(truth, predicted)


def test_match_by_hand():
    truth = [Event("a", 10, 20), Event("b", 30, 40), Event("a", 50, 60)]
    results = [
        Event("a", 8, 11),  # touches the first, covers too little: neither
        Event("a", 12, 17),  # half of the first: right
        Event("a", 12, 18),  # the first was found already: false
        Event("b", 25, 46),  # more than twice as long: false
        Event("b", 30, 50),  # exactly twice as long: right
        Event("a", 60, 65),  # only meets the end of the third: false
        Event("a", 58, 52),  # reversed: false
        Event("c", 50, 60),  # another label: false
    ]
    found = m.match(truth, results)
    assert found.right == [(0, 1), (1, 4)]
    assert found.false == [2, 3, 5, 6, 7]


def test_shrec_rates_by_hand():
    truth = [[Event("a", 0, 10), Event("b", 20, 30)], [Event("a", 0, 10)]]
    predicted = [[Event("a", 0, 10, 4), Event("a", 40, 50, 45)], [Event("c", 0, 10, 5)]]
    rates = m.shrec_rates(truth, predicted)
    # a: 2 true, 1 right, 1 false; b: 1 true, nothing; c is in no class
    assert rates.detection_rate == pytest.approx((1 / 2 + 0) / 2)
    assert rates.false_positive_rate == pytest.approx((1 / 2 + 0) / 2)
    assert rates.jaccard_index == pytest.approx((1 / 3 + 0) / 2)
    assert rates.delay == 4
    assert rates.by_class["a"] == m.ClassRates(2, 1, 1, (4,))


@pytest.mark.parametrize("seed", range(5))
def test_shrec_rates_equal_loop(seed):
    truth, predicted = random_set(seed)
    true, right, false, waits = {}, {}, {}, {}
    for t, p in zip(truth, predicted, strict=True):
        hits, wrong = slow_match(t, p)
        for event in t:
            true[event.label] = true.get(event.label, 0) + 1
        for _, number in hits:
            right[p[number].label] = right.get(p[number].label, 0) + 1
            waits.setdefault(p[number].label, []).append(p[number].decided - p[number].start)
        for number in wrong:
            false[p[number].label] = false.get(p[number].label, 0) + 1
    rates = m.shrec_rates(truth, predicted)
    assert rates.detection_rate == pytest.approx(np.mean([right.get(c, 0) / true[c] for c in true]))
    assert rates.false_positive_rate == pytest.approx(np.mean([false.get(c, 0) / true[c] for c in true]))
    assert rates.jaccard_index == pytest.approx(np.mean([right.get(c, 0) / (true[c] + false.get(c, 0)) for c in true]))
    assert rates.delay == pytest.approx(np.mean([np.mean(v) for v in waits.values()]))


def test_shrec_delay_without_right_results_is_none():
    assert m.shrec_rates([[Event("a", 0, 10)]], [[]]).delay is None


def test_rates_need_true_events():
    for measure in (m.shrec_rates, m.edit_error):
        with pytest.raises(ValueError, match="no true event"):
            measure([[]], [[Event("a", 0, 1)]])
    with pytest.raises(ValueError, match="as many recordings"):
        m.shrec_rates([[Event("a", 0, 10)]], [])


def slow_f1(truth, predicted, least):
    tp = fp = fn = 0
    for t, p in zip(truth, predicted, strict=True):
        used = [False] * len(t)
        for result in p:
            best, where = 0.0, None
            for i, true in enumerate(t):
                if true.label != result.label:
                    continue
                a = set(range(int(true.start), int(true.end)))
                b = set(range(int(result.start), int(result.end)))
                if len(a & b) / len(a | b) > best:
                    best, where = len(a & b) / len(a | b), i
            if where is not None and best >= least and not used[where]:
                used[where] = True
                tp += 1
            else:
                fp += 1
        fn += used.count(False)
    precision, recall = tp / (tp + fp) if tp + fp else 0, tp / (tp + fn) if tp + fn else 0
    return 2 * precision * recall / (precision + recall) if precision + recall else 0


@pytest.mark.parametrize("seed", range(10))
def test_f1_equals_loop(seed):
    truth, predicted = random_set(seed)
    values = m.f1_at_overlaps(truth, predicted)
    assert values == {k: pytest.approx(slow_f1(truth, predicted, k)) for k in (0.1, 0.25, 0.5)}


def test_f1_by_hand():
    truth = [[Event("a", 0, 10), Event("b", 20, 40)]]
    predicted = [[Event("a", 5, 10), Event("b", 20, 24), Event("b", 24, 40)]]
    # a: 5 / 10. The first b: 4 / 20, the second: 16 / 20
    assert m.f1_at_overlaps(truth, predicted) == {0.1: 0.8, 0.25: 0.8, 0.5: 0.8}
    assert m.f1_at_overlaps(truth, predicted, (0.6,)) == {0.6: 0.4}
    assert m.f1_at_overlaps([[]], [[]], (0.5,)) == {0.5: 1.0}


def test_frame_accuracy_counts_frames_not_recordings():
    assert m.frame_accuracy([[0, 1, 1], [2]], [[0, 1, 0], [0]]) == 0.5
    with pytest.raises(ValueError, match="recording 1"):
        m.frame_accuracy([[0], [1, 1]], [[0], [1]])


@pytest.mark.parametrize("seed", range(5))
def test_runs_put_back_give_the_labels(seed):
    labels = np.random.default_rng(seed).integers(3, size=50)
    again = np.zeros(50, int)
    for label, first, last in m.runs(labels, none=0):
        assert label != 0
        again[first : last + 1] = label
    assert again.tolist() == labels.tolist()
    assert m.runs([1, 1, 0, 0, 2], none=0) == [(1, 0, 1), (2, 4, 4)]
    assert m.runs([]) == []


def test_mean_jaccard_by_hand():
    truth = [[(0, 0, 9)], [(1, 0, 9)]]
    predicted = [[(0, 5, 14)], [(1, 0, 9), (0, 10, 19)]]
    # first: 5 of 15 frames; second: class 1 whole, class 0 not true
    assert m.mean_jaccard(truth, predicted, [20, 20]) == pytest.approx((1 / 3 + 1 / 2) / 2)


def test_detection_and_false_alarms_by_hand():
    truth = [[Event("a", 0, 1), Event("a", 2, 3)], [Event("b", 0, 1)], []]
    predicted = [[Event("a", 0, 1), Event("b", 2, 3)], [Event("b", 0, 1)], [Event("a", 5, 6)]]
    assert m.detection_rate(truth, predicted) == pytest.approx(2 / 3)
    assert m.false_alarms_per_minute(truth, predicted, 30.0) == pytest.approx(4.0)
    with pytest.raises(ValueError, match="positive"):
        m.false_alarms_per_minute(truth, predicted, 0)


def test_edit_error_by_hand():
    truth = [[Event("a", 0, 1), Event("b", 2, 3)], [Event("a", 0, 1), Event("c", 2, 3)]]
    predicted = [[Event("b", 2, 3)], [Event("a", 0, 1), Event("b", 2, 3), Event("c", 4, 5)]]
    assert m.edit_error(truth, predicted) == pytest.approx(2 / 4)


def test_delays_and_percentiles_by_hand():
    truth = [[Event("a", 0.0, 1.0), Event("b", 2.0, 3.0)]]
    predicted = [[Event("a", 0.1, 0.9, 1.2), Event("b", 2.0, 3.0, 2.8), Event("a", 7.0, 8.0, 8.0)]]
    assert m.delays(truth, predicted, since="end") == pytest.approx([0.2, -0.2])
    assert m.delays(truth, predicted, since="start") == pytest.approx([1.2, 0.8])
    assert m.percentiles([1, 2, 3]) == pytest.approx((2, 2.9))
    assert m.percentiles([]) is None
