"""Pictures of hands with the joints drawn: a single picture, a folder of them, or a video."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from gesta.clips.annotated import VideoWriter
from gesta.draw import Image, depth_image, draw_hand, draw_label, hand_bones
from gesta.files import write_whole
from gesta.schema import Camera, GestaError, HandEstimate
from gesta.tasks.hands.manifest import HandManifest

SUFFIXES = (".png", ".jpg", ".jpeg")
STILL_S = 0.2
"""How long an image without a time stamp is shown in a video."""


@dataclass(frozen=True)
class Found:
    """One image's joints, with what is needed to draw them; `error_mm` if the true joints are known."""

    id: str
    time_s: float | None
    estimate: HandEstimate
    depth_mm: NDArray[np.float32]
    camera: Camera
    error_mm: float | None = None


def drawn(found: Iterable[Found], out: Path, manifest: HandManifest) -> Iterator[Found]:
    """Draw each item and yield it unchanged. `out`: a video (.mp4), one picture (.png, .jpg), or a folder of pictures.

    Raises GestaError if `out` cannot be written or has another suffix, or if it is one picture but several come.
    """
    video, single = out.suffix.lower() == ".mp4", out.suffix.lower() in SUFFIXES
    if out.suffix and not (video or single or out.is_dir()):
        raise GestaError(
            f"--annotate {out}: expected a name that ends in .mp4 (a video), {', '.join(SUFFIXES)} (one image), or "
            "without a dot (a folder of images).",
            usage=True,
        )
    with VideoWriter(out) if video else nullcontext() as writer:
        for index, one in enumerate(found):
            image = _picture(one, manifest)
            if writer is not None:
                writer.picture(one.time_s if one.time_s is not None else index * STILL_S, image)
            elif single and index:
                raise GestaError(
                    f"--annotate {out}: is one image file, but there are several images. Give a folder.", usage=True
                )
            else:
                _save(out if single else out / f"{one.id.replace('/', '_').replace(':', '_')}.png", image)
            yield one


def _picture(one: Found, manifest: HandManifest) -> Image:
    middle, reach = float(one.estimate.center_mm[2]), manifest.transform.cube_mm / 2
    gray = depth_image(one.depth_mm, between=(middle - reach, middle + reach))
    image = draw_hand(gray, one.estimate.joints_uv, hand_bones(manifest.joints))
    said = f"center from {one.estimate.center_source}"
    return draw_label(image, said if one.error_mm is None else f"{said}, error {one.error_mm:.1f} mm")


def _save(path: Path, image: Image) -> None:
    done, data = cv2.imencode(path.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    try:
        if not done:
            raise OSError("cannot be encoded")
        write_whole(path, data.tobytes())
    except OSError as error:
        raise GestaError(f"{path}: cannot be written ({error}). Choose another place.") from error
