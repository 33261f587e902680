"""Single-shot detection of palms and people: anchors, decoding, and blending of overlapping boxes.

Sources: Liu et al., "SSD: Single Shot MultiBox Detector" (2016); Bazarevsky et al., "BlazeFace: Sub-millisecond Neural
Face Detection on Mobile GPUs" (2019), which introduced the blending; the networks' model cards and published graphs.
Both networks place square anchors of one size on the cells of a few grids and regress a box and keypoints from each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gesta.trackers.networks import Network
from gesta.trackers.regions import Region

ANCHORS_PER_LAYER = 2
OVERLAP = 0.3  # boxes with a larger overlap are merged


@dataclass(frozen=True)
class Detection:
    """A box (left, top, right, bottom) and keypoints K 2 (u, v) in pixels of the frame, and a score (0 to 1)."""

    box: NDArray[np.float32]
    keypoints: NDArray[np.float32]
    score: float


def anchors(size: int, strides: Sequence[int]) -> NDArray[np.float32]:
    """Centers (x, y) of all anchors, N 2, in units of the input's side, in the networks' order.

    Layers of the same stride share a grid, row by row; each cell has two anchors per layer.
    """
    centers = []
    for stride in dict.fromkeys(strides):
        cells = -(-size // stride)
        rows, columns = np.mgrid[:cells, :cells]
        grid = (np.stack([columns, rows], axis=-1).reshape(-1, 2) + 0.5) / cells
        centers.append(np.repeat(grid, ANCHORS_PER_LAYER * strides.count(stride), axis=0))
    return np.concatenate(centers).astype(np.float32)


class Detector:
    """Finds palms (7 keypoints) or people (4) in a whole frame."""

    def __init__(self, network: Network, strides: Sequence[int], min_score: float = 0.5) -> None:
        self._network = network
        self._anchors = anchors(network.size, strides)
        self._min_logit = float(np.log(min_score / (1 - min_score)))

    def __call__(self, image: NDArray[np.uint8]) -> list[Detection]:
        """Detections in an RGB frame, H W 3, most confident first."""
        region = Region.whole(*image.shape[:2])
        raw, logits = self._network(region.cut(image, self._network.size, zero_border=True))
        boxes, scores = self._decoded(raw[0], logits[0, :, 0])
        return [_in_frame(box, score, region) for box, score in blended(boxes, scores)]

    def _decoded(
        self, raw: NDArray[np.float32], logits: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Boxes above the minimum score: points n P 2 (corners and keypoints, input units) and scores n."""
        sure = np.flatnonzero(logits >= self._min_logit)
        scaled = raw[sure].reshape(len(sure), raw.shape[1] // 2, 2) / self._network.size  # center, extent, keypoints
        points = np.asarray(scaled, np.float32)
        center, half = points[:, 0] + self._anchors[sure], points[:, 1] / 2
        points[:, 2:] += self._anchors[sure][:, None]
        points[:, 0], points[:, 1] = center - half, center + half
        return points, np.asarray(1 / (1 + np.exp(-np.clip(logits[sure], -100, 100))), np.float32)


def blended(points: NDArray[np.float32], scores: NDArray[np.float32]) -> list[tuple[NDArray[np.float32], float]]:
    """Merges overlapping boxes by averaging their corners and keypoints, weighted by score; best first.

    `points` n P 2 (top-left, bottom-right, keypoints), `scores` n.
    """
    left = np.argsort(-scores, kind="stable")
    found = []
    while len(left):
        same = overlaps(points[left[0], :2], points[left, :2]) > OVERLAP
        same[0] = True
        group = left[same]
        found.append((np.average(points[group], axis=0, weights=scores[group]), float(scores[left[0]])))
        left = left[~same]
    return found


def overlaps(box: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """Intersection over union of one box, 2 2 (top-left, bottom-right), with n others, n 2 2."""
    shared = np.minimum(box[1], others[:, 1]) - np.maximum(box[0], others[:, 0])
    both = np.prod(np.maximum(shared, 0), axis=-1)
    areas = np.prod(np.maximum(others[:, 1] - others[:, 0], 0), axis=-1)
    own = np.prod(np.maximum(box[1] - box[0], 0))
    return np.asarray(both / np.maximum(areas + own - both, 1e-12), np.float32)


def _in_frame(points: NDArray[np.float32], score: float, region: Region) -> Detection:
    placed = region.to_frame(points.astype(np.float32))
    return Detection(placed[:2].reshape(4), placed[2:], score)
