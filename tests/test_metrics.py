"""Each measure against a slow obvious loop or an example worked by hand."""

import math

import numpy as np
import pytest

from gesta import metrics


def random_case(seed, n=60, classes=5):
    rng = np.random.default_rng(seed)
    return rng.integers(classes, size=n), rng.random((n, classes)), rng


def test_accuracy_by_hand():
    assert metrics.accuracy([0, 1, 2, 2], [0, 1, 1, 2]) == 0.75


@pytest.mark.parametrize("pair", [([], []), ([1], [1, 2])])
def test_accuracy_refuses_nothing_or_different_lengths(pair):
    with pytest.raises(ValueError, match="same length"):
        metrics.accuracy(*pair)


@pytest.mark.parametrize("k", [1, 2, 3, 5, 9])
def test_top_k_equals_loop(k):
    truth, scores, _ = random_case(0)
    hits = 0
    for row, true in zip(scores, truth, strict=True):
        ranked = sorted(range(len(row)), key=lambda c: -row[c])
        hits += true in ranked[:k]
    assert metrics.top_k(scores, truth, k) == pytest.approx(hits / len(truth))


def test_top_1_of_equal_scores_is_what_argmax_says():
    scores = np.ones((4, 3))
    truth = np.array([0, 1, 2, 0])
    assert metrics.top_k(scores, truth, 1) == metrics.accuracy(truth, scores.argmax(axis=1)) == 0.5


def test_confusion_equals_loop():
    truth, scores, _ = random_case(1)
    predicted = scores.argmax(axis=1)
    slow = [[0] * 5 for _ in range(5)]
    for t, p in zip(truth, predicted, strict=True):
        slow[t][p] += 1
    assert metrics.confusion(truth, predicted, 5).tolist() == slow


def test_per_class_by_hand():
    # true 0: called 0, 0, 1; true 1: called 1; class 2 never true, called once for a true 1
    table = metrics.confusion([0, 0, 0, 1, 1], [0, 0, 1, 1, 2], 4)
    first, second, third, fourth = metrics.per_class(table)
    assert (first.n, first.predicted, first.precision, first.recall) == (3, 2, 1.0, pytest.approx(2 / 3))
    assert first.f1 == pytest.approx(0.8)
    assert (second.precision, second.recall, second.f1) == (0.5, 0.5, 0.5)
    assert (third.n, third.predicted, third.precision, third.recall, third.f1) == (0, 1, 0.0, 0.0, 0.0)
    assert (fourth.n, fourth.predicted, fourth.f1) == (0, 0, 0.0)


def test_wilson_published_values():
    # Newcombe 1998, table I, method 3: 81/263, 15/148, 0/20, 1/29
    for correct, n, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)):
        assert metrics.wilson(correct, n) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))
    assert metrics.wilson(1, 29) == (pytest.approx(0.0061, abs=5e-5), pytest.approx(0.1718, abs=5e-5))


def test_wilson_ends():
    assert metrics.wilson(0, 0) == (0.0, 1.0)
    assert metrics.wilson(7, 7)[1] == 1.0
    assert 0.5 < metrics.wilson(7, 7)[0] < 1.0
    with pytest.raises(ValueError):
        metrics.wilson(8, 7)


@pytest.mark.parametrize("correct,n", [(1, 4), (30, 40), (399, 400)])
def test_wilson_solves_its_equation(correct, n):
    for bound in metrics.wilson(correct, n):
        assert abs(correct / n - bound) == pytest.approx(1.959963985 * math.sqrt(bound * (1 - bound) / n))


def test_bootstrap_equals_loop_with_the_same_draws():
    _, _, rng = random_case(2)
    values, subjects = rng.random(40), rng.choice(list("abcde"), 40)
    people = sorted(set(subjects))
    drawn = np.random.default_rng(7).integers(len(people), size=(300, len(people)))
    means = []
    for draw in drawn:
        pooled = [v for person in draw for v, s in zip(values, subjects, strict=True) if s == people[person]]
        means.append(sum(pooled) / len(pooled))
    low, high = metrics.bootstrap_by_person(values, list(subjects), np.random.default_rng(7), draws=300)
    assert (low, high) == (pytest.approx(np.quantile(means, 0.025)), pytest.approx(np.quantile(means, 0.975)))


