"""Normalizes skeletons frame by frame, as an ONNX graph (gesta.clips.skeleton_space)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from gesta.clips.skeleton_sets import Group, JointSet, joint_set
from gesta.clips.skeleton_space import SkeletonSpace
from gesta.engines.onnx_graph import Op, Value, as_type, constant, cut, length, loop

FLOAT, DOUBLE = ir.DataType.FLOAT, ir.DataType.DOUBLE
SPACE = 5
"""Size of the state without the origin: sum and number of sizes; whether there is an origin; cosine, sine (0, 0: no
turn yet)."""


@dataclass(frozen=True)
class Seen:
    """A frame's joints, double: `points` [J, D], 0 where missing; `there` [J, 1], 1 or 0; `means` [G, D] of the groups
    of joints, and `complete` [G, 1]: 1 if a group has a joint that is there."""

    points: Value
    there: Value
    means: Value
    complete: Value


def normalized(op: Op, space: SkeletonSpace, frames: Value, state: Value) -> tuple[Value, Value]:
    """Frames float32 [n, J, D], NaN where missing -> (the next state, float32 [n, J, D + 1]).

    `state`: double [SPACE + D], initially zero. In the result missing joints are zero, and the last number is 1 for
    those that are there.
    """
    joints = joint_set(space.joints)
    groups = _weights(joints)

    def one(inner: Op, i: Value, before: Value) -> tuple[list[Value], list[Value]]:
        frame = as_type(inner, inner.Squeeze(inner.Gather(frames, inner.Reshape(i, [1])), [0]), DOUBLE)
        seen = _seen(inner, frame, constant(inner, groups, np.float64))
        some = inner.Greater(inner.ReduceMax(seen.there, keepdims=0), 0.0)
        after = inner.Where(some, _looked(inner, space, joints, seen, before), before)
        placed = inner.Mul(_placed(inner, space, seen.points, after), seen.there)
        return [after], [as_type(inner, inner.Concat(placed, seen.there, axis=1), FLOAT)]

    shape = (len(space.joints), space.dimensions + 1)
    (after,), (found,) = loop(op, length(op, frames), [state], one, [shape])
    return after, found


def _weights(joints: JointSet) -> NDArray[np.float64]:
    """Membership of the joints in each group, [G, J]: the origin, both ends of all spans, both ends across, all."""
    across: Sequence[Group] = joints.across or ()
    groups = [joints.origin, *(group for span in joints.spans for group in span), *across, range(len(joints.joints))]
    return np.stack([np.isin(np.arange(len(joints.joints)), list(group)) for group in groups]).astype(np.float64)


def _seen(op: Op, frame: Value, weights: Value) -> Seen:
    finite = op.Less(op.Abs(frame), op.CastLike(float("inf"), frame))  # false for NaN
    there = op.ReduceMin(as_type(op, finite, DOUBLE), [1], keepdims=1)  # J 1
    points = op.Where(op.Greater(there, 0.0), frame, op.CastLike(0.0, frame))
    counts = op.MatMul(weights, there)  # G 1
    means = op.Div(op.MatMul(weights, points), op.Max(counts, op.CastLike(1.0, counts)))
    return Seen(points, there, means, op.Min(counts, op.CastLike(1.0, counts)))


def _looked(op: Op, space: SkeletonSpace, joints: JointSet, seen: Seen, before: Value) -> Value:
    """The state after a frame with somebody in it."""
    total, count, begun, cos, sin = (cut(op, before, i, i + 1) for i in range(SPACE))
    origin = cut(op, before, SPACE)
    has_origin = op.Greater(begun, 0.0)
    fallback = op.Where(has_origin, origin, _row(op, seen.means, -1))
    middle = op.Where(op.Greater(_row(op, seen.complete, 0), 0.0), _row(op, seen.means, 0), fallback)
    if space.origin != "frame":
        middle = op.Where(has_origin, origin, middle)
    size = _size(op, joints, seen)
    new = op.Greater(size, 0.0)
    if space.scale != "so_far":
        new = op.And(new, op.Equal(count, 0.0))
    more = as_type(op, new, DOUBLE)
    cos, sin = _turn(op, space, joints, seen, cos, sin)
    return op.Concat(op.Add(total, op.Mul(size, more)), op.Add(count, more), [1.0], cos, sin, middle, axis=0)


def _size(op: Op, joints: JointSet, seen: Seen) -> Value:
    """Mean length of the spans, or without spans, mean distance of the joints from their mean; double [1]."""
    if joints.spans:
        starts, ends = ([1 + 2 * i + k for i in range(len(joints.spans))] for k in (0, 1))
        between = op.Sub(op.Gather(seen.means, starts), op.Gather(seen.means, ends))
        known = op.Mul(op.Gather(seen.complete, starts), op.Gather(seen.complete, ends))
    else:
        between, known = op.Sub(seen.points, op.Unsqueeze(_row(op, seen.means, -1), [0])), seen.there
    lengths = op.Mul(op.ReduceL2(between, [1], keepdims=1), known)
    some = op.ReduceSum(as_type(op, op.Greater(lengths, 0.0), DOUBLE), [0, 1], keepdims=0)
    whole = op.ReduceSum(lengths, [0, 1], keepdims=0)
    return op.Reshape(op.Div(whole, op.Max(some, op.CastLike(1.0, some))), [1])


def _turn(op: Op, space: SkeletonSpace, joints: JointSet, seen: Seen, cos: Value, sin: Value) -> tuple[Value, Value]:
    """Cosine and sine of the turn about the vertical, once the line across the shoulders has been seen."""
    if space.view != "first" or joints.across is None or space.dimensions != 3:
        return cos, sin
    left = 1 + 2 * len(joints.spans)
    line = op.Sub(_row(op, seen.means, left + 1), _row(op, seen.means, left))
    x, z = cut(op, line, 0, 1), cut(op, line, 2, 3)
    both = op.Mul(_row(op, seen.complete, left), _row(op, seen.complete, left + 1))
    long = op.Mul(op.Sqrt(op.Add(op.Mul(x, x), op.Mul(z, z))), both)
    first = op.And(_not_turned(op, cos, sin), op.Greater(long, 0.0))
    safe = op.Where(first, long, op.CastLike(1.0, long))
    return op.Where(first, op.Div(x, safe), cos), op.Where(first, op.Div(z, safe), sin)


def _placed(op: Op, space: SkeletonSpace, points: Value, state: Value) -> Value:
    total, count, _, cos, sin = (cut(op, state, i, i + 1) for i in range(SPACE))
    placed = points
    if space.origin != "none":
        placed = op.Sub(placed, op.Unsqueeze(cut(op, state, SPACE), [0]))
    if space.scale != "none":
        sized = op.Greater(count, 0.0)
        factor = op.Div(count, op.Where(sized, total, op.CastLike(1.0, total)))
        placed = op.Mul(placed, op.Where(sized, factor, op.CastLike(1.0, factor)))
    if space.view != "first" or space.dimensions != 3:
        return placed
    x, y, z = (cut(op, placed, i, i + 1, axis=1) for i in range(3))
    turned = op.Concat(op.Add(op.Mul(x, cos), op.Mul(z, sin)), y, op.Sub(op.Mul(z, cos), op.Mul(x, sin)), axis=1)
    return op.Where(_not_turned(op, cos, sin), placed, turned)


def _not_turned(op: Op, cos: Value, sin: Value) -> Value:
    return op.And(op.Equal(cos, 0.0), op.Equal(sin, 0.0))


def _row(op: Op, values: Value, number: int) -> Value:
    return op.Squeeze(op.Gather(values, [number]), [0])
