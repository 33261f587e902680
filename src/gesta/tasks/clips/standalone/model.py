"""A complete recognizer in one ONNX file: RGB frames, or joints, and their times in, probabilities out."""

from __future__ import annotations

import json
from collections.abc import Sequence

import onnx_ir as ir

from gesta.bundle.manifest import Artifact, Tensor
from gesta.clips.transform import COLORS, Transform
from gesta.engines.onnx_graph import (
    Op,
    Value,
    as_type,
    cut,
    inlined,
    length,
    loop,
    new_graph,
    output,
    serialized,
)
from gesta.tasks.clips.manifest import ClipManifest
from gesta.tasks.clips.standalone import boxes, joints, resize, ticks
from gesta.tasks.clips.standalone.rules import missing

FLOAT, DOUBLE, INT64, UINT8 = ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.INT64, ir.DataType.UINT8
GRAY = (9798 / 32768, 19235 / 32768, 3735 / 32768)
"""Weights of red, green and blue in OpenCV's grayscale; exact in single precision, as are their sums."""


def build(manifest: ClipManifest, network: bytes, artifact: Artifact) -> bytes:
    """Builds an ONNX file around an exported network (its step, or the network of one window).

    Inputs: frames uint8 [T, H, W, 3] RGB (preprocessed uint8 [T, S, H, W, C] if `rules.missing` names something; for a
    model of skeletons float32 [T, J, D], NaN where a joint is missing),
    times_s float64 [T], last bool [] (true at the end of a recording) and the states, initially zero.
    Outputs: probabilities float32 [K, N], ends_s float64 [K] for each completed chunk, and the states as NAME_out.
    """
    t = manifest.transform
    builder = new_graph("recognizer")
    op = builder.op
    colors = t.skeleton is None and missing(t) is None
    shape, kind = ["height", "width", 3] if colors else list(t.frame_shape), FLOAT if t.skeleton else UINT8
    frames = builder.input("frames", kind, ["T", *shape])
    times = builder.input("times_s", DOUBLE, ["T"])
    last = as_type(op, op.Reshape(builder.input("last", ir.DataType.BOOL, []), [1]), INT64)
    clock = builder.input("clock", DOUBLE, [ticks.CLOCK])
    held = builder.input("held", kind, ["held", *shape])
    found = ticks.ticks(op, t, times, last, clock)
    group = ticks.grouped(op, t.chunk, found, frames, last, held, clock)
    prepare = _joints if t.skeleton else _prepared if colors else _as_given
    own, clips = prepare(op, t, group.frames)
    answer = _stepped if artifact.role == "step" else _windowed
    probabilities, ends, states = answer(op, manifest, network, artifact, clips, group)
    output(op, probabilities, "probabilities", FLOAT, ["chunks", len(manifest.labels)])
    output(op, ends, "ends_s", DOUBLE, ["chunks"])
    output(op, found.clock, "clock_out", DOUBLE, [ticks.CLOCK])
    output(op, group.held, "held_out", kind, ["held_out", *shape])
    for name, value, of, size in (*own, *states):
        output(op, value, f"{name}_out", of, size)
    return serialized(builder, _notes(manifest, artifact))


def _notes(manifest: ClipManifest, artifact: Artifact) -> dict[str, str]:
    """Returns the metadata that run.py reads from the file.

    `joints`: names in order, for a model of skeletons; `color`: "0" if gray is enough; `window`, `reset_after_chunks`:
    for endless streams, "0" for none; `decoder`: for a model that finds gestures in long videos, its settings and half
    a chunk in seconds.
    """
    spec, space = manifest.decoder, manifest.transform.skeleton
    numbers = {} if spec is None else {**spec.model_dump(), "half_s": manifest.chunk_s / 2}
    return {
        **({"decoder": json.dumps(numbers)} if numbers else {}),
        **({} if space is None else {"joints": json.dumps(space.joints)}),
        "labels": json.dumps(manifest.labels, ensure_ascii=False),
        "color": str(int(manifest.transform.colored)),
        "window": str(0 if artifact.role == "step" else manifest.transform.window),
        "reset_after_chunks": str(manifest.reset_after_chunks or 0),
    }


