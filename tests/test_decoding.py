"""The decoder: one gesture is one event, two in a row are two, chunk by chunk equals whole, nothing looks ahead."""

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from gesta.decoder import Decoder
from gesta.decoding import DecoderSpec, Scored, as_measured, choose, decode, event_quality
from gesta.metrics_events import Event

LABELS = ("wave", "none", "grab")
PLAIN = DecoderSpec(smoothing_s=0, on=0.6, off=0.4, least_s=0.2, rearm_s=0.1)
RATE = 20  # steps a second


def probabilities(*parts):
    """Parts (label, steps[, its probability]) -> times [K], probabilities [K, 3]; the rest goes to the others."""
    rows = []
    for label, steps, *share in parts:
        p = share[0] if share else 0.9
        rows += [[p if name == label else (1 - p) / 2 for name in LABELS]] * steps
    return np.arange(len(rows)) / RATE, np.array(rows)


def found(*parts, spec=PLAIN):
    return [(e.label, e.start_s, e.end_s) for e in decode(spec, LABELS, *probabilities(*parts))]


def test_one_gesture_is_one_event():
    (event,) = decode(PLAIN, LABELS, *probabilities(("none", 10), ("wave", 20), ("none", 10)))
    assert (event.label, event.start_s, event.end_s) == ("wave", 0.5, 1.45)
    assert event.confidence == pytest.approx(0.9)
    assert event.decided_s == pytest.approx(1.45 + 0.1, abs=0.051)


def test_two_in_a_row_are_two():
    assert found(("wave", 10), ("none", 4), ("wave", 10)) == [("wave", 0, 0.45), ("wave", 0.7, 1.15)]


def test_none_shorter_than_rearm_ends_nothing():
    assert found(("wave", 10), ("none", 1), ("wave", 10)) == [("wave", 0, 1.0)]


def test_two_gestures_without_none_between_are_two():
    assert found(("none", 4), ("wave", 10), ("grab", 10), ("none", 4)) == [("wave", 0.2, 0.7), ("grab", 0.7, 1.15)]


def test_a_moment_of_another_label_is_outvoted():
    assert found(("grab", 3), ("wave", 10), ("grab", 2), ("wave", 5)) == [("wave", 0, 0.95)]


def test_short_and_unsure_events_are_dropped():
    assert found(("none", 5), ("wave", 3), ("none", 5)) == []
    # active 0.5: above off, never at on
    assert found(("none", 5), ("none", 20, 0.5), ("none", 5)) == []


def test_start_reaches_back_to_where_active_rose_above_off():
    assert found(("none", 4), ("none", 4, 0.55), ("wave", 10), ("none", 4)) == [("wave", 0.2, 0.85)]


def test_smoothing_bridges_what_the_thresholds_alone_would_divide():
    parts = [("none", 10)] + [("wave", 3), ("none", 1)] * 8 + [("none", 20)]
    rough = PLAIN.model_copy(update={"rearm_s": 0.0, "least_s": 0.05})
    assert len(found(*parts, spec=rough)) == 8
    assert len(found(*parts, spec=rough.model_copy(update={"smoothing_s": 0.2}))) == 1


def test_label_can_be_fixed_early_and_is_told_while_the_event_lasts():
    decoder = Decoder(PLAIN.model_copy(update={"decide_s": 0.3}), LABELS)
    times, values = probabilities(("wave", 20), ("none", 10))
    assert decoder.step(times[:5], values[:5]) == [] and decoder.current is None
    assert decoder.step(times[5:15], values[5:15]) == [] and decoder.current == "wave"
    (event,) = decoder.step(times[15:], values[15:])
    assert (event.decided_s, event.end_s) == (0.3, 0.95)
    assert decoder.current is None


def test_without_a_label_for_none_the_largest_probability_counts():
    values = np.array([[0.5, 0.5]] * 5 + [[0.9, 0.1]] * 10 + [[0.5, 0.5]] * 5)
    spec = DecoderSpec(smoothing_s=0, on=0.8, off=0.7, least_s=0.2)
    (event,) = decode(spec, ("wave", "grab"), np.arange(20) / RATE, values)
    assert (event.label, event.start_s, event.end_s) == ("wave", 0.25, 0.7)


def test_an_event_that_the_recording_cuts_off_ends_with_it():
    decoder = Decoder(PLAIN, LABELS)
    assert decoder.step(*probabilities(("none", 4), ("wave", 10))) == []
    (event,) = decoder.finish()
    assert (event.start_s, event.end_s) == (0.2, 0.65)
    assert decoder.finish() == []
    decoder.step(*probabilities(("none", 2)))  # time begins anew


random_streams = st.builds(
    lambda seed, steps, sharp: _random_stream(seed, steps, sharp),
    st.integers(0, 10_000),
    st.integers(1, 120),
    st.floats(1.0, 8.0),
)
random_specs = st.builds(
    lambda smoothing, on, share, least, rearm, decide: DecoderSpec(
        smoothing_s=smoothing, on=on, off=on * share, least_s=least, rearm_s=rearm, decide_s=decide
    ),
    st.sampled_from([0.0, 0.05, 0.2]),
    st.floats(0.2, 0.9),
    st.floats(0.3, 1.0),
    st.sampled_from([0.0, 0.1, 0.3]),
    st.sampled_from([0.0, 0.05, 0.2]),
    st.sampled_from([None, 0.0, 0.2]),
)


