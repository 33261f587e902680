"""Small lossless videos."""

from __future__ import annotations

import av
import numpy as np


def write_video(path, frames=20, seed=0, size=(32, 24), codec="ffv1", pixels="yuv420p", rate=10):
    """A video of noise; the same seed gives the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    kind = ("gray16le", np.uint16, ()) if pixels == "gray16le" else ("rgb24", np.uint8, (3,))
    options = {"fflags": "+bitexact"}
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = *size, pixels
        container.start_encoding()
        for _ in range(frames):
            image = rng.integers(0, 255, (size[1], size[0], *kind[2])).astype(kind[1])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, kind[0])))
        container.mux(stream.encode())
    return path
