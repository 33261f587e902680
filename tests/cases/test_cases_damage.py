"""One bad packet costs its frames, not the clip; too many are refused, and a modality that lost one stays in step."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from cases import odd_videos as odd
from cases.shared_cases import case

from gesta.audit.inspection import inspect
from gesta.clips.cache import ClipCache
from gesta.clips.chosen_frames import iter_every, read_frames
from gesta.clips.decode import frame_times, probe
from gesta.clips.preprocess import preprocess_recording
from gesta.clips.read import iter_sample
from gesta.clips.transform import Transform
from gesta.schema import Clip, GestaError, Problem, Resource, Sample
from gesta.sources.catalog import read

CODECS = {"libx264": ".mkv", "mpeg4": ".mkv", "libvpx": ".webm", "mjpeg": ".mkv"}
GRAY = Transform(fps=30, streams=("body",), channels=("gray", "gray_difference"), body="frame")


def junk(*which):
    """Bytes that no decoder takes, in these packets."""

    def change(number, data):
        if number not in which:
            return data
        return np.random.default_rng(number).integers(0, 256, len(data), dtype=np.uint8).tobytes()

    return change


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Without B frames, so that packet n is frame n."""
    folder = tmp_path_factory.mktemp("whole")
    return {
        codec: odd.write(
            folder / f"{codec}{suffix}", codec=codec, b_frames=0, pix_fmt="yuvj420p" if codec == "mjpeg" else "yuv420p"
        )
        for codec, suffix in CODECS.items()
    }