def test_bootstrap_by_person_is_wider_when_people_differ():
    """Six people, three always right and three always wrong: clips are not independent trials."""
    correct, subjects = np.repeat([1, 1, 1, 0, 0, 0], 50), np.repeat(np.arange(6), 50)
    low, high = metrics.bootstrap_by_person(correct, list(subjects), np.random.default_rng(0))
    wilson_low, wilson_high = metrics.wilson(int(correct.sum()), len(correct))
    assert high - low > 3 * (wilson_high - wilson_low)


def test_bootstrap_refuses_one_person_and_bad_lengths():
    with pytest.raises(ValueError, match="two people"):
        metrics.bootstrap_by_person([1, 0], ["a", "a"], np.random.default_rng(0))
    with pytest.raises(ValueError, match="subjects"):
        metrics.bootstrap_by_person([1, 0], ["a"], np.random.default_rng(0))


def test_bootstrap_covers_the_truth_about_as_often_as_it_says():
    rng, covered, trials = np.random.default_rng(3), 0, 200
    for _ in range(trials):
        rate = np.clip(rng.normal(0.7, 0.1, size=20), 0, 1)
        correct = rng.random((20, 10)) < rate[:, None]
        low, high = metrics.bootstrap_by_person(correct.ravel(), list(np.repeat(np.arange(20), 10)), rng, draws=400)
        covered += low <= 0.7 <= high
    assert 0.86 <= covered / trials <= 0.99


def test_paired_difference_by_hand():
    # a beats b on exactly one clip of every person: the difference is 0.5 whoever is drawn
    a, b, subjects = [1, 1, 1, 1, 1, 1], [1, 0, 0, 1, 1, 0], list("aabbcc")
    difference = metrics.paired_difference(a, b, subjects, np.random.default_rng(0))
    assert (difference.mean, difference.low, difference.high) == (0.5, 0.5, 0.5)


def test_paired_difference_is_antisymmetric_and_refuses_unpaired():
    _, _, rng = random_case(4)
    a, b, subjects = rng.random(60) < 0.8, rng.random(60) < 0.6, list(np.repeat(np.arange(10), 6))
    forth = metrics.paired_difference(a, b, subjects, np.random.default_rng(1))
    back = metrics.paired_difference(b, a, subjects, np.random.default_rng(1))
    assert (forth.mean, forth.low, forth.high) == pytest.approx((-back.mean, -back.high, -back.low))
    assert forth.low <= forth.mean <= forth.high
    with pytest.raises(ValueError, match="same clips"):
        metrics.paired_difference(a, b[:5], subjects, rng)


def slow_jaccard(truth, predicted, n_frames):
    classes = {s[0] for s in truth} | {s[0] for s in predicted}
    total = 0.0
    for c in classes:
        a = {f for label, first, last in truth if label == c for f in range(first, last + 1) if 0 <= f < n_frames}
        b = {f for label, first, last in predicted if label == c for f in range(first, last + 1) if 0 <= f < n_frames}
        total += len(a & b) / len(a | b) if a | b else 0.0
    return total / len(classes)


def test_jaccard_by_hand():
    # class 1: frames 0-9 against 5-14: 5 of 15; class 2 found exactly; class 3 is a false alarm
    truth, predicted = [(1, 0, 9), (2, 20, 29)], [(1, 5, 14), (2, 20, 29), (3, 40, 44)]
    assert metrics.jaccard_spans(truth, predicted, 50) == pytest.approx((1 / 3 + 1 + 0) / 3)
    assert metrics.jaccard_spans([], [], 10) == 1.0
    assert metrics.jaccard_spans(truth, [], 50) == 0.0


