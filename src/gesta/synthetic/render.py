"""Renders capsules to color and depth with a z-buffer; soft edges, one light, simple cloth patterns."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from gesta.synthetic.body import Capsules
from gesta.synthetic.person import Clothes

Image = NDArray[np.float32]

FAR = np.float32(1e3)


def _to_unit(values: NDArray) -> None:
    """Clips to [0, 1] in place; faster than np.clip on small patches."""
    np.maximum(values, 0, out=values)
    np.minimum(values, 1, out=values)


class Renderer:
    """Projects once, then renders frame by frame into reused buffers.

    size: (width, height); focal and center in pixels; light: unit vector towards the light in camera coordinates.
    """

    def __init__(
        self, parts: Capsules, clothes: Clothes, size: tuple[int, int], focal: float, light: NDArray, ambient: float
    ) -> None:
        self.width, self.height = size
        center = np.array([(self.width - 1) / 2, (self.height - 1) / 2])
        # the end nearer to the camera comes first: a capsule seen end-on then shows that end
        swap = (parts.a[..., 2] > parts.b[..., 2])[..., None]
        near, far = np.where(swap, parts.b, parts.a), np.where(swap, parts.a, parts.b)
        radii = np.where(swap, parts.radii[:, ::-1], parts.radii)
        self._a, self._b = self._project(near, focal, center), self._project(far, focal, center)
        self._za, self._zb = near[..., 2].astype(np.float32), far[..., 2].astype(np.float32)
        self._ra = radii[..., 0] * focal / near[..., 2]
        self._rb = radii[..., 1] * focal / far[..., 2]
        self._order = np.argsort(-(near[..., 2] - radii[..., 0]), axis=1)
        self._meters = (near[..., 2] / focal * parts.flat).astype(np.float32)
        self._color = parts.color.astype(np.float32)[..., None, None]  # P 3 1 1
        self._cloth = parts.cloth
        self._clothes = clothes
        self._second = (clothes.second - clothes.color).astype(np.float32)[:, None, None]
        self._period = np.float32(clothes.period * focal / float(np.median(near[..., 2])))
        self._light = tuple(np.asarray(light, dtype=np.float32).tolist())
        self._ambient = np.float32(ambient)
        self._x = np.arange(self.width, dtype=np.float32)
        self._y = np.arange(self.height, dtype=np.float32)[:, None]
        self._planes = np.zeros((3, self.height, self.width), np.float32)
        self.color = np.zeros((self.height, self.width, 3), np.float32)
        self.depth = np.full((self.height, self.width), FAR, np.float32)

    @staticmethod
    def _project(points: NDArray, focal: float, center: NDArray) -> NDArray:
        uv = points[..., :2] * [1.0, -1.0] * (focal / points[..., 2:3])
        return np.asarray(uv + center)

    def draw(self, t: int, background: Image) -> tuple[Image, Image]:
        """Renders frame t: color (H, W, 3) over the background, and depth in meters (H, W), FAR outside the person.

        Both are buffers of the renderer, valid until the next call.
        """
        np.copyto(self._planes, background.transpose(2, 0, 1))
        self.depth.fill(FAR)
        for p in self._order[t].tolist():
            self._paint(t, p)
        cv2.merge(list(self._planes), self.color)
        return self.color, self.depth

    def _paint(self, t: int, p: int) -> None:
        (ax, ay), (bx, by) = self._a[t, p].tolist(), self._b[t, p].tolist()
        ra, rb = float(self._ra[t, p]), float(self._rb[t, p])
        reach = max(ra, rb) + 1.0
        left, right = max(int(min(ax, bx) - reach), 0), min(int(max(ax, bx) + reach) + 2, self.width)
        top, bottom = max(int(min(ay, by) - reach), 0), min(int(max(ay, by) + reach) + 2, self.height)
        if left >= right or top >= bottom:
            return
        dx, dy = bx - ax, by - ay
        length2 = dx * dx + dy * dy + 1e-3
        ex, ey = self._x[left:right] - np.float32(ax), self._y[top:bottom] - np.float32(ay)
        along = ex * np.float32(dx / length2) + ey * np.float32(dy / length2)
        _to_unit(along)
        radius = along * np.float32(rb - ra) + np.float32(ra)
        fx, fy = ex - along * np.float32(dx), ey - along * np.float32(dy)
        rest = 1 - (fx * fx + fy * fy) / (radius * radius)
        alpha = radius * rest
        alpha *= np.float32(0.5)
        alpha += np.float32(0.5)
        _to_unit(alpha)
        bulge = np.sqrt(np.maximum(rest, 0, out=rest), out=rest)
        za, zb = self._za[t, p], self._zb[t, p]
        depth = along * (zb - za) + za - bulge * radius * self._meters[t, p]
        held = self.depth[top:bottom, left:right]
        alpha *= depth < held
        np.copyto(held, depth, where=alpha > 0.5)
        shade = self._shade(fx, fy, radius, bulge)
        tones = shade * self._color[p]  # 3 h w
        if self._cloth[p]:
            second = self._pattern(along, fx, fy, (dx, dy), length2**0.5)
            if second is not None:
                tones += shade * second * self._second
        pixels = self._planes[:, top:bottom, left:right]
        tones -= pixels
        tones *= alpha
        pixels += tones

    def _shade(self, fx: NDArray, fy: NDArray, radius: NDArray, bulge: NDArray) -> NDArray:
        """Returns the light on every pixel, from `ambient` to 1. Modifies `bulge`."""
        lx, ly, lz = self._light
        shade = fx * lx
        shade -= fy * ly
        shade /= radius
        bulge *= np.float32(lz)
        shade -= bulge
        np.maximum(shade, 0, out=shade)
        shade *= 1 - self._ambient
        shade += self._ambient
        return shade

    def _pattern(
        self, along: NDArray, fx: NDArray, fy: NDArray, axis: tuple[float, float], length: float
    ) -> NDArray | None:
        """Returns the fraction of the second color per pixel, or None for plain cloth."""
        kind, turns = self._clothes.pattern, np.float32(2 * np.pi) / self._period
        if kind == "plain":
            return None
        across = (fx * np.float32(axis[1]) - fy * np.float32(axis[0])) / np.float32(max(length, 1e-3))
        if kind == "stripes":
            return (np.sin(along * np.float32(length) * turns) > 0.2).astype(np.float32)
        if kind == "bars":
            return (np.sin(across * turns) > 0.4).astype(np.float32)
        if kind == "checks":
            return np.float32(0.5) * ((np.sin(along * np.float32(length) * turns) > 0) + (np.sin(across * turns) > 0))
        if kind == "print":
            middle = (along - np.float32(0.3)) * np.float32(length)
            return (middle * middle + across * across < (self._period * 1.1) ** 2).astype(np.float32)
        return (across > 0).astype(np.float32)
