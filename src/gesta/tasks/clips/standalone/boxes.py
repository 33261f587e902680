"""The square that follows motion (gesta.clips.crops.MotionBox), as an ONNX graph."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from gesta.clips import crops
from gesta.clips.transform import Transform
from gesta.engines.onnx_graph import Op, Value, as_type, branch, cut, length, loop
from gesta.tasks.clips.standalone.resize import area_weights

FOUND = 6
"""Size of a box's state: whether it was found, center u and v, velocity u and v, side."""
FLOAT, DOUBLE, INT64 = ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.INT64


@dataclass(frozen=True)
class Boxes:
    """`boxes` float64 [n, 4]: left, top, right, bottom for each frame; the states after them."""

    boxes: Value
    energy: Value
    found: Value


def whole_frame(op: Op, height: Value, width: Value) -> Value:
    """Returns the square around the whole image, float64 [1, 4]; sizes are float64 [1]."""
    side = op.Max(height, width)
    left, top = (op.Div(op.Sub(size, side), 2.0) for size in (width, height))
    return op.Unsqueeze(op.Concat(left, top, op.Add(left, side), op.Add(top, side), axis=0), [0])


def motion_boxes(op: Op, t: Transform, gray: Value, energy: Value, found: Value) -> Boxes:
    """gray: float32 [1 + n, H, W], the previous frame, then n frames; energy: float32 [h, w]; found: float64 [6]."""
    height, width = (as_type(op, length(op, gray, axis), DOUBLE) for axis in (1, 2))
    small = _small(op, gray, height, width)
    frames = op.Sub(length(op, small), [1])
    moved = _moved(op, small, frames)
    fresh = op.Equal(length(op, energy), [0])  # first frame
    blank = op.Expand(0.0, cut(op, op.Shape(small), 1))
    start = branch(op, op.Squeeze(fresh), lambda _: blank, lambda _: energy)
    start.type = ir.TensorType(FLOAT)
    decay = 0.5 ** (1 / (t.fps * crops.MOTION_HALF_LIFE_S))

    def follow(inner: Op, k: Value, energy: Value, found: Value) -> tuple[list[Value], list[Value]]:
        begin = inner.Mul(inner.Reshape(k, [1]), [t.chunk])
        end = inner.Min(inner.Add(begin, [t.chunk]), frames)
        later = _energy(inner, cut(inner, moved, begin, end), energy, decay)
        quiet = inner.Less(inner.ReduceMean(later, keepdims=0), crops.MOTION_LEAST)
        sizes = (height, width)
        state = branch(inner, quiet, lambda o: _still(o, found), lambda o: _followed(o, t, later, found, sizes))
        state.type = ir.TensorType(DOUBLE)
        return [later, state], [_box(inner, state, sizes)]

    chunks = op.Div(op.Add(frames, [t.chunk - 1]), [t.chunk])
    (energy, found), (boxes,) = loop(op, chunks, [start, found], follow, [(4,)])
    numbers = op.Range(0, op.Squeeze(frames), 1)
    return Boxes(op.Gather(boxes, op.Div(numbers, t.chunk)), energy, found)


def _small(op: Op, gray: Value, height: Value, width: Value) -> Value:
    """Resizes all images to 120 pixels on the longer side, in integer levels."""
    scale = op.Div(float(crops.MOTION_SIDE), op.Max(height, width))
    rows, columns = (op.Max(op.Round(op.Mul(size, scale)), 1.0) for size in (height, width))
    down, across = area_weights(op, rows, height), area_weights(op, columns, width)
    levels = op.MatMul(op.MatMul(down, gray), op.Transpose(across, perm=[1, 0]))
    # if both sides are halved exactly, OpenCV rounds .5 up
    halved = op.And(op.Equal(height, op.Mul(rows, 2.0)), op.Equal(width, op.Mul(columns, 2.0)))
    return op.Where(halved, op.Floor(op.Add(levels, 0.5)), op.Round(levels))


def _moved(op: Op, small: Value, frames: Value) -> Value:
    """Marks where a frame differs from the previous one, without specks: float32 [n, h, w] of 0 and 1."""
    change = op.Abs(op.Sub(cut(op, small, 1), cut(op, small, 0, frames)))
    moved = as_type(op, op.Greater(change, float(crops.MOTION_THRESHOLD)), FLOAT)
    around = op.Pad(op.Unsqueeze(moved, [1]), [0, 0, 1, 1, 0, 0, 1, 1], mode="edge")
    share = op.AveragePool(around, kernel_shape=[3, 3])
    return as_type(op, op.Squeeze(op.Greater(share, 0.5), [1]), FLOAT)  # median of nine zeros and ones


