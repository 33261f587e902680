from __future__ import annotations

import subprocess
import sys

import av
import cv2
import numpy as np
import pytest
from clips.videos import gray_frames, write_video

from gesta.clips import walk
from gesta.clips.decode import iter_frames, probe
from gesta.jobs.perform import THREAD_VARIABLES
from gesta.schema import GestaError, Resource


def values(path, kind="gray", wanted=None):
    return [None if a is None else int(a.mean().round()) for _, a in iter_frames(Resource(path), kind, wanted)]


def test_every_frame_comes_once_in_order(tmp_path):
    path = write_video(tmp_path / "a.mkv", gray_frames(12))
    assert values(path) == [20 + 5 * i for i in range(12)]


def test_unwanted_frames_are_not_converted_but_keep_their_place(tmp_path):
    path = write_video(tmp_path / "a.mkv", gray_frames(6))
    assert values(path, wanted=lambda i, _t: i in (1, 4)) == [None, 25, None, None, 40, None]


def test_variable_frame_rate_keeps_its_time_stamps(tmp_path):
    stamps = [0, 40, 100, 300, 310, 500]
    path = write_video(tmp_path / "vfr.mkv", gray_frames(6), pts_ms=stamps)
    assert [round(t * 1000) for t, _ in iter_frames(Resource(path), "gray")] == stamps


@pytest.mark.parametrize("size", [(47, 63), (33, 101), (1, 1)])
def test_odd_sizes(tmp_path, size):
    path = write_video(tmp_path / "odd.mkv", gray_frames(3, *size))
    frames = [a for _, a in iter_frames(Resource(path), "rgb")]
    assert [f.shape for f in frames] == [(*size, 3)] * 3


def test_odd_width_in_a_planar_format_has_no_padding_columns(tmp_path):
    image = np.full((47, 63, 3), 200, np.uint8)
    path = write_video(tmp_path / "odd.mkv", [image] * 2, pix_fmt="yuv444p")
    gray = next(a for _, a in iter_frames(Resource(path), "gray"))
    assert gray.shape == (47, 63)
    assert abs(gray.astype(int) - 200).max() <= 1


@pytest.mark.parametrize(
    ("pix_fmt", "codec"),
    [("yuv420p", "ffv1"), ("yuv444p", "ffv1"), ("yuvj420p", "mjpeg"), ("yuv420p10le", "ffv1"), ("gray", "ffv1")],
)
def test_gray_is_full_range_whatever_the_pixel_format(tmp_path, pix_fmt, codec):
    ramp = np.linspace(0, 255, 64).astype(np.uint8)
    image = np.repeat(np.tile(ramp, (48, 1))[:, :, None], 3, axis=2)
    path = write_video(tmp_path / "a.mkv", [image] * 2, pix_fmt=pix_fmt, codec=codec)
    gray = next(a for _, a in iter_frames(Resource(path), "gray"))
    assert np.abs(gray.astype(int) - image[..., 0]).max() <= (6 if codec == "mjpeg" else 2)


def test_gray_equals_decoding_to_rgb(tmp_path):
    rng = np.random.default_rng(0)
    image = cv2.resize(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8), (64, 48))
    path = write_video(tmp_path / "a.mkv", [image] * 2, pix_fmt="yuv444p")
    gray = next(a for _, a in iter_frames(Resource(path), "gray"))
    rgb = next(a for _, a in iter_frames(Resource(path), "rgb"))
    assert np.abs(gray.astype(int) - cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)).max() <= 4


def test_sixteen_bit_depth_is_exact(tmp_path):
    rng = np.random.default_rng(0)
    depth = [rng.integers(0, 65536, (24, 32), dtype=np.uint16) for _ in range(3)]
    path = write_video(tmp_path / "d.mkv", depth, pix_fmt="gray16le", source="gray16le")
    for expected, (_, read) in zip(depth, iter_frames(Resource(path), "gray16"), strict=True):
        np.testing.assert_array_equal(read, expected)


def test_a_folder_of_sixteen_bit_pngs(tmp_path):
    depth = np.arange(24 * 32, dtype=np.uint16).reshape(24, 32) * 80
    for i in range(3):
        cv2.imwrite(str(tmp_path / f"{i:04}.png"), depth + i)
    read = [a for _, a in iter_frames(Resource(tmp_path), "gray16")]
    np.testing.assert_array_equal(read[2], depth + 2)
    assert probe(Resource(tmp_path)).frames == 3


def test_an_eight_bit_png_is_no_depth(tmp_path):
    cv2.imwrite(str(tmp_path / "0.png"), np.zeros((4, 4), np.uint8))
    with pytest.raises(GestaError, match="16-bit"):
        list(iter_frames(Resource(tmp_path), "gray16"))


def test_the_rotation_flag_is_honoured(tmp_path):
    image = np.zeros((32, 64, 3), np.uint8)
    image[:, :16] = 255  # bright on the left
    plain = write_video(tmp_path / "a.mp4", [image] * 3, codec="mpeg4", pix_fmt="yuv420p")
    data = bytearray(plain.read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # version 0: the 3 x 3 display matrix follows 40 bytes of fields
    quarter = [0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30]
    data[at : at + 36] = b"".join(v.to_bytes(4, "big", signed=True) for v in quarter)
    turned = tmp_path / "b.mp4"
    turned.write_bytes(data)
    gray = next(a for _, a in iter_frames(Resource(turned), "gray"))
    assert gray.shape == (64, 32)
    assert gray[:12].mean() > 200 > 60 > gray[20:].mean()  # a quarter turn clockwise: left becomes top


def test_zip_members_are_read_in_place(tmp_path):
    import zipfile

    path = write_video(tmp_path / "a.mkv", gray_frames(4))
    with zipfile.ZipFile(tmp_path / "r.zip", "w") as archive:
        archive.write(path, "inner/a.mkv")
    frames = list(iter_frames(Resource(tmp_path / "r.zip", "inner/a.mkv"), "gray"))
    assert len(frames) == 4


@pytest.mark.parametrize("content", [b"", b"not a video at all" * 50])
def test_no_video_is_named(tmp_path, content):
    path = tmp_path / "bad.mp4"
    path.write_bytes(content)
    with pytest.raises(GestaError, match=r"bad\.mp4.*Copy or encode"):
        list(iter_frames(Resource(path), "gray"))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(GestaError, match=r"gone\.mp4"):
        list(iter_frames(Resource(tmp_path / "gone.mp4"), "gray"))


def test_probe_counts_what_decodes(tmp_path):
    path = write_video(tmp_path / "a.mkv", gray_frames(9), fps=25)
    info = probe(Resource(path))
    assert (info.frames, info.width, info.height, info.codec) == (9, 64, 48, "ffv1")
    assert info.fps == pytest.approx(25)


def test_a_truncated_video_is_reported(tmp_path):
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (48, 64, 3), dtype=np.uint8) for _ in range(20)]
    path = write_video(tmp_path / "a.avi", noise, codec="mpeg4", pix_fmt="yuv420p")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    info = probe(Resource(path))
    assert info.expected == 20
    assert info.frames < 20 or info.error


def test_decoding_does_not_need_torch():
    code = "import gesta.clips.cache, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert av.__version__


def test_workers_decode_in_one_thread(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a.mkv", gray_frames(5))
    monkeypatch.setenv(walk.THREADS, "1")
    through = walk.Walk(Resource(path))
    assert [through.track.codec_context.thread_count for _ in through] == [1] * 5
    assert walk.THREADS in THREAD_VARIABLES
