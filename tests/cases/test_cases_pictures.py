"""Which track of a file is shown, how it is turned, and what its numbers mean."""

from __future__ import annotations

import av
import cv2
import numpy as np
import pytest
from cases import odd_videos as odd
from cases.shared_cases import case

from gesta.audit.inspection import inspect
from gesta.clips.cache import ClipCache
from gesta.clips.chosen_frames import iter_every, read_frames
from gesta.clips.decode import iter_frames, probe
from gesta.clips.geometry import orientation
from gesta.clips.preprocess import preprocess
from gesta.clips.read import iter_raw_sample, iter_sample
from gesta.clips.transform import Transform
from gesta.schema import GestaError, Resource, Sample
from gesta.sources.catalog import read

FRAME = Transform(fps=30, size=64, streams=("body",), channels=("gray", "gray_difference"), body="frame", smooth=False)
DEPTH = Transform(fps=30, size=64, streams=("body",), channels=("depth", "depth_difference"), body="frame")


def first(path, kind="gray"):
    return next(image for _, image in iter_frames(Resource.at(path), kind))


def depth_sample(path, **settings):
    return Sample(id="d", recording="d", depth=Resource.at(path), label="a", **settings)


# -- orientation -----------------------------------------------------------------------------------------------------

MATRICES = [(a, 0, 0, d) for a in (1, -1) for d in (1, -1)] + [(0, b, c, 0) for b in (1, -1) for c in (1, -1)]
SIDE = {"top left": (0, 0), "top right": (0, 1), "bottom left": (1, 0), "bottom right": (1, 1)}


def corners(image):
    """Mean of each corner's 12 x 12 pixels."""
    gray = image if image.ndim == 2 else image.mean(2)
    return [[gray[y, x].mean() for x in (slice(0, 12), slice(-12, None))] for y in (slice(0, 12), slice(-12, None))]


def marked(path):
    """A video with corners of four levels: 30 100 / 170 240."""
    image = np.full((64, 96, 3), 128, np.uint8)
    for (row, col), level in zip(SIDE.values(), (30, 100, 170, 240), strict=True):
        image[(0, -16)[row] : (16, None)[row], (0, -16)[col] : (16, None)[col]] = level
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"crf": "4"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for _ in range(8):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode())
    return path


def placed(a, b, c, d):
    """Where a matrix puts the four corners, by arithmetic: (x, y) goes to (a x + c y, b x + d y)."""
    levels = {(-1, -1): 30, (1, -1): 100, (-1, 1): 170, (1, 1): 240}
    shown = {(a * x + c * y, b * x + d * y): level for (x, y), level in levels.items()}
    return [[shown[(x, y)] for x in (-1, 1)] for y in (-1, 1)]


@pytest.mark.parametrize("matrix", MATRICES, ids=str)
def test_all_eight_display_matrices(tmp_path, matrix):
    path = odd.with_matrix(marked(tmp_path / "a.mp4"), tmp_path / "b.mp4", *matrix)
    right = np.array(placed(*matrix))
    sample = odd.sample(path)
    size = (96, 64) if matrix[0] == 0 else (64, 96)
    raw = next(iter_raw_sample(sample)).gray.whole()
    images = [first(path), first(path, "rgb"), raw, next(iter_sample(sample, color=True)).color]
    for image in images:
        assert image.shape[:2] == size
        assert np.abs(np.array(corners(image)) - right).max() < 8
    _, followed = next(iter_every(sample, 96, 1))
    for image in (read_frames(sample, 96, frames=1)[0], followed):
        assert np.abs(np.array(corners(image)) - right).max() < 12
    clip = preprocess(sample, FRAME).pixels[0, 0, ..., 0]  # the frame in a square of 64: zeros beside it
    inner = clip[:, 11:-11] if matrix[0] == 0 else clip[11:-11]
    shown = np.array([[inner[y, x].mean() for x in (slice(1, 6), slice(-6, -1))] for y in (slice(1, 6), slice(-6, -1))])
    assert np.abs(shown - right).max() < 16


# -- square pixels ---------------------------------------------------------------------------------------------------


