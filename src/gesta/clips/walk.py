"""One pass through a video file: which pictures are shown, when, and which of them are lost to damage.

Frames are what a player shows: packets hidden by an edit list, empty packets, and those before the first key frame do
not count. A frame between two shown ones that the decoder rejected or marked as corrupt is lost.
"""

from __future__ import annotations

import heapq
import math
import os
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import av
from av.packet import Packet
from av.video.frame import PictureType
from av.video.stream import VideoStream

from gesta.clips.ahead import THREADS
from gesta.clips.clock import JITTER_S, Clock
from gesta.clips.geometry import pixel_ratio, square_size
from gesta.clips.stated import ASSUMED_FPS, first_key, is_key, nominal_rate, stated_end_s, whole_riff
from gesta.clips.tracks import Role, choose_track, open_container
from gesta.schema import Resource
from gesta.untrusted import MAX_PIXELS

_LOST_END_FRAMES = 2.5
_LOST_END_SHARE = 0.01
"""A file is cut short if its last packet ends more than this many frames, and more than this fraction, before the end
stated by its header."""

_HIDES_FRAMES = frozenset({"vp8", "vp9", "av1", "libvpx", "libvpx-vp9", "libdav1d", "libaom-av1"})
"""Codecs with packets that show nothing, and without reordering: only rejected packets are lost frames."""
_EVERY_PACKET_SHOWS = frozenset({"h264", "hevc"})
"""After damage, these may skip more frames than they reject: all dependent ones, up to the next key frame."""
_DROPS_SILENTLY = frozenset({"hevc"})
"""Skips damaged packets silently; no packet after the first key frame is hidden."""
_OUT_OF_ORDER_S = 0.5
"""After damage, pictures may come out of order: backward steps of time stamps up to this are not restarts."""
_DRAWS_WITHOUT_KEY = frozenset({"mpeg4", "h263", "flv", "msmpeg4v1", "msmpeg4v2", "msmpeg4", "wmv1", "wmv2"})
"""Decoders that output incorrect pictures before the first key frame."""


class Shown(NamedTuple):
    """Picture `number` of a file, from 0 and counting lost ones; `frame` is None if it is lost."""

    number: int
    time_s: float
    frame: av.VideoFrame | None


@dataclass
class Pass:
    """Result of a finished (or aborted) walk."""

    rate: float = ASSUMED_FPS
    good: int = 0
    lost: int = 0
    restarts: int = 0
    first_s: float = 0.0  # of the first picture, on the file's own clock
    last_end_s: float | None = None  # of the last packet, on the file's own clock
    last_length_s: float = 1 / ASSUMED_FPS  # display duration of the last picture
    stated_end_s: float | None = None
    whole: bool = False  # the file has every byte that it states: its last picture stays on until the end

    def length_s(self, last_s: float) -> float:
        """Length of the video, whose last picture at `last_s` is shown until the stated end."""
        end_s = last_s + self.last_length_s
        if self.stated_end_s is None or self.lacks or self.restarts:
            return end_s
        return max(end_s, self.stated_end_s - self.first_s)

    @property
    def lacks(self) -> str:
        """What is missing at the end, as a sentence; empty if nothing is."""
        if self.stated_end_s is None or self.last_end_s is None or self.whole:
            return ""
        missing_s = self.stated_end_s - self.last_end_s
        if missing_s <= max(_LOST_END_FRAMES / self.rate, _LOST_END_SHARE * self.stated_end_s):
            return ""
        return f"its header states {self.stated_end_s:.2f} s, but only {self.last_end_s:.2f} s could be decoded."


@dataclass(frozen=True)
class About:
    """Track properties. `size`: width and height in square pixels, before rotation; `frames`: from the header."""

    codec: str = ""
    pixels: str = ""
    size: tuple[int, int] = (0, 0)
    frames: int | None = None