State = tuple[str, Value, ir.DataType, Sequence[int | str]]


def _gray(op: Op, colors: Value) -> Value:
    """Converts red, green, blue float32 [..., 3] to gray [..., 1], in integer levels."""
    return op.Floor(op.Add(op.MatMul(colors, op.Reshape(op.CastLike(list(GRAY), colors), [3, 1])), 0.5))


def _boxes(op: Op, t: Transform, frames: Value) -> tuple[list[State], Value]:
    """Returns the states of the box, and a box for each frame except the previous one, float64 [n, 4]."""
    if t.body == "frame":
        height, width = (as_type(op, length(op, frames, axis), DOUBLE) for axis in (1, 2))
        count = op.Sub(length(op, frames), [1])
        return [], op.Expand(boxes.whole_frame(op, height, width), op.Concat(count, [4], axis=0))
    energy = op.builder.input("energy", FLOAT, ["energy_height", "energy_width"])
    found = op.builder.input("box", DOUBLE, [boxes.FOUND])
    gray = op.Squeeze(_gray(op, as_type(op, frames, FLOAT)), [3])
    made = boxes.motion_boxes(op, t, gray, energy, found)
    shape = ["energy_height_out", "energy_width_out"]
    return [("energy", made.energy, FLOAT, shape), ("box", made.found, DOUBLE, [boxes.FOUND])], made.boxes


def _as_given(op: Op, _: Transform, frames: Value) -> tuple[list[State], Value]:
    """Takes preprocessed frames without the previous one: uint8 [n, S, H, W, C] -> [n, S, C, H, W]."""
    return [], op.Transpose(cut(op, frames, 1), perm=[0, 1, 4, 2, 3])


def _joints(op: Op, t: Transform, frames: Value) -> tuple[list[State], Value]:
    """Returns the state of the normalization, and the network's input for each frame: float32 [n, J, D + 1]."""
    assert t.skeleton is not None
    size = [joints.SPACE + t.skeleton.dimensions]
    after, found = joints.normalized(op, t.skeleton, cut(op, frames, 1), op.builder.input("space", DOUBLE, size))
    return [("space", after, DOUBLE, size)], found


def _prepared(op: Op, t: Transform, frames: Value) -> tuple[list[State], Value]:
    """Returns the states of the box, and the network's input for each frame: uint8 [n, 1, C, size, size]."""
    states, squares = _boxes(op, t, frames)

    def prepare(inner: Op, i: Value, *_: Value) -> tuple[list[Value], list[Value]]:
        box = inner.Squeeze(inner.Gather(squares, inner.Reshape(i, [1])), [0])
        pair = cut(inner, frames, i, inner.Add(inner.Reshape(i, [1]), [2]))  # the previous frame and this one
        colors = as_type(inner, resize.cropped(inner, pair, box), FLOAT)
        levels = inner.Transpose(inner.Concat(colors, _gray(inner, colors), axis=3), perm=[0, 3, 1, 2])
        before, now = (inner.Squeeze(cut(inner, levels, place, place + 1), [0]) for place in (0, 1))
        channels = inner.Concat(*(_channel(inner, t, channel, before, now) for channel in t.channels), axis=0)
        smooth = resize.smoothed(inner, channels) if t.smooth else channels
        return [], [as_type(inner, resize.resized(inner, smooth, t.size), UINT8)]

    shape = (len(t.channels), t.size, t.size)
    return states, op.Unsqueeze(loop(op, length(op, squares), [], prepare, [shape])[1][0], [1])


def _channel(op: Op, t: Transform, channel: str, before: Value, now: Value) -> Value:
    """Returns a channel [1, h, w] from crops of red, green, blue and gray float32 [4, h, w]."""
    source = channel.removesuffix("_difference")
    place = COLORS.index(source) if source in COLORS else len(COLORS)
    level = cut(op, now, place, place + 1)
    if source == channel:
        return level
    change = op.Mul(op.Sub(level, cut(op, before, place, place + 1)), t.difference_gain)
    return op.Clip(op.Round(op.Add(change, 128.0)), 0.0, 255.0)


