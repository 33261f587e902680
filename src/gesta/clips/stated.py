"""Information on a video track from the file's header, index and packets, without decoding."""

from __future__ import annotations

import math
import os
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from gesta.clips.tracks import Role, choose_track, open_container
from gesta.schema import GestaError, Resource

ASSUMED_FPS = 25.0
"""Rate assumed for a file without any times."""

_CLOCKS_OWN = 1000
"""A guessed rate this high is the time base, not the frame rate."""


def packet_times(resource: Resource, role: Role = "any") -> list[float]:
    """Times in seconds from the first frame of the frames in an undamaged file, from its packets, without decoding.

    If some cannot be shown (see `Walk`), there are too many. Raises GestaError for a file that is not a video.
    """
    stamps: list[int | None] = []
    key: int | None = None
    started = False
    with resource.open() as stream, open_container(stream, resource) as container:
        track = choose_track(container, resource, role)
        base_s, rate, avi = float(track.time_base or 0), nominal_rate(track), container.format.name == "avi"
        key_stamp = first_key(track)
        try:
            for packet in container.demux(track):
                stamp = packet.dts if avi else packet.pts  # avi numbers its frame slots
                if not started and is_key(packet, key_stamp):
                    started, key = True, stamp
                if packet.size and started and not packet.is_discard:
                    stamps.append(stamp)
        except av.error.FFmpegError as error:
            raise GestaError(f"{resource}: is damaged ({error}). Copy or encode the file again.") from error
    if key is None or None in stamps:  # avi may have no times: frames at a constant rate
        return [index / rate for index in range(len(stamps))]
    shown = sorted(stamp for stamp in stamps if stamp is not None and stamp >= key)  # others need missing frames
    return [(stamp - shown[0]) * base_s for stamp in shown]


def first_key(track: VideoStream) -> float:
    """Time stamp of the first key frame in the file's index; nan if unknown."""
    return next((entry.timestamp for entry in track.index_entries if entry.is_keyframe), math.nan)


def is_key(packet: Packet[Any], key_stamp: float) -> bool:
    """Whether a packet is a key frame, or is the first one and damaged."""
    return packet.is_keyframe or key_stamp in (packet.pts, packet.dts)


def nominal_rate(track: VideoStream) -> float:
    """Frames per second from the header."""
    guess = track.guessed_rate
    if not track.average_rate and guess and guess < _CLOCKS_OWN:
        return float(guess)
    return float(track.average_rate or ASSUMED_FPS)


def stated_end_s(container: InputContainer, track: VideoStream) -> float | None:
    """End of the track according to the header, on the file's own clock. None if not stated."""
    base_s = float(track.time_base or 0)
    if container.format.name == "avi" and track.frames:
        return track.frames * base_s  # the duration is a guess if the file is cut
    if track.duration is not None:
        # in mp4 it counts from 0, including an empty edit before the first picture; likewise in asf
        start = 0 if container.format.name.startswith(("mov", "asf")) else track.start_time or 0
        return (track.duration + start) * base_s
    if "DURATION" in track.metadata:
        length_s = _clock_s(track.metadata["DURATION"])
        if length_s is None or "_STATISTICS_TAGS" not in track.metadata:
            return length_s  # written by ffmpeg: end time
        return length_s + (track.start_time or 0) * base_s  # written by mkvtoolnix: length
    if container.duration is not None and len(container.streams) == 1:
        return container.duration / 1_000_000
    return None


def _clock_s(text: str) -> float | None:
    """`00:01:02.500` -> 62.5; None for any other format."""
    try:
        hours, minutes, seconds = text.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        return None


def whole_riff(resource: Resource) -> bool:
    """Whether an avi is as long as its first chunk states."""
    with resource.open() as stream:
        head = stream.read(8)
        stated = int.from_bytes(head[4:8], "little")
        return head[:4] == b"RIFF" and 0 < stated <= stream.seek(0, os.SEEK_END) - 8
