"""Resamples frames at a camera's rate to the model's rate, as an ONNX graph (gesta.clips.preprocess)."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from gesta.clips.clock import JITTER_S, STEP_S
from gesta.clips.preprocess import LONGEST_GAP_S
from gesta.clips.transform import Transform
from gesta.engines.onnx_graph import ALL, Op, Value, as_type, cut, length, loop

CLOCK = 6
"""Size of the clock's state: frames seen, last time, step, shift, first time, frames taken."""


@dataclass(frozen=True)
class Ticks:
    """`taken` int64 [n]: which of (the pending frame and) the new frames each tick takes; `ends_s` float64 [n]: end of
    each tick; `clock` float64 [6]; `pending` int64 [1]: 1 if a frame was waiting for the time of the next."""

    taken: Value
    ends_s: Value
    clock: Value
    pending: Value


def ticks(op: Op, transform: Transform, times_s: Value, last: Value, clock: Value) -> Ticks:
    """Computes the ticks. Times float64 [T] of the new frames; `last` int64 [1]: 1 at the end of the recording."""
    seen, *_, done = op.Split(clock, axis=0, num_outputs=CLOCK, _outputs=CLOCK)
    pending = as_type(op, op.Greater(seen, 0.0), ir.DataType.INT64)

    def advance(inner: Op, i: Value, state: Value) -> tuple[list[Value], list[Value]]:
        return _advance(inner, transform, inner.Gather(times_s, inner.Reshape(i, [1])), state)

    (later,), (counts, firsts) = loop(op, length(op, times_s), [clock], advance, [(1,), (1,)])
    _, last_s, _, _, first_s, _ = op.Split(later, axis=0, num_outputs=CLOCK, _outputs=CLOCK)
    own = op.Sub([1], pending)  # without a pending frame the first count, 0, belongs to no frame
    counts = op.Concat(cut(op, op.Reshape(counts, [-1]), own), as_type(op, last, ir.DataType.DOUBLE), axis=0)
    firsts = op.Concat(cut(op, op.Reshape(firsts, [-1]), own), first_s, axis=0)
    sums = op.CumSum(counts, 0)
    numbers = as_type(op, op.Range(0, op.Squeeze(_int(op, cut(op, sums, -1))), 1), ir.DataType.DOUBLE)
    passed = op.GreaterOrEqual(op.Unsqueeze(numbers, [1]), op.Unsqueeze(sums, [0]))
    taken = op.ReduceSum(_int(op, passed), [1], keepdims=0)
    ends = op.Add(op.Gather(firsts, taken), op.Div(op.Add(op.Add(numbers, done), 1.0), transform.fps))
    final = op.Equal(taken, op.Sub(length(op, counts), [1]))
    return Ticks(taken, op.Where(final, op.Max(ends, last_s), ends), later, pending)


def _advance(op: Op, transform: Transform, stamp: Value, state: Value) -> tuple[list[Value], list[Value]]:
    """Adds one frame: (the clock, (how often the previous frame is taken, the time from which this counts))."""
    seen, last, step, shift, first, done = op.Split(state, axis=0, num_outputs=CLOCK, _outputs=CLOCK)
    fps, begun = transform.fps, op.Greater(seen, 0.0)
    stamp = op.Add(stamp, shift)
    back = op.And(begun, op.Less(stamp, op.Sub(last, JITTER_S)))  # a clock that jumps back continues
    resumed = op.Add(last, op.Where(op.Greater(step, 0.0), step, op.CastLike(STEP_S, step)))
    time = op.Where(back, resumed, op.Where(begun, op.Max(stamp, last), stamp))
    gap = op.Sub(time, last)
    usual = op.And(op.And(begun, op.Not(back)), op.And(op.Greater(gap, 0.0), op.Less(gap, 1.0)))
    shift = op.Where(back, op.Add(shift, op.Sub(resumed, stamp)), shift)
    since = op.Sub(op.Mul(op.Sub(time, first), fps), 0.5 - 1e-6)
    due = op.Max(op.Sub(op.Add(op.Floor(since), 1.0), done), op.CastLike(0.0, done))
    due = op.Where(begun, due, op.CastLike(0.0, done))
    count = op.Min(due, op.CastLike(float(round(LONGEST_GAP_S * fps)), due))
    later = op.Where(begun, op.Add(first, op.Div(op.Sub(due, count), fps)), time)
    step = op.Where(usual, gap, step)
    return [op.Concat(op.Add(seen, 1.0), time, step, shift, later, op.Add(done, count), axis=0)], [count, first]


def _int(op: Op, value: Value) -> Value:
    return as_type(op, value, ir.DataType.INT64)


@dataclass(frozen=True)
class Group:
    """Frames to preprocess now. `frames` uint8 [1 + n, H, W, C]: the previous one, then n of whole chunks (at the end,
    of an incomplete one, too); `held` uint8 [m, H, W, C]: frames for the next call; `ends_s` float64 [n]; `chunks`
    int64 [1]."""

    frames: Value
    held: Value
    ends_s: Value
    chunks: Value


def grouped(op: Op, chunk: int, found: Ticks, frames: Value, last: Value, held: Value, clock: Value) -> Group:
    """Groups the frames taken, after those held: the previous frame, an incomplete chunk, the pending frame.

    `clock`: its state before these frames.
    """
    done = _int(op, cut(op, clock, CLOCK - 1))
    previous = as_type(op, op.GreaterOrEqual(done, [chunk]), ir.DataType.INT64)
    waiting = op.Add(previous, op.Mod(done, [chunk]))
    one_before = cut(op, held, 0, previous)
    new = op.Gather(op.Concat(cut(op, held, waiting), frames, axis=0), found.taken)
    group = op.Concat(cut(op, held, previous, waiting), new, axis=0)
    ends = op.Pad(found.ends_s, op.Concat(op.Sub(waiting, previous), [0], axis=0), 0.0)
    total = length(op, group)
    whole = op.Div(total, [chunk])
    used = op.Where(op.Greater(last, [0]), total, op.Mul(whole, [chunk]))
    ready = cut(op, group, 0, used)
    ahead = cut(op, op.Concat(one_before, cut(op, ready, 0, 1), axis=0), 0, 1)  # the first frame is its own predecessor
    kept = [cut(op, op.Concat(one_before, ready, axis=0), -1, ALL), cut(op, group, used, ALL), cut(op, frames, -1, ALL)]
    chunks = op.Div(op.Add(used, [chunk - 1]), [chunk])
    return Group(op.Concat(ahead, ready, axis=0), op.Concat(*kept, axis=0), cut(op, ends, 0, used), chunks)
