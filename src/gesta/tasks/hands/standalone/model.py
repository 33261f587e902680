"""A hand pose model in one ONNX file: depth image, camera and center in, joints in millimeters and pixels out."""

from __future__ import annotations

import json

import onnx_ir as ir

from gesta.engines.onnx_graph import Op, Value, as_type, inlined, length, new_graph, output, serialized
from gesta.tasks.hands.cube import MIN_PIXELS, PATCH
from gesta.tasks.hands.manifest import HandManifest
from gesta.tasks.hands.transform import HandTransform

FLOAT, DOUBLE, INT64, UINT8 = ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.INT64, ir.DataType.UINT8


def build(manifest: HandManifest, network: bytes) -> bytes:
    """Build an ONNX file around an exported network.

    Inputs: depth_mm float32 [H, W], camera float64 [4] (fx, fy, cx, cy), center_mm float64 [3] and, where the model
    needs it, color uint8 [H, W, 3]. Outputs: joints_mm float32 [J, 3], joints_uv float32 [J, 2] and readings int64 []:
    the number of pixels with a reading in the cube, 0 if there are too few.
    """
    t, joints = manifest.transform, len(manifest.joints)
    builder = new_graph("hands")
    op = builder.op
    depth = builder.input("depth_mm", FLOAT, ["height", "width"])
    camera, center = builder.input("camera", DOUBLE, [4]), builder.input("center_mm", DOUBLE, [3])
    color = builder.input("color", UINT8, ["height", "width", 3]) if t.needs_color else None
    hand, inside = prepared(op, t, depth, color, camera, center)
    fx, fy, cx, cy = op.Split(camera, axis=0, num_outputs=4, _outputs=4)
    found = as_type(op, op.Squeeze(inlined(op, network, {"hand": hand})["joints"], [0]), DOUBLE)
    joints_mm = op.Add(op.Mul(found, t.cube_mm / 2), center)
    across, up, depths = op.Split(joints_mm, axis=1, num_outputs=3, _outputs=3)
    pixels = op.Add(cx, op.Div(op.Mul(fx, across), depths)), op.Sub(cy, op.Div(op.Mul(fy, up), depths))
    readings = op.ReduceSum(as_type(op, inside, INT64), keepdims=0)
    enough = op.GreaterOrEqual(as_type(op, readings, FLOAT), MIN_PIXELS * (t.size / PATCH) ** 2)
    output(op, as_type(op, joints_mm, FLOAT), "joints_mm", FLOAT, [joints, 3])
    output(op, as_type(op, op.Concat(*pixels, axis=1), FLOAT), "joints_uv", FLOAT, [joints, 2])
    output(op, op.Where(enough, readings, 0), "readings", INT64, [])
    return serialized(builder, {"joints": json.dumps(manifest.joints), "cube_mm": str(t.cube_mm)})


def prepared(
    op: Op, t: HandTransform, depth: Value, color: Value | None, camera: Value, center: Value
) -> tuple[Value, Value]:
    """Return (network input, float32 [1, C, size, size]; hand mask from depth, bool [size, size])."""
    fx, fy, cx, cy = op.Split(camera, axis=0, num_outputs=4, _outputs=4)
    x, y, z = op.Split(center, axis=0, num_outputs=3, _outputs=3)
    u, v = op.Add(cx, op.Div(op.Mul(fx, x), z)), op.Sub(cy, op.Div(op.Mul(fy, y), z))
    columns, rows = (_places(op, t, middle, focal, z) for middle, focal in ((u, fx), (v, fy)))
    patch = _patch(op, t, depth, rows, columns, z)
    inside = op.Less(op.Abs(patch), 1.0)
    planes = [op.Unsqueeze(patch, [0])]
    if color is not None:
        colors = _color(op, t, color, rows, columns, inside)
        planes = [colors] if t.inputs == "rgb" else [*planes, colors]
    return op.Unsqueeze(op.Concat(*planes, axis=0), [0]), inside


def _places(op: Op, t: HandTransform, middle: Value, focal: Value, z: Value) -> Value:
    """Return the image coordinates of the patch's rows or columns, float64 [size]."""
    step = op.Div(op.Mul(focal, t.cube_mm / t.size), z)
    numbers = as_type(op, op.Range(0, t.size, 1), DOUBLE)
    return op.Add(middle, op.Mul(op.Sub(numbers, (t.size - 1) / 2), step))


def _inside(op: Op, place: Value, size: Value) -> tuple[Value, Value]:
    """Return (integer coordinates clamped to the image, int64; whether they were inside, bool)."""
    last = op.Sub(size, [1])
    whole = as_type(op, place, INT64)
    return op.Max(op.Min(whole, last), [0]), op.And(op.GreaterOrEqual(whole, [0]), op.LessOrEqual(whole, last))


def _taken(op: Op, image: Value, rows: Value, columns: Value) -> Value:
    """Gather pixels [size, size, C] of an image [H, W, C] at integer coordinates, 0 outside it; float64."""
    (down, above), (right, beside) = (
        _inside(op, place, length(op, image, n)) for n, place in enumerate((rows, columns))
    )
    pixels = as_type(op, op.Gather(op.Gather(image, down, axis=0), right, axis=1), DOUBLE)
    there = op.And(op.Unsqueeze(above, [1, 2]), op.Unsqueeze(beside, [0, 2]))
    return op.Mul(pixels, as_type(op, there, DOUBLE))


def _patch(op: Op, t: HandTransform, depth: Value, rows: Value, columns: Value, z: Value) -> Value:
    """Return normalized depth float32 [size, size]: nearest-neighbor sampling, 1 without a reading."""
    cut = as_type(op, op.Squeeze(_taken(op, op.Unsqueeze(depth, [2]), *map(op.Round, (rows, columns))), [2]), FLOAT)
    normal = op.Div(op.Sub(cut, as_type(op, z, FLOAT)), t.cube_mm / 2)
    return op.Where(op.Greater(cut, 0.0), op.Clip(normal, -1.0, 1.0), op.CastLike(1.0, cut))


def _color(op: Op, t: HandTransform, color: Value, rows: Value, columns: Value, inside: Value) -> Value:
    """Return standardized colors float32 [3, size, size]: bilinear, black where depth shows no hand."""
    top, left = op.Floor(rows), op.Floor(columns)
    down, right = op.Unsqueeze(op.Sub(rows, top), [1, 2]), op.Unsqueeze(op.Sub(columns, left), [0, 2])
    ends = [(top, op.Sub(1.0, down)), (op.Add(top, 1.0), down)]
    sides = [(left, op.Sub(1.0, right)), (op.Add(left, 1.0), right)]
    parts = [op.Mul(_taken(op, color, v, u), op.Mul(low, near)) for v, low in ends for u, near in sides]
    levels = as_type(op, op.Round(op.Sum(*parts)), FLOAT)
    if t.mask:
        levels = op.Mul(levels, op.Unsqueeze(as_type(op, inside, FLOAT), [2]))
    assert t.color_mean is not None and t.color_deviation is not None
    mean, deviation = (op.CastLike(list(values), levels) for values in (t.color_mean, t.color_deviation))
    return op.Transpose(op.Div(op.Sub(levels, mean), deviation), perm=[2, 0, 1])
