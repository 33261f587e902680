"""preprocessing.md: every rule and number between a camera's frames and what a network sees, from the transform.

For whoever wants to compute it without gesta. The rules are those of gesta.clips.preprocess.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gesta.clips import cropping, crops, flow, preprocess
from gesta.clips.clock import JITTER_S
from gesta.clips.skeleton_sets import joint_set
from gesta.clips.transform import COLORS, FLOW, Transform
from gesta.decoding import DecoderSpec
from gesta.tasks.clips.manifest import ClipManifest
from gesta.words import counted


def markdown(manifest: ClipManifest, inside: bool) -> str:
    """The whole page. `inside`: whether all of it is in model.onnx."""
    t = manifest.transform
    pixels = [*_gray(t), *_boxes(t), *_channels(t), *_scaling(t)] if t.skeleton is None else []
    steps = [*_time(t), *pixels, *_joints(t), *_network(manifest)]
    numbered = "\n".join(f"{number}. {step}" for number, step in enumerate(steps, start=1))
    return f"# Preprocessing\n\n{_where(t, inside)}\n\n{numbered}\n"


def _where(t: Transform, inside: bool) -> str:
    if t.skeleton is not None:
        return (
            "All of this is computed inside `model.onnx`, which takes joints and their times (see `run.py`). You need "
            f"this page only if you want to compute it yourself. Joints, in this order: {', '.join(t.skeleton.joints)}."
        )
    if inside:
        return (
            "All of this is computed inside `model.onnx`, which takes RGB frames and their times (see `run.py`). You "
            "need this page only if you want to compute it yourself. Gray levels are integers from 0 to 255 after "
            f"every step. Frames whose longer side is below {crops.MOTION_SIDE} pixels can differ from gesta's by one "
            "level."
        )
    shape = ", ".join(map(str, t.frame_shape))
    return (
        f"`model.onnx` takes preprocessed frames, uint8 [T, {shape}] (T frames; streams {', '.join(t.streams)}; "
        f"height; width; channels {', '.join(t.channels)}), because ONNX cannot compute {missing(t)}. Do the steps "
        "before the network yourself, as described below. Gray levels are integers from 0 to 255 after every step."
    )


DEPTH = "crops and levels of depth images with their masks"


def missing(t: Transform) -> str | None:
    """What of a transform is not in the graph, in words; None where all is."""
    if t.skeleton is not None and not t.fused:
        return None
    if t.tracker is not None:
        return "crops and masks of a tracker's people"
    if any(channel in FLOW for channel in t.channels):
        return "optical flow"
    if any(channel.startswith("depth") for channel in t.channels):
        return DEPTH
    return "crops around a skeleton" if t.body == "skeleton" else None


def _time(t: Transform) -> Iterator[str]:
    yield (
        f"**Frame rate.** The network sees {t.fps:g} frames per second. Tick k = 0, 1, 2, ... is k / {t.fps:g} s after "
        "the first frame, and takes the last frame that arrives less than half a tick after it. So frames that arrive "
        "faster are skipped, and a frame that stays is used again. The last frame of a recording is used once. A "
        f"pause counts as {preprocess.LONGEST_GAP_S:g} s at most. A time that goes back by up to {JITTER_S:g} s counts "
        "as the time before it; one that goes back further means that the clock was restarted."
    )


def _boxes(t: Transform) -> Iterator[str]:
    if t.body == "frame":
        yield (
            "**Square.** The smallest square around the whole image, with the same center. Pixels outside the image "
            "are 0."
        )
    if t.body == "motion":
        yield from _motion(t)
    if t.body == "skeleton":
        yield from _skeleton(t)


def _motion(t: Transform) -> Iterator[str]:
    yield (
        f"**Motion.** Each frame is converted to gray and scaled so that its longer side has {crops.MOTION_SIDE} "
        "pixels (area average). A pixel moves if it differs from the frame before by more than "
        f"{crops.MOTION_THRESHOLD} levels, after a 3 x 3 median of this binary image. Its energy is 1 where it moves "
        f"and otherwise halves every {crops.MOTION_HALF_LIFE_S:g} s, that is, it is multiplied by "
        f"{0.5 ** (1 / (t.fps * crops.MOTION_HALF_LIFE_S)):.6f} with each frame."
    )
    yield (
        f"**Square.** Computed once for every {t.chunk} frames, from the energy after the last of them. If the mean "
        f"energy is below {crops.MOTION_LEAST:g}, the square stays where it was. Otherwise take the rows that contain "
        "the central 96 % of the energy (without 2 % at each end), and the columns likewise. Their middle is the "
        f"center of the square. Its side is the larger extent times {1 + 2 * crops.MOTION_MARGIN:g}, at least "
        f"{crops.MOTION_SMALLEST:g} of the shorter side of the image and at most its longer side. The first square is "
        "used as it is. Later ones are smoothed, in pixels of the image: guess = center before + velocity; center = "
        f"guess + {1 - t.box_smoothing:g} (measured - guess); the velocity grows by {(1 - t.box_smoothing) ** 2 / 2:g} "
        f"(measured - guess) and is 0 while nothing moves; side = side before + {1 - t.box_smoothing:g} (measured - "
        "side before). Until something has moved, the square is the smallest one around the whole image. Its edges "
        "are rounded to whole pixels (.5 to the even number); pixels outside the image are 0."
    )


def _skeleton(t: Transform) -> Iterator[str]:
    smoothed = (
        f"Each edge is {t.box_smoothing:g} times the one before plus {1 - t.box_smoothing:g} times the new one. "
        if t.box_smoothing
        else ""
    )
    yield (
        f"**Body.** With h = the distance in pixels from HipCenter to Head (at least 1): from {t.body_width:g} h left "
        f"to {t.body_width:g} h right of HipCenter, and from {t.body_up:g} h above to {t.body_down:g} h below it. "
        f"{smoothed}Without a tracked person the box stays where it was; before the first one, it is the smallest "
        "square around the image."
    )
    if "hand" in t.streams:
        yield f"**Hand.** A square of {t.hand_side:g} h around the chosen hand; all 0 until a hand has been seen."
    highest = (
        "The hand that rises highest in the image over the whole recording (in streams, the rule below). "
        if t.hand_rule == "clip"
        else ""
    )
    mirrored = " If the right one is chosen, all crops are mirrored left to right." if t.mirror else ""
    yield (
        f"**Chosen hand.** {highest}At first, it is the left hand. For each hand, the greatest height above HipCenter, "
        f"in units of h, is kept; it decreases by {cropping.HAND_LEAK_PER_S:g} per second. The other hand is chosen "
        f"when its value is greater by {cropping.HAND_MARGIN:g}.{mirrored}"
    )


def _joints(t: Transform) -> Iterator[str]:
    space = t.skeleton
    if space is None:
        return
    joints = joint_set(space.joints)
    unsure = f" Set joints with a confidence below {space.least_confidence:g} to NaN." if space.least_confidence else ""
    named = [[joints.joints[i] for i in group] for group in (joints.origin, *(joints.across or ()))]
    yield (
        f"**Joints.** float32 [{len(space.joints)}, {space.dimensions}]. A joint is missing if a coordinate is not "
        f"finite.{unsure} Means are over the joints that are not missing. A frame without joints changes nothing below."
    )
    if space.origin != "none":
        which = "of each frame" if space.origin == "frame" else "of the first frame with a person"
        yield (
            f"**Origin.** The mean of {_listed(named[0])} {which} is subtracted; if all of them are missing, the "
            "origin before, or at first the mean of all joints."
        )
    if space.scale != "none":
        spans = " and ".join(
            f"from {_listed([joints.joints[i] for i in a])} to {_listed([joints.joints[i] for i in b])}"
            for a, b in joints.spans
        )
        size = f"the mean of the lengths {spans}" if spans else "the mean distance of the joints from their mean"
        which = "the mean size of all frames so far" if space.scale == "so_far" else "the first size"
        yield f"**Scale.** A frame's size is {size}, of those that are there. Coordinates are divided by {which}."
    if space.view == "first" and joints.across is not None and space.dimensions == 3:
        yield (
            f"**View.** (x, z) is the vector from {_listed(named[1])} to {_listed(named[2])} in the first frame that "
            "has both, divided by its length. From then on, a joint (a, b, c) becomes (a x + c z, b, c x - a z)."
        )
    yield "**Missing joints** are 0, and a last number is 1 for a joint that is there and 0 for one that is missing."


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) < 2 else f"{', '.join(names[:-1])} and {names[-1]}"


def _gray(t: Transform) -> Iterator[str]:
    sources = {channel.removesuffix("_difference") for channel in t.channels}
    if t.body == "motion" or "gray" in sources or any(c in FLOW for c in t.channels):
        yield "**Gray** = (9798 R + 19235 G + 3735 B + 16384) / 32768, rounded down."


def _channels(t: Transform) -> Iterator[str]:
    if missing(t) == DEPTH:
        yield (
            f"**Depth** as levels: 128 + 127 (reference - depth) / {t.depth_range_mm:g} mm, rounded and limited to 1 "
            "to 255; 0 without a reading. The reference is the median depth of every fourth pixel of the person (of "
            "the mask in the body crop; without a mask, of the middle quarter of the crop's width and third of its "
            f"height), {cropping.DEPTH_MEMORY:g} times the reference before plus {1 - cropping.DEPTH_MEMORY:g} times "
            "the new one."
        )
    listed = ", ".join(f"`{channel}`" for channel in t.channels)
    yield f"**Channels**, each cropped to the square: {listed}.{_difference(t)}{_color(t)}{_flow(t)}{_mask(t)}"


def _difference(t: Transform) -> str:
    if not any(channel.endswith("_difference") for channel in t.channels):
        return ""
    return (
        f" A difference is 128 + {t.difference_gain:g} (this frame - the frame used before it), both cropped to the "
        "square of this frame, rounded and limited to 0 to 255; for the first frame it is 128."
    )


def _color(t: Transform) -> str:
    return " `red`, `green`, `blue` are those of the frame." if any(c in COLORS for c in t.channels) else ""


def _flow(t: Transform) -> str:
    if not any(c in FLOW for c in t.channels):
        return ""
    which = (
        f"between the last {t.flow_stack + 1} frames of the recording up to this one, the latest pair first"
        if t.flow_stack
        else "from the frame used before to this one"
    )
    return (
        f" Optical flow is Farneback's, {which}, after scaling; {flow.BOUND_PX:g} pixels are 127 levels, and "
        f"{flow.STILL} means no motion."
    )


def _mask(t: Transform) -> str:
    return " Pixels outside the person's mask, if there is one, are 0." if t.mask and t.body == "skeleton" else ""


def _scaling(t: Transform) -> Iterator[str]:
    if t.smooth:
        yield (
            "**Smoothing.** (1 2 1) x (1 2 1) / 16, with the crop mirrored at its edges (edge pixels are not "
            "repeated), .5 rounded up."
        )
    yield (
        f"**Scaling to {t.size} x {t.size}.** While both sides have at least {2 * t.size} pixels: means of 2 x 2 "
        "pixels, .5 rounded up, without an odd last row or column. Then the area average, .5 rounded to the even "
        f"number; if a side has fewer than {t.size} pixels, linear interpolation between pixel centers instead."
    )


def _network(manifest: ClipManifest) -> Iterator[str]:
    t = manifest.transform
    if t.sampling == "central":
        yield (
            f"**Frames.** The central {t.window} of all frames; a shorter recording is padded with zero frames at its "
            f"end. A camera has no end: use its last {t.window} frames."
        )
    elif t.sampling == "whole":
        yield (
            f"**Frames.** All frames of the recording. A camera has no end: use its last {t.window} frames, once for "
            f"every {t.chunk}."
        )
    else:
        again = (
            f" With a camera, the state is set to zeros again after {manifest.reset_after_chunks} chunks."
            if manifest.reset_after_chunks
            else ""
        )
        yield (
            f"**Chunks** of {counted(t.chunk, 'frame')}; the last one is padded with zero frames. The network runs on "
            f"one chunk after the other and passes its state on; the first state is zeros.{again}"
        )
    kind = "uint8 without scaling (its first layer divides by 255)" if t.skeleton is None else "float32"
    yield (
        f"**Network.** Its input is {kind}. Softmax, exp(x) / sum of "
        f"exp(x), turns its outputs into probabilities, in this order: {', '.join(manifest.labels)}. The last output "
        "is the one for the whole recording."
    )
    if manifest.decoder is not None:
        yield _events(manifest, manifest.decoder)


def _events(manifest: ClipManifest, spec: DecoderSpec) -> str:
    """From the probabilities of chunks to events."""
    return (
        f"**Events** (`decoder.py`). Probabilities are for the middle of their chunk, {manifest.chunk_s / 2:.3f} s "
        "before its end. They are smoothed by an exponential mean, which after dt seconds keeps exp(-dt / "
        f"{spec.smoothing_s:g}) of its value (no smoothing if that number is 0). The activity is 1 minus the "
        f"probability of {spec.none!r}. An event starts where the activity rises to {spec.off:g} before it reaches "
        f"{spec.on:g}, and ends where it was last at {spec.off:g}, once it has been below for {spec.rearm_s:g} s. "
        f"Events shorter than {spec.least_s:g} s are dropped. The label is the one with the largest sum of "
        f"probabilities during the event. If another label leads at {spec.on:g} or above for {spec.least_s:g} s, a new "
        "event starts with it. Half a chunk is added at both ends."
    )
