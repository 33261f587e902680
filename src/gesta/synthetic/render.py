"""Draws capsules to colour and depth with a z-buffer; soft edges, one light, simple cloth patterns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gesta.synthetic.body import Capsules
from gesta.synthetic.person import Clothes

Image = NDArray[np.float32]

FAR = np.float32(1e3)


class Renderer:
    """Projects once, then paints frame by frame into buffers that it keeps.

    size: (width, height); focal and centre in pixels; light: unit vector towards the light in camera coordinates.
    """

    def __init__(
        self, parts: Capsules, clothes: Clothes, size: tuple[int, int], focal: float, light: NDArray, ambient: float
    ) -> None:
        self.width, self.height = size
        centre = np.array([(self.width - 1) / 2, (self.height - 1) / 2])
        # the end nearer to the camera comes first: a capsule seen end-on then shows that end
        swap = (parts.a[..., 2] > parts.b[..., 2])[..., None]
        near, far = np.where(swap, parts.b, parts.a), np.where(swap, parts.a, parts.b)
        radii = np.where(swap, parts.radii[:, ::-1], parts.radii)
        self._a, self._b = self._project(near, focal, centre), self._project(far, focal, centre)
        self._za, self._zb = near[..., 2].astype(np.float32), far[..., 2].astype(np.float32)
        self._ra = radii[..., 0] * focal / near[..., 2]
        self._rb = radii[..., 1] * focal / far[..., 2]
        self._order = np.argsort(-(near[..., 2] - radii[..., 0]), axis=1)
        self._metres = (near[..., 2] / focal * parts.flat).astype(np.float32)
        self._color = parts.color.astype(np.float32)
        self._cloth = parts.cloth
        self._clothes = clothes
        self._period = np.float32(clothes.period * focal / float(np.median(near[..., 2])))
        self._light = np.asarray(light, dtype=np.float32)
        self._ambient = np.float32(ambient)
        self._x = np.arange(self.width, dtype=np.float32)
        self._y = np.arange(self.height, dtype=np.float32)[:, None]
        self.color = np.zeros((self.height, self.width, 3), np.float32)
        self.depth = np.full((self.height, self.width), FAR, np.float32)

    @staticmethod
    def _project(points: NDArray, focal: float, centre: NDArray) -> NDArray:
        uv = points[..., :2] * [1.0, -1.0] * (focal / points[..., 2:3])
        return np.asarray(uv + centre)

    def draw(self, t: int, background: Image) -> tuple[Image, Image]:
        """Frame t: colour (H, W, 3) over the background, and depth in metres (H, W), FAR where nobody is.

        Both are buffers of the renderer and hold until the next call.
        """
        np.copyto(self.color, background)
        self.depth.fill(FAR)
        for p in self._order[t]:
            self._paint(t, p)
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
        np.clip(along, 0, 1, out=along)
        radius = along * np.float32(rb - ra) + np.float32(ra)
        fx, fy = ex - along * np.float32(dx), ey - along * np.float32(dy)
        rest = 1 - (fx * fx + fy * fy) / (radius * radius)
        alpha = radius * rest
        alpha *= np.float32(0.5)
        alpha += np.float32(0.5)
        np.clip(alpha, 0, 1, out=alpha)
        bulge = np.sqrt(np.maximum(rest, 0))
        za, zb = self._za[t, p], self._zb[t, p]
        depth = along * (zb - za) + za - bulge * radius * self._metres[t, p]
        place = (slice(top, bottom), slice(left, right))
        held = self.depth[place]
        alpha *= depth < held
        np.copyto(held, depth, where=alpha > 0.5)
        lx, ly, lz = self._light.tolist()
        shade = (fx * lx - fy * ly) / radius
        shade -= bulge * np.float32(lz)
        np.maximum(shade, 0, out=shade)
        shade *= 1 - self._ambient
        shade += self._ambient
        pixels = self.color[place]
        second = self._pattern(along, fx, fy, (dx, dy), length2**0.5) if self._cloth[p] else None
        for c in range(3):
            tone = shade * self._color[p, c]
            if second is not None:
                tone += shade * second * np.float32(self._clothes.second[c] - self._clothes.color[c])
            tone -= pixels[..., c]
            tone *= alpha
            pixels[..., c] += tone

    def _pattern(
        self, along: NDArray, fx: NDArray, fy: NDArray, axis: tuple[float, float], length: float
    ) -> NDArray | None:
        """Share of the second colour per pixel, or None for plain cloth."""
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