def disc(path, width, height, ratio, matrix=None):
    """A disc of 40 pixels across on a black ground, stored with pixels `ratio` as wide as they are high."""
    y, x = np.mgrid[:height, :width].astype(float)
    across, down = (1 / ratio, 1) if ratio > 1 else (1, ratio)
    inside = ((x - width / 2 + 0.5) / across) ** 2 + ((y - height / 2 + 0.5) / down) ** 2 < 20**2
    image = np.repeat((inside * 235).astype(np.uint8)[..., None], 3, 2)
    from fractions import Fraction

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"crf": "4"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(ratio).limit_denominator(100)
        for _ in range(6):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode())
    if matrix is not None:
        path = odd.with_matrix(path, path.with_name("turned.mp4"), *matrix)
    return path


@pytest.mark.parametrize("matrix", [None, (0, 1, -1, 0)], ids=["upright", "turned"])
@pytest.mark.parametrize(("width", "height", "ratio"), [(80, 100, 2), (120, 100, 4 / 3), (160, 60, 0.5), (160, 100, 1)])
def test_a_disc_is_round(tmp_path, width, height, ratio, matrix):
    path = disc(tmp_path / "a.mp4", width, height, ratio, matrix)
    size = (width * ratio, height) if ratio > 1 else (width, height / ratio)
    size = tuple(round(n) for n in (size if matrix else size[::-1]))
    for image in (first(path), first(path, "rgb")[..., 0]):
        assert image.shape == size
        rows, cols = np.nonzero(image > 110)
        assert abs(int(np.ptp(rows)) - int(np.ptp(cols))) <= 3 and abs(np.ptp(rows) - 39) <= 3
    assert set(inspect(read(path)).sizes) == {f"{size[1]} x {size[0]}"}
    clip = preprocess(odd.sample(path), FRAME).pixels[0, 0, ..., 0]
    rows, cols = np.nonzero(clip > 110)
    assert abs(int(np.ptp(rows)) - int(np.ptp(cols))) <= 1


# -- tracks ----------------------------------------------------------------------------------------------------------


def two_tracks(path, kinds, titles=(), default=None):
    """A Matroska file with a track for each of color, h264, depth, picture (one JPEG), in this order."""
    formats = {
        "color": ("mjpeg", "yuvj420p"),
        "depth": ("ffv1", "gray16le"),
        "picture": ("mjpeg", "yuvj420p"),
        "h264": ("libx264", "yuv420p"),
    }
    with av.open(str(path), "w") as container:
        streams = []
        for number, kind in enumerate(kinds):
            stream = container.add_stream(formats[kind][0], rate=30)
            stream.width, stream.height, stream.pix_fmt = odd.WIDTH, odd.HEIGHT, formats[kind][1]
            if number < len(titles):
                stream.metadata["title"] = titles[number]
            if default is not None:
                stream.disposition = av.stream.Disposition.default if number == default else av.stream.Disposition(0)
            streams.append(stream)
        for n in range(30):
            for number, (stream, kind) in enumerate(zip(streams, kinds, strict=True)):
                if kind == "picture" and n:
                    continue
                if kind == "depth":
                    image = np.full((odd.HEIGHT, odd.WIDTH), 1000 * (number + 1) + 10 * n, np.uint16)
                    frame = av.VideoFrame.from_ndarray(image, "gray16le")
                else:
                    frame = av.VideoFrame.from_ndarray(odd.numbered(n + 100 * number), "rgb24")
                frame.pts = n
                container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode())
    return path


@pytest.mark.parametrize("kind", ["h264", "color"])
def test_a_thumbnail_before_the_video_is_passed_over(tmp_path, kind):
    path = two_tracks(tmp_path / "a.mkv", ["picture", kind])
    assert odd.shown(path)[0] == [100 + n for n in range(30)]
    assert probe(Resource(path)).frames == 30
    assert [odd.number_in(f) for f in read_frames(odd.sample(path), 160, frames=3)] == [105, 115, 125]


def test_color_and_depth_in_one_file(tmp_path):
    two_tracks(tmp_path / "k.mkv", ["color", "depth"])
    (tmp_path / "index.csv").write_text("path,label,depth\nk.mkv,a,k.mkv\n")
    listing = read(tmp_path)
    (sample,) = listing.samples
    frames = list(iter_sample(sample))
    assert [odd.number_in(f.gray) for f in frames] == list(range(30))
    assert [int(f.depth_mm.min()) for f in frames] == [2000 + 10 * n for n in range(30)]
    assert not {"color-as-depth", "depth-as-color", "other-length", "unreadable"} & set(inspect(listing).kinds())