def test_jaccard_equals_loop():
    rng = np.random.default_rng(5)
    for _ in range(30):
        spans = [
            [(int(rng.integers(4)), int(f), int(f + rng.integers(20))) for f in rng.integers(-3, 90, size=6)]
            for _ in range(2)
        ]
        assert metrics.jaccard_spans(*spans, 80) == pytest.approx(slow_jaccard(*spans, 80))


def test_recognized_in_stream_by_hand():
    times = np.arange(1, 11) * 1.0
    scores = np.zeros((10, 3))
    scores[:4, 0], scores[4:8, 1], scores[8:, 2] = 1, 1, 1
    truth = [
        (0, 0.0, 4.0),  # predictions at 3, 4: right
        (1, 2.0, 6.0),  # at 5, 6: right, though its first half says 0
        (2, 6.0, 8.0),  # at 8: says 1
        (2, 8.2, 8.6),  # none in its second half; the next, at 9, is right
        (0, 12.0, 14.0),  # after the stream's end: missed
    ]
    assert metrics.recognized_in_stream(truth, times, scores).tolist() == [True, True, False, True, False]


def slow_levenshtein(a, b):
    if not a or not b:
        return len(a) + len(b)
    return min(
        slow_levenshtein(a[1:], b) + 1,
        slow_levenshtein(a, b[1:]) + 1,
        slow_levenshtein(a[1:], b[1:]) + (a[0] != b[0]),
    )


def test_levenshtein_known_and_recursive():
    assert metrics.levenshtein("kitten", "sitting") == 3
    assert metrics.levenshtein("", "abc") == metrics.levenshtein("abc", "") == 3
    rng = np.random.default_rng(6)
    for _ in range(30):
        a, b = (rng.integers(3, size=rng.integers(6)).tolist() for _ in range(2))
        assert metrics.levenshtein(a, b) == slow_levenshtein(a, b) == metrics.levenshtein(b, a)


def random_hands(seed, n=40, joints=6):
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(n, joints, 3)) * 60
    return truth, truth + rng.normal(size=truth.shape) * 12


def test_joint_errors_equal_loop():
    truth, predicted = random_hands(0)
    errors = metrics.joint_errors(truth, predicted)
    for frame in range(len(truth)):
        for joint in range(truth.shape[1]):
            assert errors[frame, joint] == pytest.approx(math.dist(truth[frame, joint], predicted[frame, joint]))


@pytest.mark.parametrize("shapes", [((3, 4, 3), (3, 5, 3)), ((3, 4, 2), (3, 4, 2)), ((0, 4, 3), (0, 4, 3))])
def test_joint_errors_refuse_other_shapes(shapes):
    with pytest.raises(ValueError, match="same shape"):
        metrics.joint_errors(np.zeros(shapes[0]), np.zeros(shapes[1]))


def test_success_rate_equals_loop():
    errors = metrics.joint_errors(*random_hands(1))
    thresholds = [0, 7.5, 20, float(errors.max()), 1000]
    for threshold, share in zip(thresholds, metrics.success_rate(errors, thresholds), strict=True):
        under = 0
        for frame in errors:
            under += all(error < threshold for error in frame)
        assert share == pytest.approx(under / len(errors))


def test_success_area_equals_the_integral_of_the_curve():
    errors = metrics.joint_errors(*random_hands(2))
    middles = (np.arange(200_000) + 0.5) / 200_000 * 30
    assert metrics.success_area(errors, 30) == pytest.approx(metrics.success_rate(errors, middles).mean(), abs=1e-5)
    assert metrics.success_area(np.zeros((2, 3)), 80) == 1
    assert metrics.success_area(np.full((2, 3), 90.0), 80) == 0


def test_success_refuses_what_is_no_curve():
    with pytest.raises(ValueError, match="positive"):
        metrics.success_area(np.zeros((2, 3)), 0)
    with pytest.raises(ValueError, match="errors"):
        metrics.success_rate(np.zeros((0, 3)), [1])
