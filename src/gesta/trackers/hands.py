"""Hand tracking: detects palms, finds 21 landmarks in a region around each, and tracks them from frame to frame.

Source: Zhang et al., "MediaPipe Hands: On-device Real-time Hand Tracking" (2020) and its model card. In addition, a
lost hand is searched for again in the same frame, a second hand is searched for only every `search_s`, and a hand keeps
its side and number while it is tracked and briefly after it is lost.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gesta.trackers.detector import Detector
from gesta.trackers.landmarks import Hand, Side
from gesta.trackers.networks import Network
from gesta.trackers.regions import Region, hand_region, palm_region
from gesta.trackers.smoothing import OneEuro

MIN_PRESENCE = 0.5
DEPTH_SCALE = 1 / 0.4  # of the network's depth, from its training data
SAME_REGION = 0.5  # regions with a larger overlap show the same hand
SAME_HAND = 0.25  # in hand sizes: landmarks with a smaller mean distance belong to the same hand
SIDE_MEMORY = 0.9  # weight of previous left/right estimates
SURE_SIDE = 0.8
REMEMBERED_S = 0.5  # how long a lost hand is remembered
REACH = 1.5  # in hand sizes: how far from its last position a lost hand may reappear
SMOOTHING = (1.0, 10.0)  # cutoff at rest in Hz, and beta


@dataclass
class _Track:
    """A tracked hand. `right`: averaged probability of a right hand; `side`: the side assigned to it."""

    number: int
    points: NDArray[np.float32]  # 21 3, as found
    confidence: float
    right: float
    time_s: float
    side: Side
    moved: float = 0.0  # since the last frame, in hand sizes
    smooth: OneEuro = field(default_factory=lambda: OneEuro(*SMOOTHING))

    @property
    def size(self) -> float:
        return _size(self.points)


@dataclass(frozen=True)
class _Found:
    """Output of the landmark network for one region."""

    points: NDArray[np.float32]
    confidence: float
    right: float


class HandTracker:
    """Tracks up to `max_hands` hands. `static`: runs the detector on every frame independently, without smoothing."""

    def __init__(
        self,
        detector: Detector,
        network: Network,
        *,
        max_hands: int = 2,
        static: bool = False,
        smooth: bool = True,
        search_s: float = 0.2,
    ) -> None:
        self._detector, self._network = detector, network
        self._max, self._static, self._smooth, self._search_s = max_hands, static, smooth, search_s
        self._count = 0
        self.reset()

    def reset(self) -> None:
        """Drops all hands before the frames of another recording."""
        self._tracks: list[_Track] = []
        self._lost: list[_Track] = []
        self._searched_s = -np.inf

    def step(self, image: NDArray[np.uint8], time_s: float) -> tuple[Hand, ...]:
        """The hands in an RGB frame, H W 3; if `time_s` decreases, the tracker is reset."""
        if self._static:
            return self._search_all(image)
        if any(track.time_s > time_s for track in self._tracks):
            self.reset()
        lost = self._follow(image, time_s)
        if self._should_search(lost, time_s):
            self._search(image, time_s)
        _resolve_sides(self._tracks)
        return tuple(self._hand(track, time_s) for track in self._tracks)

    def _search_all(self, image: NDArray[np.uint8]) -> tuple[Hand, ...]:
        hands: list[Hand] = []
        for region in self._palms(image, []):
            found = self._look(image, region)
            if found is not None:
                side: Side = "right" if found.right >= 0.5 else "left"
                sure = max(found.right, 1 - found.right)
                hands.append(Hand(found.points, found.confidence, side, sure, len(hands) + 1))
        return tuple(hands)

    def _palms(self, image: NDArray[np.uint8], taken: list[Region]) -> list[Region]:
        """Regions of detected palms not covered by a hand yet, most confident first, up to the number of free hands."""
        regions: list[Region] = []
        for detection in self._detector(image)[: self._max]:
            region = palm_region(detection.box, detection.keypoints)
            if all(region.overlap(other) <= SAME_REGION for other in [*taken, *regions]):
                regions.append(region)
        return regions[: self._max - len(taken)]

    def _look(self, image: NDArray[np.uint8], region: Region) -> _Found | None:
        """Landmarks in a region, or None if there is no hand."""
        size = self._network.size
        if not 1.0 <= region.side <= 100 * max(image.shape[:2]):
            return None
        points, presence, right = self._network(region.cut(image, size, zero_border=False))
        if not presence[0, 0] >= MIN_PRESENCE:
            return None
        scaled = np.asarray(points.reshape(-1, 3) / size * [1, 1, DEPTH_SCALE], np.float32)
        clipped = float(np.clip(right[0, 0], 0, 1))
        return _Found(region.to_frame(scaled), float(min(presence[0, 0], 1.0)), clipped)

    # -- from frame to frame ------------------------------------------------------------------------------------------

    def _follow(self, image: NDArray[np.uint8], time_s: float) -> bool:
        """Updates the hands from their last regions; returns whether one was lost."""
        kept = []
        for track in self._tracks:
            found = self._look(image, hand_region(track.points))
            if found is not None:
                _update(track, found, time_s)
                kept.append(track)
        kept = _without_doubles(kept)
        gone = [track for track in self._tracks if track not in kept]
        self._lost = [t for t in [*gone, *self._lost] if time_s - t.time_s <= REMEMBERED_S]
        self._tracks = kept
        return bool(gone)

    def _should_search(self, lost: bool, time_s: float) -> bool:
        if len(self._tracks) >= self._max:
            return False
        return lost or not self._tracks or time_s - self._searched_s >= self._search_s

    def _search(self, image: NDArray[np.uint8], time_s: float) -> None:
        self._searched_s = time_s
        for region in self._palms(image, [hand_region(track.points) for track in self._tracks]):
            found = self._look(image, region)
            if found is not None and not any(_same(found.points, t.points) for t in self._tracks):
                self._tracks.append(self._remembered(found, time_s) or self._new(found, time_s))

    def _remembered(self, found: _Found, time_s: float) -> _Track | None:
        """The recently lost hand that this one continues: the nearest within reach, or None."""
        near = [(_distance(found.points, track.points) / track.size, track) for track in self._lost]
        near = [(distance, track) for distance, track in near if distance <= REACH]
        if not near:
            return None
        track = min(near, key=lambda pair: pair[0])[1]
        self._lost = [other for other in self._lost if other is not track]
        _update(track, found, time_s)
        return track

    def _new(self, found: _Found, time_s: float) -> _Track:
        self._count += 1
        side: Side = "right" if found.right >= 0.5 else "left"
        return _Track(self._count, found.points, found.confidence, found.right, time_s, side)

    def _hand(self, track: _Track, time_s: float) -> Hand:
        points = track.smooth(track.points, time_s, track.size) if self._smooth else track.points
        sure = track.right if track.side == "right" else 1 - track.right
        return Hand(points, track.confidence, track.side, sure, track.number)


def _update(track: _Track, found: _Found, time_s: float) -> None:
    track.moved = _distance(found.points, track.points) / track.size
    track.points, track.confidence, track.time_s = found.points, found.confidence, time_s
    track.right = SIDE_MEMORY * track.right + (1 - SIDE_MEMORY) * found.right


def _without_doubles(tracks: list[_Track]) -> list[_Track]:
    """Removes duplicates: of two tracks on the same hand, keeps the one that moved less, as the other jumped."""
    kept: list[_Track] = []
    for track in sorted(tracks, key=lambda track: track.moved):
        if not any(_same(track.points, other.points) for other in kept):
            kept.append(track)
    return sorted(kept, key=lambda track: track.number)


def _resolve_sides(tracks: list[_Track]) -> None:
    """Changes a hand's side only on strong evidence, and gives two hands different sides."""
    for track in tracks:
        if (track.right if track.side == "left" else 1 - track.right) >= SURE_SIDE:
            track.side = "right" if track.side == "left" else "left"
    if len(tracks) == 2 and tracks[0].side == tracks[1].side:
        right = max(tracks, key=lambda track: track.right)
        for track in tracks:
            track.side = "right" if track is right else "left"


def _size(points: NDArray[np.float32]) -> float:
    """The longer side of the box around the landmarks, at least one pixel."""
    return max(float(np.ptp(points[:, :2], axis=0).max()), 1.0)


def _distance(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    return float(np.linalg.norm(one[:, :2] - other[:, :2], axis=1).mean())


def _same(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    return _distance(one, other) < SAME_HAND * min(_size(one), _size(other))