def _random_stream(seed, steps, sharp):
    rng = np.random.default_rng(seed)
    logits = np.repeat(rng.normal(size=(steps // 6 + 1, 3)), 6, axis=0)[:steps] * sharp + rng.normal(size=(steps, 3))
    powers = np.exp(logits)
    return np.cumsum(rng.uniform(0.02, 0.1, steps)), powers / powers.sum(axis=1, keepdims=True)


@settings(max_examples=150, deadline=None)
@given(random_streams, random_specs, st.lists(st.integers(0, 120), max_size=8))
def test_chunk_by_chunk_equals_whole(stream, spec, cuts):
    times, values = stream
    decoder = Decoder(spec, LABELS)
    events = []
    for part in np.split(np.arange(len(times)), sorted(min(c, len(times)) for c in cuts)):
        events += decoder.step(times[part], values[part])
    assert events + decoder.finish() == decode(spec, LABELS, times, values)


@settings(max_examples=150, deadline=None)
@given(random_streams, random_specs)
def test_events_are_ordered_apart_long_enough_and_decided_in_time(stream, spec):
    times, values = stream
    events = decode(spec, LABELS, times, values)
    for event in events:
        assert event.label in ("wave", "grab")
        assert event.end_s - event.start_s >= spec.least_s - 1e-9
        assert event.start_s <= event.decided_s <= times[-1]
        assert -1e-9 <= event.confidence <= 1 + 1e-9
    for before, after in pairwise(events):
        assert before.end_s <= after.start_s


@settings(max_examples=60, deadline=None)
@given(random_streams, random_specs, st.integers(0, 120))
def test_what_comes_later_changes_no_event_that_was_told(stream, spec, cut):
    times, values = stream
    cut = min(cut, len(times))
    told = Decoder(spec, LABELS).step(times[:cut], values[:cut])
    other = values.copy()
    other[cut:] = other[cut:, ::-1]
    assert decode(spec, LABELS, times, other)[: len(told)] == told


@pytest.mark.parametrize(
    ("times", "values", "message"),
    [
        ([0.0, 0.1], [[1, 0, 0]], "expected times"),
        ([0.0], [[1, 0]], "expected times"),
        ([0.1, 0.1], [[1, 0, 0], [1, 0, 0]], "increase"),
        ([np.nan], [[1, 0, 0]], "increase"),
        ([0.0], [[2.0, -1.0, 0]], "softmax"),
        ([0.0], [[np.nan, 0, 0]], "softmax"),
    ],
)
def test_wrong_steps_are_refused(times, values, message):
    with pytest.raises(ValueError, match=message):
        Decoder(PLAIN, LABELS).step(np.array(times), np.array(values))


def test_time_must_go_on_between_steps():
    decoder = Decoder(PLAIN, LABELS)
    decoder.step([1.0], [[0, 1, 0]])
    with pytest.raises(ValueError, match="increase"):
        decoder.step([0.5], [[0, 1, 0]])


def test_labels_need_a_gesture():
    with pytest.raises(ValueError, match="no gesture"):
        Decoder(PLAIN, ["none"])


@pytest.mark.parametrize("numbers", [{"on": 0.4, "off": 0.5}, {"least_s": -1}, {"on": float("nan")}, {"speed": 1}])
def test_impossible_numbers_are_refused(numbers):
    with pytest.raises(ValidationError):
        DecoderSpec(**numbers)


def test_specification_survives_json():
    spec = DecoderSpec(on=0.7, off=0.3, decide_s=0.5)
    assert DecoderSpec.model_validate(json.loads(spec.model_dump_json())) == spec


def noisy_recordings(seed, n=4):
    """Recordings of waves and grabs with rests; scores flicker, so that bare thresholds give too many events."""
    rng = np.random.default_rng(seed)
    recordings = []
    for _ in range(n):
        parts, truth, step = [], [], 0
        for _ in range(4):
            rest, length, label = (
                int(rng.integers(15, 30)),
                int(rng.integers(15, 25)),
                str(rng.choice(["wave", "grab"])),
            )
            parts += [("none", rest), (label, length)]
            truth.append(Event(label, (step + rest) / RATE, (step + rest + length - 1) / RATE))
            step += rest + length
        times, values = probabilities(*parts, ("none", 20))
        flicker = rng.random(len(values)) < 0.15
        values[flicker] = np.roll(values[flicker], 1, axis=1)
        recordings.append(Scored(times, values, truth))
    return recordings


def test_chosen_numbers_hold_on_other_recordings():
    bare = DecoderSpec(smoothing_s=0, on=0.5, off=0.5, least_s=0, rearm_s=0)
    spec, value = choose(LABELS, noisy_recordings(0), start=bare)
    other = noisy_recordings(1)
    truth = [one.truth for one in other]

    def quality(numbers):
        events = [decode(numbers, LABELS, one.times_s, one.probabilities) for one in other]
        return event_quality(truth, [[as_measured(event) for event in one] for one in events])

    assert value > 0.9 and quality(spec) > 0.9
    assert quality(bare) < 0


def test_choice_takes_only_what_it_was_offered_and_needs_events():
    spec, _ = choose(LABELS, noisy_recordings(0), start=PLAIN, choices={"on": (0.5, 0.7)})
    assert spec.model_copy(update={"on": PLAIN.on}) == PLAIN
    with pytest.raises(ValueError, match="no recording"):
        choose(LABELS, [Scored(*probabilities(("none", 5)), [])])


def test_event_quality_by_hand():
    truth = [[Event("a", 0, 1), Event("b", 2, 3)]]
    assert event_quality(truth, truth) == 1
    # one of two right, one false, edit distance 1 of 2
    assert event_quality(truth, [[Event("a", 0, 1), Event("c", 2, 3)]]) == pytest.approx(1 / 3 - 1 / 4)