def quietly(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return odd.shown(path)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize(
    "bad", [(45, 80), *(pytest.param(one, marks=pytest.mark.integration) for one in ((45,), (118,), (119,)))]
)
def test_bad_packets_cost_their_frames(whole, tmp_path, codec, bad):
    path = odd.remux(whole[codec], tmp_path / f"bad{CODECS[codec]}", junk(*bad))
    numbers, times = quietly(path)
    right = [n for n in range(120) if n not in bad]
    assert times == pytest.approx([n / 30 for n in right], abs=0.0011)  # the others keep their times
    sound = [n for n in right if not any(b < n < (b // 30 + 1) * 30 for b in bad)]  # up to the next key frame
    assert [n for t, n in zip(times, numbers, strict=True) if round(t * 30) in sound] == sound
    info = probe(Resource(path))
    assert (info.frames, info.lost, info.damaged) == (len(right), len(bad), False)
    assert frame_times(Resource(path)) == pytest.approx(times, abs=0.0011)
    problem = next(p for p in inspect(read(path)).problems if p.kind == "damaged-frames")
    assert f"{len(bad)} of 120 frames" in problem.reason
    with pytest.warns(UserWarning, match=rf"{path.name}: {len(bad)} of 120 frames (is|are) damaged and skipped"):
        chosen = read_frames(odd.sample(path), 160, every=1)
    assert len(chosen) == len(right)


@pytest.mark.parametrize("codec", CODECS)
def test_a_bad_first_packet_moves_no_other_frame(whole, tmp_path, monkeypatch, codec):
    """Labels count from the first frame, also where that one, and all that leans on it, cannot be shown."""
    monkeypatch.setenv("GESTA_MAX_DAMAGE", "1")
    path = odd.remux(whole[codec], tmp_path / f"bad{CODECS[codec]}", junk(0))
    numbers, times = quietly(path)
    info = probe(Resource(path))
    assert info.frames + info.lost == 120 and info.lost in (1, 30)
    sound = [(n, t) for n, t in zip(numbers, times, strict=True) if t > 0.99]
    assert [n for n, _ in sound] == list(range(30, 120))
    assert [t for _, t in sound] == pytest.approx([n / 30 for n in range(30, 120)], abs=0.0011)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frames = read_frames(odd.sample(path, first_frame=50, last_frame=53), 160, every=1)
    assert [odd.number_in(f) for f in frames] == [50, 51, 52, 53]


def cut_in_half(*bad):
    return lambda number, data: data[: len(data) // 2] + bytes(len(data) - len(data) // 2) if number in bad else data


@pytest.mark.parametrize("bad", [45, 75, 119])
def test_what_a_decoder_passes_over_without_a_word_is_counted(tmp_path, bad):
    """That of HEVC does not tell of slices that it cannot use."""
    options = {"x265-params": "log-level=none:bframes=3:open-gop=0"}
    whole = odd.write(tmp_path / "whole.mkv", 120, codec="libx265", options=options)
    path = odd.remux(whole, tmp_path / "bad.mkv", cut_in_half(bad))
    info = probe(Resource(path))
    assert (info.frames, info.lost) == (119, 1)
    assert len(quietly(path)[0]) == 119 and "damaged-frames" in inspect(read(path)).kinds()


@pytest.mark.parametrize("bad", [45, 60, 75, 119])
def test_frames_out_of_order_behind_damage_are_no_jump_of_the_clock(tmp_path, bad):
    whole = odd.write(tmp_path / "whole.ts", 120, codec="mpeg2video")
    path = odd.remux(whole, tmp_path / "bad.ts", lambda n, data: data[: len(data) // 3] if n == bad else data)
    info = probe(Resource(path))
    assert info.restarts == 0 and info.times_s[-1] <= 119 / 30 + 0.01


@pytest.mark.parametrize(
    ("codec", "suffix", "options"),
    [
        ("libx264", ".mkv", {"x264-params": "tff=1:interlaced=1"}),
        ("libx264", ".ts", {"x264-params": "bff=1:interlaced=1"}),
        ("mpeg2video", ".mpg", {"flags": "+ilme+ildct"}),
    ],
)
def test_interlaced_video_shows_all_its_frames_and_none_is_lost(tmp_path, codec, suffix, options):
    path = odd.write(tmp_path / f"a{suffix}", 60, codec=codec, options=options)
    numbers, times = quietly(path)
    info = probe(Resource(path))
    assert numbers == list(range(60)) and times == pytest.approx([n / 30 for n in range(60)], abs=0.0011)
    assert (info.frames, info.lost) == (60, 0) and not {"damaged-frames"} & set(inspect(read(path)).kinds())


@pytest.mark.parametrize("codec", CODECS)
def test_every_frame_is_shown_or_counted_as_lost(whole, tmp_path, monkeypatch, codec):
    monkeypatch.setenv("GESTA_MAX_DAMAGE", "1")
    path = odd.remux(whole[codec], tmp_path / f"bad{CODECS[codec]}", junk(45, 46, 47, 77, 78, 117, 118))
    numbers, times = quietly(path)
    info = probe(Resource(path))
    assert (info.frames, info.frames + info.lost) == (len(numbers), 120)
    assert numbers[:45] == list(range(45)) and {60, 90} <= set(numbers)
    assert [n for t, n in zip(times, numbers, strict=True) if 60 <= round(t * 30) < 77] == list(range(60, 77))


def test_a_damaged_end_is_refused_with_what_to_do(whole, tmp_path, monkeypatch):
    path = odd.remux(whole["libx264"], tmp_path / "bad.mkv", junk(*range(108, 120)))
    for reading in (
        lambda: odd.shown(path),
        lambda: read_frames(odd.sample(path), 160, frames=4),
        lambda: list(iter_every(odd.sample(path), 160, 5)),
        lambda: list(iter_sample(odd.sample(path))),
    ):
        with pytest.raises(GestaError, match=r"bad\.mkv: 12 of 120 frames are damaged, more than 5 %.*--max-damage"):
            reading()
    report = inspect(read(path))
    assert "damaged-video" in report.kinds() and report.usable == 0
    monkeypatch.setenv("GESTA_MAX_DAMAGE", "0.2")
    assert quietly(path)[0] == list(range(108))
    assert inspect(read(path)).usable == 1


@pytest.mark.parametrize("at", [0.3, 0.5, 0.7])
def test_what_a_hole_in_an_avi_swallows_is_counted_by_its_index(tmp_path, monkeypatch, at):
    monkeypatch.setenv("GESTA_MAX_DAMAGE", "1")
    path = odd.write_avi(tmp_path / "a.avi", list(range(100)))
    data = bytearray(path.read_bytes())
    start = data.index(b"00dc", int(len(data) * at)) - 20  # across the border of two chunks
    data[start : start + 60] = bytes(60)
    path.write_bytes(data)
    info = probe(Resource(path))
    assert 1 <= info.lost <= 6 and info.frames + info.lost == 100
    assert "damaged-frames" in inspect(read(path)).kinds()


def test_what_is_damaged_is_counted_in_a_samples_span(whole, tmp_path):
    path = odd.remux(whole["mjpeg"], tmp_path / "bad.mkv", junk(*range(40, 50)))
    spans = {"early": (0, 29), "middle": (30, 59), "late": (60, 119)}
    samples = [
        Sample(id=name, recording="r", color=Resource(path), label="a", first_frame=first, last_frame=last)
        for name, (first, last) in spans.items()
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = list(preprocess_recording(samples, GRAY))
    assert [clip.id for clip in found if isinstance(clip, Clip)] == ["early", "late"]
    (problem,) = [p for p in found if isinstance(p, Problem)]
    assert "10 of 30 frames are damaged" in problem.reason


def test_frame_numbers_after_a_lost_one_are_still_those_of_the_labels(whole, tmp_path):
    path = odd.remux(whole["mjpeg"], tmp_path / "bad.mkv", junk(10))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frames = read_frames(odd.sample(path, first_frame=50, last_frame=53), 160, every=1)
    assert [odd.number_in(f) for f in frames] == [50, 51, 52, 53]


def test_modalities_stay_in_step(whole, tmp_path):
    color = odd.remux(whole["mjpeg"], tmp_path / "color.mkv", junk(10))
    mask = odd.remux(whole["mjpeg"], tmp_path / "mask.mkv", junk(20))
    sample = Sample(id="x", recording="x", color=Resource(color), mask=Resource(mask))
    with pytest.warns(UserWarning, match="2 of 120 frames"):
        frames = list(iter_sample(sample))
    assert len(frames) == 118
    for frame in frames:
        assert odd.number_in(frame.gray) == odd.number_in(frame.mask.astype(np.uint8) * 255)


def test_the_cache_keeps_what_another_limit_made_apart(whole, tmp_path, monkeypatch):
    path = odd.remux(whole["mjpeg"], tmp_path / "bad.mkv", junk(*range(100, 112)))
    cache = ClipCache(tmp_path / "cache")
    monkeypatch.setenv("GESTA_MAX_DAMAGE", "0.2")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert cache.load(odd.sample(path), GRAY).pixels.shape[0] > 0
    monkeypatch.delenv("GESTA_MAX_DAMAGE")
    with pytest.raises(GestaError, match="12 of 120 frames are damaged"):
        cache.load(odd.sample(path), GRAY)


@pytest.mark.parametrize("text", ["much", "-1", "2", "nan"])
def test_a_limit_that_is_no_share(whole, monkeypatch, text):
    monkeypatch.setenv("GESTA_MAX_DAMAGE", text)
    with pytest.raises(GestaError, match=r"--max-damage \(GESTA_MAX_DAMAGE\) is .*expected a share") as error:
        ClipCache().fingerprint(odd.sample(whole["mjpeg"]))
    assert error.value.usage


def test_the_command_line_tells_and_takes_a_limit(whole, tmp_path, monkeypatch, gesta):
    monkeypatch.setenv("GESTA_MAX_DAMAGE", "0.05")  # what the commands set is put back
    few = odd.remux(whole["mjpeg"], tmp_path / "few.mkv", junk(45))
    many = odd.remux(whole["mjpeg"], tmp_path / "many.mkv", junk(*range(40, 50)))
    done = gesta("predict", "demo", few, "--json")
    assert done.exit_code == 0 and "Note: " in done.stderr and "1 of 120 frames is damaged and skipped." in done.stderr
    done = gesta("predict", "demo", many)
    assert done.exit_code == 1 and "10 of 120 frames are damaged, more than 5 %" in done.stderr
    assert gesta("predict", "demo", many, "--max-damage", "0.1").exit_code == 0
    assert gesta("predict", "demo", many, "--max-damage", "3").exit_code == 2
    assert "damaged-video" in gesta("data", "inspect", many, "--max-damage", "0").stdout
    assert "damaged-frames" in gesta("data", "inspect", many, "--max-damage", "0.5").stdout


@pytest.mark.parametrize(("name", "least"), [("garbage_packet.mkv", 119), ("corrupt_h264.mp4", 117)])
def test_shared_bad_packet(name, least):
    path = case("one_bad_packet") / name
    numbers, times = quietly(path)
    assert len(numbers) >= least and numbers[:45] == list(range(45))
    assert times[-1] == pytest.approx(119 / 30, abs=0.001)
    assert inspect(read(path)).usable == 1