@pytest.mark.parametrize(
    ("cell", "millimeters"), [("k.mkv#track=1", 2000), ("k.mkv#track=2", 3000), ("k.mkv#track=IR", 3000)]
)
def test_a_track_by_number_or_name(tmp_path, cell, millimeters):
    two_tracks(tmp_path / "k.mkv", ["color", "depth", "depth"], ["COLOR", "DEPTH", "IR"])
    two_tracks(tmp_path / "c.mkv", ["color"])
    (tmp_path / "index.csv").write_text(f"path,label,depth\nc.mkv,a,{cell}\n")
    frame = next(iter_sample(read(tmp_path).samples[0]))
    assert int(frame.depth_mm.min()) == millimeters
    cache, other = ClipCache(tmp_path / "cache"), "k.mkv#track=1" if cell != "k.mkv#track=1" else "k.mkv#track=2"
    prints = {cache.fingerprint(depth_sample(tmp_path / name)) for name in (cell, other)}
    assert len(prints) == 2


def test_the_track_that_is_named_depth_is_the_depth(tmp_path):
    path = two_tracks(tmp_path / "k.mkv", ["color", "depth", "depth"], ["COLOR", "IR", "DEPTH"])
    assert int(next(iter_sample(depth_sample(path))).depth_mm.min()) == 3000


def test_tracks_that_could_all_be_meant_are_refused_with_their_list(tmp_path):
    path = two_tracks(tmp_path / "k.mkv", ["depth", "depth"], ["left", "right"])
    with pytest.raises(GestaError, match=r'k\.mkv: has 2 video tracks.*0 \("left" ffv1.*1 \("right".*k\.mkv#track=1'):
        list(iter_sample(depth_sample(path)))
    with pytest.raises(GestaError, match=r"#track=7: has no such video track. It has 0 .*1 "):
        list(iter_sample(depth_sample(tmp_path / "k.mkv#track=7")))


def test_the_default_of_two_cameras_is_the_one_that_players_show(tmp_path):
    path = two_tracks(tmp_path / "k.mkv", ["color", "color"], default=1)
    assert odd.shown(path)[0] == [100 + n for n in range(30)]
    assert odd.shown(tmp_path / "k.mkv#track=0")[0] == list(range(30))


# -- depth -----------------------------------------------------------------------------------------------------------