def _energy(op: Op, moved: Value, energy: Value, decay: float) -> Value:
    """Returns the energy after these frames: motion counts fully and decays by half every 0.12 s."""
    count = as_type(op, length(op, moved), DOUBLE)
    ages = op.Sub(op.Sub(count, 1.0), as_type(op, op.Range(0, op.Squeeze(length(op, moved)), 1), DOUBLE))
    weights = as_type(op, op.Pow(op.CastLike(decay, ages), ages), FLOAT)
    newest = op.ReduceMax(op.Mul(moved, op.Unsqueeze(weights, [1, 2])), [0], keepdims=0)
    return op.Max(newest, op.Mul(energy, as_type(op, op.Pow(op.CastLike(decay, count), count), FLOAT)))


def _still(op: Op, found: Value) -> Value:
    """Without motion: the box stays, and its velocity is reset."""
    there, u, v, _, _, side = op.Split(found, axis=0, num_outputs=FOUND, _outputs=FOUND)
    return op.Concat(there, u, v, op.Mul(u, 0.0), op.Mul(v, 0.0), side, axis=0)


def _followed(op: Op, t: Transform, energy: Value, found: Value, sizes: tuple[Value, Value]) -> Value:
    """Moves the box toward the energy."""
    height, width = sizes
    top, bottom, rows = _extent(op, op.ReduceSum(energy, [1], keepdims=0))
    left, right, columns = _extent(op, op.ReduceSum(energy, [0], keepdims=0))
    down, across = op.Div(height, rows), op.Div(width, columns)
    extent = op.Max(op.Mul(op.Sub(bottom, top), down), op.Mul(op.Sub(right, left), across))
    side = op.Max(op.Mul(extent, 1 + 2 * crops.MOTION_MARGIN), op.Mul(op.Min(height, width), crops.MOTION_SMALLEST))
    side = op.Min(side, op.Max(height, width))
    u, v = (op.Mul(op.Div(op.Add(a, b), 2.0), step) for a, b, step in ((left, right, across), (top, bottom, down)))
    center = op.Concat(u, v, axis=0)
    there, before = cut(op, found, 0, 1), cut(op, found, 1, 3)
    velocity, old = cut(op, found, 3, 5), cut(op, found, 5, 6)
    a = 1 - t.box_smoothing
    guess = op.Add(before, velocity)
    ahead = op.Sub(center, guess)
    known = op.Greater(there, 0.0)
    return op.Concat(
        op.Add(op.Mul(there, 0.0), 1.0),
        op.Where(known, op.Add(guess, op.Mul(ahead, a)), center),
        op.Where(known, op.Add(velocity, op.Mul(ahead, a * a / 2)), velocity),
        op.Where(known, op.Add(old, op.Mul(op.Sub(side, old), a)), side),
        axis=0,
    )


def _extent(op: Op, weights: Value) -> tuple[Value, Value, Value]:
    """Returns the extent of the central 96 % of the weight: (first, last, count), float64 [1]."""
    share = op.Div(op.CumSum(weights, 0), op.ReduceSum(weights))
    total = as_type(op, length(op, weights), DOUBLE)
    first, last = (
        op.ReduceSum(as_type(op, op.Less(as_type(op, share, DOUBLE), level), DOUBLE), [0]) for level in (0.02, 0.98)
    )
    return first, op.Min(op.Add(last, 1.0), total), total


def _box(op: Op, found: Value, sizes: tuple[Value, Value]) -> Value:
    """Returns left, top, right, bottom, float64 [4]: the whole frame until there is motion."""
    there, u, v, _, _, side = op.Split(found, axis=0, num_outputs=FOUND, _outputs=FOUND)
    half = op.Div(side, 2.0)
    box = op.Concat(op.Sub(u, half), op.Sub(v, half), op.Add(u, half), op.Add(v, half), axis=0)
    return op.Where(op.Greater(there, 0.0), box, op.Squeeze(whole_frame(op, *sizes), [0]))
