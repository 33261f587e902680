from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gesta.clips.sampling import central_window, n_chunks, ticks_due, to_network


@given(st.integers(0, 500), st.integers(1, 40))
def test_chunks_cover_every_frame_and_no_chunk_is_empty(frames, chunk):
    k = n_chunks(frames, chunk)
    assert (k - 1) * chunk < frames <= k * chunk or frames == k == 0


@given(st.integers(1, 300), st.integers(1, 64))
def test_the_window_is_central(frames, window):
    start, stop = central_window(frames, window)
    assert stop - start == min(frames, window)
    assert abs((frames - stop) - start) <= 1


def resample_indices(times_s, fps):
    """For each tick at `fps`, the index of the frame it takes. Times start at 0 and do not decrease."""
    taken = []
    for i, time_s in enumerate(times_s):
        taken += [i - 1] * ticks_due(time_s, fps, len(taken)) if i else []
    if times_s:
        taken.append(len(times_s) - 1)
    return taken


@given(st.lists(st.integers(1, 400), min_size=1, max_size=60), st.sampled_from([5.0, 12.5, 20.0, 30.0]))
def test_resampling_equals_a_slow_search(gaps_ms, fps):
    times = np.concatenate([[0.0], np.cumsum(gaps_ms) / 1000])
    taken = resample_indices(times.tolist(), fps)
    for k, index in enumerate(taken[:-1]):
        on_time = [i for i, t in enumerate(times) if t < (k + 0.5) / fps - 1e-6 / fps]
        expected = on_time[-1] if on_time else 0
        assert abs(times[expected] - times[index]) < 1e-5 or index == expected
    assert taken[-1] == len(times) - 1
    assert taken == sorted(taken)


def test_the_same_rate_with_jitter_takes_each_frame_once():
    rng = np.random.default_rng(0)
    times = np.arange(100) / 30 + rng.uniform(-0.01, 0.01, 100)
    assert resample_indices((times - times[0]).tolist(), 30.0) == list(range(100))


def test_network_order_and_padding():
    rng = np.random.default_rng(0)
    clips = [rng.integers(0, 256, (t, 2, 5, 6, 3), dtype=np.uint8) for t in (3, 9)]
    batch, lengths = to_network(clips, 4)
    assert batch.shape == (2, 2, 3, 12, 5, 6)
    assert lengths.tolist() == [3, 9]
    assert batch[1, 1, 2, 8, 4, 5] == clips[1][8, 1, 4, 5, 2]
    assert (batch[0, :, :, 3:] == 0).all()
