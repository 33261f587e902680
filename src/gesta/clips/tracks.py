"""Selects a video track of a file: the one that players show, the depth, or one given by `#track=`."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import BinaryIO, Literal

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from gesta.schema import TRACK, GestaError, Resource

Role = Literal["color", "depth", "any"]
"""Purpose of the track. "any": color if there is color, else depth."""

_PICTURES = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image


def open_container(stream: BinaryIO, resource: Resource) -> InputContainer:
    """Opens the container. Raises GestaError if it is not a video."""
    try:
        source: str | BinaryIO = str(resource.path) if resource.member is None else stream
        return av.open(source, mode="r", metadata_errors="ignore")
    except (av.error.FFmpegError, ValueError) as error:
        raise GestaError(f"{resource}: is not a readable video ({error}). Copy or encode the file again.") from error


@lru_cache(maxsize=64)
def depth_bits(pixel_format: str | None) -> int:
    """Number of bits of a gray-only pixel format with more than 8 bits, as used for depth; else 0."""
    found = re.fullmatch(r"gray(9|10|12|14|16)([lb]e)?", pixel_format or "")
    return int(found[1]) if found else 0


def is_depth(pixel_format: str | None) -> bool:
    """Whether this pixel format is depth."""
    return depth_bits(pixel_format) > 0


def choose_track(container: InputContainer, resource: Resource, role: Role = "any") -> VideoStream:
    """The track to decode. Raises GestaError with the list of tracks if there is none or the choice is ambiguous."""
    tracks = list(container.streams.video)
    if not tracks:
        raise GestaError(f"{resource}: has no video stream. Expected a video file.")
    if resource.track is not None:
        return _decodable(_named(tracks, resource), resource)
    if len(tracks) == 1:
        return _decodable(tracks[0], resource)
    known = [track for track in tracks if track.codec_context is not None] or tracks
    moving = [track for track in known if not track.disposition & _PICTURES] or known
    moving = _without_stills(resource, moving)
    depths = [track for track in moving if is_depth(_pixels(track))]
    colors = [track for track in moving if track not in depths]
    fit = depths if role == "depth" else colors
    if not fit and role != "color":
        fit = moving
    return _decodable(_the_one(fit, role) or _refuse(tracks, resource, role), resource)


def _the_one(fit: list[VideoStream], role: Role) -> VideoStream | None:
    """The only track; else the only one named depth, or marked as default."""
    if len(fit) == 1:
        return fit[0]
    if role == "depth":
        marked = [track for track in fit if "depth" in _title(track).lower()]
    else:
        marked = [track for track in fit if track.disposition & Disposition.default]
    return marked[0] if len(marked) == 1 else None


def _named(tracks: list[VideoStream], resource: Resource) -> VideoStream:
    wanted = str(resource.track)
    titles = [_title(track).lower() for track in tracks]
    if wanted.isdecimal() and int(wanted) < len(tracks):
        return tracks[int(wanted)]
    if titles.count(wanted.lower()) == 1:
        return tracks[titles.index(wanted.lower())]
    raise GestaError(f"{resource}: has no such video track. It has {_listed(tracks)}.")


def _refuse(tracks: list[VideoStream], resource: Resource, role: Role) -> VideoStream:
    what = {"color": "the color", "depth": "the depth", "any": "meant"}[role]
    raise GestaError(
        f"{resource}: has {len(tracks)} video tracks, and it is not clear which one is {what}: {_listed(tracks)}. "
        f"Name one after the path, as in {resource.name}{TRACK}1."
    )


def _listed(tracks: list[VideoStream]) -> str:
    return ", ".join(f"{number} ({_described(track)})" for number, track in enumerate(tracks))


def _described(track: VideoStream) -> str:
    codec = track.codec_context
    words = [codec.name, f"{codec.width} x {codec.height}", codec.pix_fmt] if codec else ["unknown codec"]
    return " ".join(word for word in [_title(track) and f'"{_title(track)}"', *words] if word)


def _title(track: VideoStream) -> str:
    """Matroska's title, or the mp4 handler name."""
    return track.metadata.get("title") or track.metadata.get("handler_name") or ""


def _pixels(track: VideoStream) -> str | None:
    return track.codec_context.pix_fmt if track.codec_context else None


def _decodable(track: VideoStream, resource: Resource) -> VideoStream:
    if track.codec_context is None:
        raise GestaError(f"{resource}: its codec is not known. Convert it, for example to H.264 in .mp4.")
    return track


def _without_stills(resource: Resource, tracks: list[VideoStream]) -> list[VideoStream]:
    """Removes single-picture tracks, thumbnails stored as video, which headers do not identify."""
    if len(tracks) < 2:
        return tracks
    packets = dict.fromkeys((track.index for track in tracks), 0)
    with resource.open() as stream, open_container(stream, resource) as again:  # keeps the first one at position 0
        try:
            for packet in again.demux([again.streams[index] for index in packets]):
                packets[packet.stream_index] += packet.size > 0
                if min(packets.values()) > 1:
                    break
        except av.error.FFmpegError:
            pass  # decoding will detect the damage
    return [track for track in tracks if packets[track.index] > 1] or tracks
