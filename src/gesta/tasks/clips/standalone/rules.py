"""preprocessing.md: every rule and number of the preprocessing from camera frames to network input, from the transform.

For reimplementing it without gesta. The rules are those of gesta.clips.preprocess.
"""

from __future__ import annotations

from collections.abc import Iterator

from gesta.clips import cropping, crops, flow, preprocess
from gesta.clips.clock import JITTER_S
from gesta.clips.transform import COLORS, FLOW, Transform
from gesta.decoding import DecoderSpec
from gesta.tasks.clips.manifest import ClipManifest


def markdown(manifest: ClipManifest, inside: bool) -> str:
    """Returns the page. `inside`: whether model.onnx contains all of it."""
    t = manifest.transform
    steps = [*_time(t), *_gray(t), *_boxes(t), *_channels(t), *_scaling(t), *_network(manifest)]
    numbered = "\n".join(f"{number}. {step}" for number, step in enumerate(steps, start=1))
    return f"# What happens to the pixels\n\n{_where(t, inside)}\n\n{numbered}\n"


def _where(t: Transform, inside: bool) -> str:
    if inside:
        return (
            "All of this is computed inside `model.onnx`, which takes RGB frames and their times; `run.py` feeds it. "
            "You "
            "need this page only to compute it yourself. Levels are whole numbers from 0 to 255 after every step. A "
            "frame "
            f"whose longer side is under {crops.MOTION_SIDE} pixels can differ from gesta by a level."
        )
    shape = ", ".join(map(str, t.frame_shape))
    return (
        f"`model.onnx` takes frames that are prepared already, uint8 [T, {shape}] (T frames; streams "
        f"{', '.join(t.streams)}; "
        f"height; width; channels {', '.join(t.channels)}), because ONNX has no way to compute {missing(t)}. Steps 1 "
        f"to "
        "the one that names the network are yours to do: they are those below. Levels are whole numbers from 0 to 255 "
        "after every step."
    )


DEPTH = "crops and levels of depth images with their masks"


def missing(t: Transform) -> str | None:
    """Describes what the graph does not contain of a transform; None if it is complete."""
    if t.tracker is not None:
        return "crops and masks of a tracker's people"
    if any(channel in FLOW for channel in t.channels):
        return "optical flow"
    if any(channel.startswith("depth") for channel in t.channels):
        return DEPTH
    return "crops around a skeleton" if t.body == "skeleton" else None


def _time(t: Transform) -> Iterator[str]:
    yield (
        f"**Frame rate.** The network sees {t.fps:g} frames a second. Counting from the first frame's time, tick k = "
        f"0, 1, "
        f"2, ... lies at k / {t.fps:g} s and takes the last frame that comes less than half a tick after it: a frame "
        f"that "
        "comes early is passed over, one that stays is taken again. The last frame of a recording is taken once. A "
        "pause "
        f"counts as {preprocess.LONGEST_GAP_S:g} s at most; a time that lies back by up to {JITTER_S:g} s counts as "
        f"the time "
        "before it, and one further back as a clock that started anew."
    )


def _boxes(t: Transform) -> Iterator[str]:
    if t.body == "frame":
        yield (
            "**Square.** The smallest square around the whole image, with the same center; outside the image lies "
            "level 0."
        )
    if t.body == "motion":
        yield from _motion(t)
    if t.body == "skeleton":
        yield from _skeleton(t)


def _motion(t: Transform) -> Iterator[str]:
    yield (
        f"**Where something moves.** Each frame is turned to gray and scaled to {crops.MOTION_SIDE} pixels of its "
        "longer side (area average). A pixel moves where it differs from the frame before by more than "
        f"{crops.MOTION_THRESHOLD} levels, after a 3 x 3 median of that yes-or-no image. Its energy is 1 where it "
        f"moves and "
        f"otherwise halves every {crops.MOTION_HALF_LIFE_S:g} s: times "
        f"{0.5 ** (1 / (t.fps * crops.MOTION_HALF_LIFE_S)):.6f} "
        "with each frame."
    )
    yield (
        f"**Square.** Once for every {t.chunk} frames, from the energy after the last of them. Where its mean is below "
        f"{crops.MOTION_LEAST:g}, the square stays where it was. Otherwise the rows between which the central 96 % of "
        f"the energy "
        f"lies (2 % left out at each end), and the columns likewise, give the middle; the side is the larger extent "
        f"times "
        f"{1 + 2 * crops.MOTION_MARGIN:g}, at least {crops.MOTION_SMALLEST:g} of the image's shorter side, at most "
        f"its longer "
        "side. The first square found is taken as it is. Later ones are smoothed, in pixels of the image: guess = "
        "middle "
        f"before + velocity; middle = guess + {1 - t.box_smoothing:g} (measured - guess); velocity grows by "
        f"{(1 - t.box_smoothing) ** 2 / 2:g} (measured - guess) and is 0 while nothing moves; side = side before + "
        f"{1 - t.box_smoothing:g} (measured - side before). Until something has moved, the square is the smallest "
        f"around the "
        "whole image. Its edges are rounded to whole pixels (.5 to the even number); outside the image lies level 0."
    )