def _stepped(
    op: Op, manifest: ClipManifest, network: bytes, artifact: Artifact, clips: Value, group: ticks.Group
) -> tuple[Value, Value, list[State]]:
    """Runs the streaming step chunk by chunk: probabilities [K, N], end times [K] and the network's states."""
    t, names = manifest.transform, [state.name for state in artifact.states]
    lacking = op.Sub(op.Mul(group.chunks, [t.chunk]), length(op, clips))
    padded = _padded(op, clips, lacking)
    begun = [op.builder.input(state.name, FLOAT, _of_one(state)) for state in artifact.states]

    def step(inner: Op, k: Value, *states: Value) -> tuple[list[Value], list[Value]]:
        start = inner.Mul(inner.Reshape(k, [1]), [t.chunk])
        piece = cut(inner, padded, start, inner.Add(start, [t.chunk]))
        found = inlined(inner, network, {"chunk": _in_order(inner, t, piece), **dict(zip(names, states, strict=True))})
        logits = inner.Squeeze(found["logits"], [0])
        return [found[f"{name}_out"] for name in names], [inner.Softmax(logits, axis=-1)]

    after, (probabilities,) = loop(op, group.chunks, begun, step, [(len(manifest.labels),)])
    ends = op.Gather(group.ends_s, _last_of_chunks(op, t.chunk, group))
    states: list[State] = [(s.name, value, FLOAT, _of_one(s)) for s, value in zip(artifact.states, after, strict=True)]
    return probabilities, ends, states


def _windowed(
    op: Op, manifest: ClipManifest, network: bytes, artifact: Artifact, clips: Value, group: ticks.Group
) -> tuple[Value, Value, list[State]]:
    """Runs on the central window of all frames so far, or on all of them where the network takes any number:
    probabilities [1, N] (none before a first chunk), end, clip."""
    t = manifest.transform
    shape: list[int | str] = [len(t.streams), len(t.channels), t.size, t.size]
    kind = UINT8
    if t.skeleton is not None:
        shape, kind = [len(t.skeleton.joints), t.skeleton.dimensions + 1], FLOAT
    seen = op.Concat(op.builder.input("clip", kind, ["clip", *shape]), clips, axis=0)
    clip, *lengths = [port.name for port in artifact.inputs]
    if lengths:
        feed = {clip: _in_order(op, t, seen), lengths[0]: length(op, seen)}
    else:
        start = op.Max(op.Div(op.Sub(length(op, seen), [t.window]), [2]), [0])
        window = cut(op, seen, start, op.Add(start, [t.window]))
        feed = {clip: _in_order(op, t, _padded(op, window, op.Sub([t.window], length(op, window))))}
    logits = inlined(op, network, feed)["logits"]
    some = op.Min(group.chunks, [1])
    states: list[State] = [("clip", seen, kind, ["clip_out", *shape])]
    return (
        cut(op, op.Softmax(logits, axis=-1), 0, some),
        op.Slice(group.ends_s, [-1], [2**62], [0]),
        states,
    )


def _padded(op: Op, frames: Value, lacking: Value) -> Value:
    """Appends `lacking` zero frames, int64 [1]."""
    return op.Pad(frames, op.Concat([0], lacking, axis=0), op.CastLike(0, frames), [0])


def _in_order(op: Op, t: Transform, frames: Value) -> Value:
    """T S C H W -> B S C T H W, and T J D -> B T J D, with B = 1."""
    return op.Unsqueeze(frames if t.skeleton else op.Transpose(frames, perm=[1, 2, 0, 3, 4]), [0])


def _last_of_chunks(op: Op, chunk: int, group: ticks.Group) -> Value:
    """Returns the index of each chunk's last frame, int64 [K]."""
    numbers = op.Add(op.Range(0, op.Squeeze(group.chunks), 1), 1)
    return op.Sub(op.Min(op.Mul(numbers, chunk), length(op, group.ends_s)), 1)


def _of_one(state: Tensor) -> list[int | str]:
    """Returns a state's shape for a single recording."""
    return [1 if size == -1 else size for size in state.shape]