class Walk:
    """Iterates over the shown pictures of a file, undamaged or lost, in presentation order.

    `seen` is updated during iteration. Raises GestaError if the file is not a video or has no picture, and
    av.FFmpegError if reading the container fails.
    """

    def __init__(self, resource: Resource, role: Role = "any") -> None:
        self.resource, self._role = resource, role
        self.seen = Pass()
        self.about = About()
        self._track: VideoStream | None = None

    @property
    def track(self) -> VideoStream:
        """The track being decoded."""
        assert self._track is not None
        return self._track

    def __iter__(self) -> Iterator[Shown]:
        order = yield from self._through(0)
        if order.cut_off:  # several threads were decoding the first or last pictures when one failed
            order = yield from self._through(order.index, threads=False)
        yield from order.rest()

    def _through(self, given: int, threads: bool = True) -> Generator[Shown, None, _Order]:
        """Yields the pictures from number `given` on."""
        with self.resource.open() as stream, open_container(stream, self.resource) as container:
            self._track = track = choose_track(container, self.resource, self._role)
            track.thread_type = "AUTO" if threads else "NONE"
            track.codec_context.thread_count = int(os.environ.get(THREADS, "0"))
            track.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
            avi = container.format.name == "avi"
            self.seen = Pass(nominal_rate(track), stated_end_s=stated_end_s(container, track))
            self.seen.whole = avi and whole_riff(self.resource)
            order = _Order(track, self.seen, avi, threads)
            try:
                for packet in container.demux(track):
                    for shown in order.shown(packet):
                        if shown.number >= given:
                            yield shown
                    if order.cut_off:
                        return order
                if self.seen.whole:  # an avi's index has an entry for each packet that shows something
                    order.not_found = max(len(track.index_entries) - order.packets, 0)
            finally:
                codec = track.codec_context  # details missing from headers are known after decoding
                size, pixels = square_size(codec.width, codec.height, pixel_ratio(track)), codec.pix_fmt or ""
                self.about = About(codec.name, pixels, size, track.frames or None)
        return order