def _skeleton(t: Transform) -> Iterator[str]:
    yield (
        "**Body.** With h = the distance in pixels from HipCenter to Head (at least 1): from "
        f"{t.body_width:g} h left to {t.body_width:g} h right of HipCenter, {t.body_up:g} h above to {t.body_down:g} "
        f"h below it. "
        + (
            f"Each edge is {t.box_smoothing:g} of the one before and {1 - t.box_smoothing:g} of the new one. "
            if t.box_smoothing
            else ""
        )
        + "Without a tracked person it stays where it was; before the first, it is the smallest square around the "
        "image."
    )
    if "hand" in t.streams:
        yield f"**Hand.** A square of {t.hand_side:g} h around the chosen hand; all 0 before a hand was seen."
    yield (
        "**Chosen hand.** "
        + (
            "The one that rises highest in the image over the whole recording (streams: the rule below). "
            if t.hand_rule == "clip"
            else ""
        )
        + f"The left one first. The greatest height above HipCenter in units of h is remembered of each, less "
        f"{cropping.HAND_LEAK_PER_S:g} a second; the other one is chosen when it exceeds by "
        f"{cropping.HAND_MARGIN:g}."
        + (" Where the right one is chosen, all crops are mirrored left to right." if t.mirror else "")
    )


def _gray(t: Transform) -> Iterator[str]:
    sources = {channel.removesuffix("_difference") for channel in t.channels}
    if t.body == "motion" or "gray" in sources or any(c in FLOW for c in t.channels):
        yield "**Gray** = (9798 R + 19235 G + 3735 B + 16384) / 32768, rounded down."


def _channels(t: Transform) -> Iterator[str]:
    if missing(t) == DEPTH:
        yield (
            f"**Depth** as levels: 128 + 127 (reference - depth) / {t.depth_range_mm:g} mm, rounded, from 1 to 255; 0 "
            f"without a "
            "reading. The reference is the median depth of every fourth pixel of the person (of the mask in the "
            "body's crop; "
            "without one, of the crop's middle quarter in width and third in height), "
            f"{cropping.DEPTH_MEMORY:g} of the one before and {1 - cropping.DEPTH_MEMORY:g} of the new one."
        )
    listed = ", ".join(f"`{channel}`" for channel in t.channels)
    yield f"**Channels**, each cut out of the square: {listed}.{_difference(t)}{_color(t)}{_flow(t)}{_mask(t)}"


def _difference(t: Transform) -> str:
    if not any(channel.endswith("_difference") for channel in t.channels):
        return ""
    return (
        f" A difference is 128 + {t.difference_gain:g} (this frame - the frame that was taken before it), both cut "
        f"out of this "
        "frame's square, rounded and limited to 0 to 255; of the first frame it is 128."
    )


def _color(t: Transform) -> str:
    return " `red`, `green`, `blue` are the frame's own." if any(c in COLORS for c in t.channels) else ""


def _flow(t: Transform) -> str:
    if not any(c in FLOW for c in t.channels):
        return ""
    which = (
        f"between the last {t.flow_stack + 1} frames of the recording up to this one, the latest pair first"
        if t.flow_stack
        else "from the frame that was taken before to this one"
    )
    return (
        f" Flow is Farneback's, {which}, all scaled first; {flow.BOUND_PX:g} pixels are "
        f"127 levels, "
        f"and {flow.STILL} is no motion."
    )


def _mask(t: Transform) -> str:
    return " Outside the person's mask, where there is one, all is 0." if t.mask and t.body == "skeleton" else ""


def _scaling(t: Transform) -> Iterator[str]:
    if t.smooth:
        yield "**Smoothing.** (1 2 1) x (1 2 1) / 16, mirrored at the crop's edges without repeating them, .5 rounded "
        "up."
    yield (
        f"**Scaling to {t.size} x {t.size}.** While both sides are at least {2 * t.size}: means of 2 x 2 pixels, .5 "
        f"rounded up, "
        "an odd last row or column left out. Then the area average, .5 to the even number; where a side is below "
        f"{t.size}, linear between pixel centers instead."
    )


def _network(manifest: ClipManifest) -> Iterator[str]:
    t = manifest.transform
    if t.sampling == "central":
        yield (
            f"**Frames.** The central {t.window} of all; a shorter recording is filled up with frames of 0 at its "
            f"end. A camera "
            f"has no end: of it the last {t.window} are taken."
        )
    else:
        yield (
            f"**Chunks** of {t.chunk} frames, the last one filled up with frames of 0. The network is computed for "
            f"each and "
            "hands its state to the next; the first begins with zeros."
            + (
                f" Of a camera, the state is zeros again after {manifest.reset_after_chunks} chunks."
                if manifest.reset_after_chunks
                else ""
            )
        )
    yield (
        "**Network.** uint8 in, no scaling outside it (dividing by 255 is its first layer). Its answers become "
        "probabilities by "
        f"softmax, exp(x) / sum of exp(x), in this order: {', '.join(manifest.labels)}. The last answer is the "
        f"recording's."
    )
    if manifest.decoder is not None:
        yield _events(manifest, manifest.decoder)


def _events(manifest: ClipManifest, spec: DecoderSpec) -> str:
    """Describes how events are decoded from a stream's answers."""
    return (
        f"**Events.** An answer is about the middle of its chunk, {manifest.chunk_s / 2:.3f} s before its end. "
        f"Probabilities are smoothed: the mean keeps exp(-dt / {spec.smoothing_s:g}) of itself after dt seconds (none "
        f"where that is 0). Active is 1 minus the probability of {spec.none!r}. An event begins where active rises "
        f"to {spec.off:g} before it reaches {spec.on:g}, and ends where it was at {spec.off:g} for the last time, once "
        f"it has been below for {spec.rearm_s:g} s; one shorter than {spec.least_s:g} s is dropped. Its label has the "
        "largest sum of probabilities over it; another label that leads at the opening level for the least length "
        "begins an event of its own. Half a chunk is added at both ends."
    )