def depth_video(path, pix_fmt, codec="ffv1", top=4000):
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pix_fmt
        for n in range(10):
            values = (np.arange(48 * 64).reshape(48, 64) * 5 + n) % top
            frame = av.VideoFrame(64, 48, pix_fmt)
            kind = ">u2" if pix_fmt.endswith("be") else "<u2"
            rows = np.zeros((48, frame.planes[0].line_size // 2), kind)
            rows[:, :64] = values
            frame.planes[0].update(rows.tobytes())
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize(
    ("pix_fmt", "codec", "top"),
    [
        ("gray10le", "ffv1", 1024),
        ("gray12le", "ffv1", 4096),
        ("gray14le", "ffv1", 16384),
        ("gray16le", "ffv1", 65536),
        ("gray16be", "png", 65536),  # what an AVI or MOV of PNG images decodes to
    ],
)
def test_depth_of_any_gray_depth_is_read_as_it_is(tmp_path, pix_fmt, codec, top):
    path = depth_video(tmp_path / ("d.mov" if codec == "png" else "d.mkv"), pix_fmt, codec, top)
    (tmp_path / "index.csv").write_text(f"path,label\n{path.name},a\n")
    (sample,) = read(tmp_path).samples
    assert sample.color is None
    for n, frame in enumerate(iter_sample(sample)):
        np.testing.assert_array_equal(frame.depth_mm, (np.arange(48 * 64).reshape(48, 64) * 5 + n) % top)
    assert frame.depth_mm.dtype == np.uint16
    raw = next(iter_raw_sample(sample)).depth.whole()
    np.testing.assert_array_equal(raw, first(path, "gray16"))


def test_depth_units_scale_what_is_stored(tmp_path):
    path = depth_video(tmp_path / "d.mkv", "gray12le", top=4096)
    frame = next(iter_sample(depth_sample(path, depth_unit_mm=2.5)))
    stored = (np.arange(48 * 64).reshape(48, 64) * 5) % 4096
    assert np.abs(frame.depth_mm.astype(float) - stored * 2.5).max() <= 0.5


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_color_video_as_depth_is_refused(tmp_path, suffix):
    odd.write(tmp_path / f"c{suffix}", 10)
    odd.write(tmp_path / f"d{suffix}", 10)
    (tmp_path / "index.csv").write_text(f"path,label,depth\nc{suffix},a,d{suffix}\n")
    listing = read(tmp_path)
    assert "color-as-depth" in inspect(listing).kinds()
    (sample,) = listing.samples
    for reading in (lambda: list(iter_sample(sample)), lambda: preprocess(sample, DEPTH)):
        with pytest.raises(GestaError, match=r"d\.m(kv|p4): is an 8-bit video.*depth_unit_mm"):
            reading()
    with pytest.raises(GestaError, match="8-bit"):
        read_frames(depth_sample(tmp_path / f"d{suffix}"), 32, frames=2)


def test_eight_bit_depth_with_a_unit_is_taken(tmp_path):
    odd.write(tmp_path / "c.mkv", 10)
    odd.write(tmp_path / "d.mkv", 10)
    (tmp_path / "index.csv").write_text("path,label,depth,depth_unit_mm\nc.mkv,a,d.mkv,16\n")
    listing = read(tmp_path)
    assert "color-as-depth" not in inspect(listing).kinds()
    frame = next(iter_sample(listing.samples[0]))
    assert abs(int(frame.depth_mm[40, 80]) - 90 * 16) <= 3 * 16


def test_a_depth_video_as_color_is_refused(tmp_path):
    path = depth_video(tmp_path / "wave" / "d.mkv", "gray12le") if (tmp_path / "wave").mkdir() is None else None
    listing = read(tmp_path)
    assert "12-bit gray video, but listed as color" in str(listing.problems) + str(inspect(listing).problems)
    with pytest.raises(GestaError, match=r"d\.mkv: is a video of depth \(gray12le\).*index\.csv"):
        preprocess(odd.sample(path), FRAME)
    with pytest.raises(GestaError, match="is a video of depth"):
        read_frames(odd.sample(path), 32, frames=2)


# -- gray ------------------------------------------------------------------------------------------------------------

BARS = np.array(
    [(255, 0, 0), (0, 255, 0), (0, 0, 255), (200, 120, 90), (90, 140, 60), (128, 128, 128), (255, 255, 255)]
)


def bars(path, pix_fmt, codec="ffv1", full=False):
    """Bars of colors in BT.709, computed here: limited range unless `full`."""
    red, green, blue = BARS.T.astype(float)
    luma = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    planes = [luma, (blue - luma) / 1.8556 + 128, (red - luma) / 1.5748 + 128]
    bits = int("".join(c for c in pix_fmt.split("p", 1)[1] if c.isdigit()) or 8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=30)
        stream.width, stream.height, stream.pix_fmt = 112, 48, pix_fmt
        stream.codec_context.colorspace, stream.codec_context.color_range = 1, 2 if full else 1
        for _ in range(3):
            frame = av.VideoFrame(112, 48, pix_fmt)
            frame.colorspace, frame.color_range = 1, 2 if full else 1
            for number, values in enumerate(planes):
                level = (
                    values if full else (16 + values * 219 / 255 if number == 0 else 128 + (values - 128) * 224 / 255)
                )
                level = np.round(level * 2 ** (bits - 8)).clip(0, 2**bits - 1).astype("<u2" if bits > 8 else np.uint8)
                plane = frame.planes[number]
                rows = np.zeros((plane.height, plane.line_size // level.itemsize), level.dtype)
                rows[:, : plane.width] = np.repeat(level, plane.width // len(BARS))
                plane.update(rows.tobytes())
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path, luma


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("pix_fmt", ["yuv444p", "yuv420p", "yuv420p10le", "yuv422p10le", "yuv444p12le", "yuv420p16le"])
def test_gray_is_the_luma_at_every_depth(tmp_path, pix_fmt, full):
    path, luma = bars(tmp_path / "a.mkv", pix_fmt, full=full)
    middle = first(path)[24, 8::16].astype(float)
    assert np.abs(middle - luma).max() <= 1.5
    red = first(path, "rgb")[24, 8::16].astype(float)
    assert np.abs(red - BARS).max() <= 6


def test_semi_planar_ten_bits():
    from gesta.clips.pixels import _gray

    ramp = np.tile(np.linspace(64, 940, 64), (32, 1)).round().astype("<u2")
    planar = av.VideoFrame(64, 32, "yuv420p10le")
    for number, plane in enumerate(planar.planes):
        rows = np.full((plane.height, plane.line_size // 2), 512, "<u2")
        if number == 0:
            rows[:, :64] = ramp
        plane.update(rows.tobytes())
    raw, table = _gray(planar.reformat(format="p010le"))
    assert np.abs(table[raw].astype(float) - (ramp - 64.0) * 255 / 876).max() <= 1.5


@pytest.mark.parametrize("matrix", [(1, 0, 0, 1), (0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0)])
def test_turns_are_known_where_side_data_cannot_be_listed(tmp_path, matrix):
    """PyAV gives no side data of a frame that has a kind it does not know, such as Exif."""
    path = odd.with_matrix(odd.write(tmp_path / "a.mp4", 3, b_frames=0), tmp_path / "b.mp4", *matrix)

    class Unlisted:
        def __init__(self, frame):
            self.rotation = frame.rotation

        @property
        def side_data(self):
            raise ValueError("31 is not a valid Type")

    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        assert orientation(Unlisted(frame)) == orientation(frame)


def test_a_frame_with_exif_is_decoded(tmp_path):
    cv2.imwrite(str(tmp_path / "a.tif"), np.full((48, 64, 3), 90, np.uint8))
    ((time_s, image),) = iter_frames(Resource(tmp_path / "a.tif"))
    assert time_s == 0 and image.shape == (48, 64, 3) and abs(int(image.mean()) - 90) <= 1


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif", ".webp"])
def test_one_picture_is_refused_by_predict(tmp_path, gesta, suffix):
    cv2.imwrite(str(tmp_path / f"a{suffix}"), np.full((48, 64, 3), 90, np.uint8))
    done = gesta("predict", "demo", tmp_path / f"a{suffix}")
    assert done.exit_code == 1 and f"a{suffix}: is a single image, but this model" in done.stderr


# -- the shared cases ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("hflip", "bottom right"),
        ("vflip", "top left"),
        ("rot90", "top left"),
        ("rot180", "top right"),
        ("rot270", "bottom right"),
    ],
)
def test_shared_display_matrices(name, place):
    image = first(case(f"display_matrix_flip/m_{name}.mp4"))
    blocks = {
        corner: image[(0, -24)[row] : (24, None)[row], (0, -24)[col] : (24, None)[col]].mean()
        for corner, (row, col) in SIDE.items()
    }
    assert max(blocks, key=blocks.get) == place and blocks[place] > 200


def test_shared_anamorphic():
    def crop(name):
        rows, cols = np.nonzero(
            preprocess(odd.sample(case(f"anamorphic/{name}.mp4")), FRAME).pixels[0, 0, ..., 0] > 110
        )
        return np.ptp(rows), np.ptp(cols)

    assert np.abs(np.subtract(crop("ana"), crop("sq"))).max() <= 1


@pytest.mark.parametrize("name", ["cover0.mp4", "two_video.mkv"])
def test_shared_thumbnails(name):
    assert odd.shown(case("thumbnail_stream_first") / name)[0] == list(range(120))


def test_shared_kinect_tracks():
    frame = next(iter_sample(read(case("kinect_mkv_tracks")).samples[0]))
    assert (frame.depth_mm == 1500).all()


def test_shared_twelve_bits():
    for sample in read(case("depth_12_bit")).samples:
        assert np.abs(next(iter_sample(sample)).depth_mm.astype(int) - 1500).max() <= 1


def test_shared_color_as_depth():
    listing = read(case("depth_column_is_colour"))
    assert "color-as-depth" in inspect(listing).kinds()
    with pytest.raises(GestaError, match="depth_unit_mm"):
        list(iter_sample(listing.samples[0]))


def test_shared_gray():
    one, other = (first(case(f"grey_8_and_10_bit_bt709/{n}.mp4")).astype(int) for n in ("c_bt709_tv", "c_10bit709"))
    inner = np.ix_(range(120), [x for x in range(160) if 5 <= x % 20 < 15])
    assert (
        np.abs(
            cv2.blur(one[inner].astype(np.float32), (3, 3)) - cv2.blur(other[inner].astype(np.float32), (3, 3))
        ).max()
        <= 3
    )