class _Order:
    """Matches decoder output to its input packets."""

    def __init__(self, track: VideoStream, seen: Pass, in_order: bool, threads: bool) -> None:
        self._track, self._seen, self._in_order, self._threads = track, seen, in_order, threads
        self._base_s = float(track.time_base or 0)
        self._by_stamp = track.codec_context.name not in _HIDES_FRAMES and not in_order
        self._key: int | None = None  # stamp of the first key frame's packet
        self._first_key = first_key(track)
        self._needs_key = track.codec_context.name in _DRAWS_WITHOUT_KEY
        self._waiting: list[int] = []  # heap: stamps of packets whose picture has not come yet
        self._slots: deque[int] = deque()  # avi: filled slots that were not shown yet
        self._refused = 0  # rejected packets, not yet identified among the waiting ones
        self._damaged = False  # whether any packet was rejected
        self._strict = self._by_stamp and track.codec_context.name in _EVERY_PACKET_SHOWS
        self._complete = self._by_stamp and track.codec_context.name in _DROPS_SILENTLY
        self._clock = Clock()
        self.index = 0  # pictures so far
        self.cut_off = False  # the decoder failed at an unknown packet
        self.packets = self.not_found = 0
        self._last_packet = self._last_shown = -math.inf  # stamps
        self._first_s: float | None = None
        self._time_s = 0.0

    def shown(self, packet: Packet[Any]) -> Iterator[Shown]:
        """Yields the pictures known once this packet is decoded."""
        if packet.size:
            self._note(packet)
        elif packet.dts is not None:
            return  # a null packet: the previous picture stays on; the decoder would take it as the end
        try:
            frames = self._track.decode(packet)
        except av.error.FFmpegError:
            frames = []
            if packet.size == 0 or (self.index == 0 and self._key is not None and self._threads):
                self.cut_off = True
            # failures before the first key frame are not damage: nothing could be shown yet
            elif self.index > 0 or self._is_after_key(packet.dts if packet.pts is None else packet.pts):
                self._refused, self._damaged = self._refused + 1, True
        for frame in frames:
            yield from self._out(frame)
        if packet.size == 0:
            self.cut_off = self._threads and (self.cut_off or self._lacks_last())
        if self._refused and not self._by_stamp:
            yield from self._lost([None] * self._refused)

    def _lacks_last(self) -> bool:
        """Whether a picture should have come after the last one."""
        return self.index > 0 and (bool(self._slots) if self._in_order else self._last_packet > self._last_shown)

    def _is_after_key(self, stamp: int | None) -> bool:
        return self._key is not None and stamp is not None and stamp >= self._key

    def rest(self) -> Iterator[Shown]:
        """Yields the pictures lost after the last one."""
        waiting = sorted(stamp for stamp in self._waiting if self._is_after_key(stamp))
        if self._complete or (self._damaged and self._strict):
            yield from self._lost(waiting)
        elif self._damaged:
            yield from self._lost(waiting[: self._refused])
        if self._damaged:
            yield from self._lost([None] * self._refused)
        yield from self._lost([None] * self.not_found)

    def _note(self, packet: Packet[Any]) -> None:
        """Records the time of a packet that will be shown."""
        stamp = packet.dts if packet.pts is None else packet.pts
        if self._key is None and is_key(packet, self._first_key):
            self._key = packet.dts if self._in_order else stamp
        if stamp is None or packet.is_discard:
            return
        self.packets += 1
        seen = self._seen
        length_s = packet.duration * self._base_s if packet.duration else 1 / seen.rate
        end_s = stamp * self._base_s + length_s
        if seen.last_end_s is None or end_s > seen.last_end_s:
            seen.last_end_s, seen.last_length_s = end_s, length_s
        self._last_packet = max(self._last_packet, stamp)
        if self._in_order and packet.dts is not None:
            self._slots.append(packet.dts)
        if packet.pts is None:
            self._by_stamp = False
        elif self._by_stamp:
            heapq.heappush(self._waiting, packet.pts)

    def _out(self, frame: av.VideoFrame) -> Iterator[Shown]:
        stamp = frame.dts if frame.pts is None else frame.pts
        if self._needs_key and not self._leans_on_key(frame, stamp):
            return
        self._needs_key = False
        if stamp is not None:  # the second field of a last interlaced picture may be a packet of its own
            self._last_shown = max(self._last_shown, math.inf if frame.interlaced_frame else stamp)
        yield from self._lost(self._missed(frame))
        if frame.is_corrupt and not self.index and not (stamp == self._key and frame.pict_type == PictureType.I):
            return
        self._time_s = self._timed(self._slot_s() if self._slots else self._stamp_s(stamp))
        self.index += 1
        if frame.is_corrupt:
            self._seen.lost += 1
        else:
            self._seen.good += 1
        yield Shown(self.index - 1, self._time_s, None if frame.is_corrupt else frame)

    def _missed(self, frame: av.VideoFrame) -> list[int]:
        """Stamps of the pictures before this one that are lost to damage."""
        passed = self._passed(frame.pts)
        if self.index == 0:  # from the first key frame on; decoded by one thread if it was rejected
            lost = [stamp for stamp in passed if self._is_after_key(stamp)] if self._damaged else []
            self._refused = len(lost)
            return lost
        if self._complete or (self._damaged and self._strict and not frame.interlaced_frame):
            return passed
        return passed[: self._refused] if self._damaged else []

    def _leans_on_key(self, frame: av.VideoFrame, stamp: int | None) -> bool:
        """Whether this picture is a key frame or follows one."""
        return self._is_after_key(stamp) or frame.pict_type in (PictureType.I, PictureType.SI)

    def _stamp_s(self, stamp: int | None) -> float:
        return self.index / self._seen.rate if stamp is None else stamp * self._base_s

    def _slot_s(self) -> float:
        """Time of the next filled slot: an avi numbers its slots, whatever is guessed to be shown in them."""
        while self.index == 0 and self._key is not None and len(self._slots) > 1 and self._slots[0] < self._key:
            self._slots.popleft()
        return self._slots.popleft() * self._base_s

    def _passed(self, stamp: int | None) -> list[int]:
        """Stamps of packets that should have been shown before the picture with this stamp."""
        passed: list[int] = []
        if stamp is not None:
            while self._waiting and self._waiting[0] <= stamp:
                passed.append(heapq.heappop(self._waiting))
        return [other for other in passed if other != stamp]

    def _timed(self, stamp_s: float) -> float:
        if self._first_s is None:
            self._first_s = self._seen.first_s = stamp_s
        time_s = self._clock.at(stamp_s - self._first_s, _OUT_OF_ORDER_S if self._seen.lost else JITTER_S)
        self._seen.restarts = self._clock.restarts
        return time_s

    def _lost(self, passed: Sequence[int | None]) -> Iterator[Shown]:
        """Yields lost pictures at these stamps; without a stamp, right after the last picture."""
        for stamp in passed:
            self._refused = max(self._refused - 1, 0)
            self._seen.lost += 1
            self.index += 1
            time_s = self._time_s
            if stamp is None and self._first_s is None and self._key is not None and not self._slots:
                stamp = self._key
            if stamp is not None or self._slots:
                time_s = self._timed(self._slot_s() if stamp is None else stamp * self._base_s)
            yield Shown(self.index - 1, time_s, None)
