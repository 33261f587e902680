"""OpenCV's image scaling as an ONNX graph: the same levels, or off by one where its rounding is not known."""

from __future__ import annotations

import onnx_ir as ir

from gesta.engines.onnx_graph import Op, Value, as_type, branch, length, loop

FLOAT, DOUBLE, INT64, UINT8 = ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.INT64, ir.DataType.UINT8
STEPS = 2048.0
"""OpenCV interpolates with weights in integer 2048ths."""


def area_weights(op: Op, small: Value, large: Value) -> Value:
    """Returns float32 [small, large]: how much of each of `large` pixels is in each of `small` cells (INTER_AREA)."""
    scale = op.Div(large, small)
    begin = op.Unsqueeze(op.Mul(_numbers(op, small), scale), [1])
    pixel = op.Unsqueeze(_numbers(op, large), [0])
    end = op.Add(begin, scale)
    share = op.Max(op.Sub(op.Min(end, op.Add(pixel, 1.0)), op.Max(begin, pixel)), op.CastLike(0.0, scale))
    kept = op.Where(op.Greater(share, 1e-3), share, op.CastLike(0.0, share))
    return as_type(op, op.Div(kept, op.Min(scale, op.Sub(large, begin))), FLOAT)


def resized(op: Op, image: Value, size: int) -> Value:
    """Resizes float32 [C, H, W] of integer levels to [C, size, size]: halving while at least twice as large, then area;
    linear for upscaling."""
    least = op.Min(length(op, image, 1), length(op, image, 2))
    doubles = [size * 2**k for k in range(1, 9)]
    times = op.ReduceSum(as_type(op, op.GreaterOrEqual(least, doubles), INT64))
    (half,), _ = loop(op, times, [image], lambda inner, _i, state: ([_halved(inner, state)], []))
    grows = op.Less(op.Min(length(op, half, 1), length(op, half, 2)), [size])
    return branch(op, op.Squeeze(grows), lambda o: _grown(o, half, size), lambda o: _shrunk(o, half, size))


def _halved(op: Op, image: Value) -> Value:
    """Returns means of 2 x 2, .5 rounded up; an odd last row or column is dropped."""
    mean = op.AveragePool(op.Unsqueeze(image, [0]), kernel_shape=[2, 2], strides=[2, 2])
    return op.Floor(op.Add(op.Squeeze(mean, [0]), 0.5))


def _shrunk(op: Op, image: Value, size: int) -> Value:
    goal = op.CastLike([float(size)], as_type(op, length(op, image), DOUBLE))
    down, across = (area_weights(op, goal, as_type(op, length(op, image, axis), DOUBLE)) for axis in (1, 2))
    return op.Round(op.MatMul(op.MatMul(down, image), op.Transpose(across, perm=[1, 0])))


def _grown(op: Op, image: Value, size: int) -> Value:
    """Upscales linearly with OpenCV's integer arithmetic."""
    exact = as_type(op, image, DOUBLE)
    left, right, near, far = _between(op, length(op, image, 2), size)
    wide = op.Add(op.Mul(op.Gather(exact, left, axis=2), near), op.Mul(op.Gather(exact, right, axis=2), far))
    top, bottom, near, far = _between(op, length(op, image, 1), size)
    parts = [
        op.Floor(
            op.Div(op.Mul(op.Floor(op.Div(op.Gather(wide, rows, axis=1), 16.0)), op.Unsqueeze(share, [1])), 65536.0)
        )
        for rows, share in ((top, near), (bottom, far))
    ]
    return as_type(op, op.Floor(op.Div(op.Add(op.Add(*parts), 2.0), 4.0)), FLOAT)


def _between(op: Op, large: Value, size: int) -> tuple[Value, Value, Value, Value]:
    """For each of `size` positions, returns the pixels on both sides (int64) and their weights in 2048ths (float64)."""
    pixels = as_type(op, large, DOUBLE)
    place = op.Sub(
        op.Mul(op.Add(_numbers(op, op.CastLike([float(size)], pixels)), 0.5), op.Div(pixels, float(size))), 0.5
    )
    place = op.Min(op.Max(place, op.CastLike(0.0, place)), op.Sub(pixels, 1.0))
    first = op.Floor(place)
    far = op.Round(op.Mul(op.Sub(place, first), STEPS))
    second = op.Min(op.Add(first, 1.0), op.Sub(pixels, 1.0))
    return as_type(op, first, INT64), as_type(op, second, INT64), op.Sub(op.CastLike(STEPS, far), far), far


def _numbers(op: Op, count: Value) -> Value:
    """0.0, 1.0, ... float64 [count]."""
    return as_type(op, op.Range(0, op.Squeeze(as_type(op, count, INT64)), 1), DOUBLE)


def cropped(op: Op, images: Value, box: Value) -> Value:
    """Returns the box's part of uint8 [n, H, W, C], zeros outside; box float64 [4]: left, top, right, bottom."""
    edges = as_type(op, op.Round(box), INT64)
    left, top, right, bottom = op.Split(edges, axis=0, num_outputs=4, _outputs=4)
    right, bottom = op.Max(right, op.Add(left, [1])), op.Max(bottom, op.Add(top, [1]))
    start = op.Max(op.Concat(top, left, axis=0), [0, 0])
    stop = op.Max(op.Concat(bottom, right, axis=0), [0, 0])
    inner = op.Slice(images, start, stop, [1, 2])
    wanted = op.Sub(op.Concat(bottom, right, axis=0), op.Concat(top, left, axis=0))
    before = op.Min(op.Sub(start, op.Concat(top, left, axis=0)), wanted)
    after = op.Sub(op.Sub(wanted, before), op.Shape(inner, start=1, end=3))
    edges = op.Concat([0], before, [0, 0], after, [0], axis=0)
    return op.Pad(inner, edges, op.CastLike(0, images))


def smoothed(op: Op, image: Value) -> Value:
    """Applies a 3 x 3 Gaussian to float32 [C, H, W], mirrored at the edges, .5 rounded up."""
    around = op.Pad(op.Unsqueeze(image, [1]), [0, 0, 1, 1, 0, 0, 1, 1], mode="reflect")
    kernel = op.Reshape(op.CastLike([1.0, 2.0, 1.0, 2.0, 4.0, 2.0, 1.0, 2.0, 1.0], image), [1, 1, 3, 3])
    return op.Squeeze(op.Floor(op.Div(op.Add(op.Conv(around, kernel), 8.0), 16.0)), [1])
