"""Which pictures of a file are shown, and when: edit lists, null chunks, missing key frames, pauses, joined files.

Every frame shows its number (odd_videos.py); what is right is counted from how the file was made.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from cases import odd_videos as odd
from cases.shared_cases import case

from gesta.audit.inspection import inspect
from gesta.clips.chosen_frames import iter_every, read_frames
from gesta.clips.decode import frame_rate, frame_times, header_times, probe
from gesta.clips.preprocess import Preprocessor
from gesta.clips.transform import Transform
from gesta.clips.walk import Walk
from gesta.schema import Frame, GestaError, Resource
from gesta.sources.catalog import read

THIRTIETH = 1 / 30


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """120 frames of H.264 with B frames, a key frame every 30."""
    return odd.write(tmp_path_factory.mktemp("base") / "base.mp4")


def agree(path, numbers, times=None, length_s=None):
    """All ways of reading give these numbers at these times, and nothing is wrong with the file."""
    resource = Resource(path)
    times = [(n - numbers[0]) * THIRTIETH for n in numbers] if times is None else times
    found, at = odd.shown(path)
    assert found == numbers
    assert at == pytest.approx(times, abs=0.0011)
    assert frame_times(resource) == pytest.approx(times, abs=0.0011)
    info = probe(resource)
    assert (info.frames, info.lost, info.error, info.lacks) == (len(numbers), 0, None, "")
    assert info.duration_s == pytest.approx(times[-1] + THIRTIETH if length_s is None else length_s, abs=0.0011)
    positions = [(2 * k + 1) * len(numbers) // 12 for k in range(6)]
    chosen = read_frames(odd.sample(path), 160, frames=6)
    assert [odd.number_in(image) for image in chosen] == [numbers[p] for p in positions]
    followed = [odd.number_in(image) for _, image in iter_every(odd.sample(path), 160, 7)]
    assert followed == numbers[::7] == [odd.number_in(f) for f in read_frames(odd.sample(path), 160, every=7)]
    faults = {p.kind for p in inspect(read(path)).problems}
    assert not faults & {"truncated-video", "damaged-frames", "unreadable", "clock-jumps"}


def test_a_healthy_file_is_decoded_once(base, tmp_path, monkeypatch):
    passes = []
    once = Walk._through
    monkeypatch.setattr(Walk, "_through", lambda *a, **k: passes.append(1) or once(*a, **k))
    files = [base, odd.write(tmp_path / "a.avi", 40, codec="mpeg4"), odd.write(tmp_path / "a.webm", 40, codec="libvpx")]
    for path in files:
        assert len(odd.shown(path)[0]) >= 40
        assert header_times(Resource(path)) == pytest.approx(frame_times(Resource(path)), abs=1e-6)
    assert len(passes) == 2 * len(files)


# -- edit lists ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
@pytest.mark.parametrize("audio_first", [False, True])
def test_an_edit_list_hides_the_lead_in(tmp_path, suffix, audio_first):
    path = odd.write(tmp_path / f"a{suffix}", audio_first=audio_first)
    agree(odd.with_edits(path, tmp_path / f"trim{suffix}", [(2.0, 60)]), list(range(60, 120)))


@pytest.mark.parametrize("first", [7, 45, 61, 89])
def test_an_edit_may_begin_between_key_frames(base, tmp_path, first):
    agree(odd.with_edits(base, tmp_path / "trim.mp4", [(1.0, first)]), list(range(first, first + 30)))


def test_several_edits_follow_each_other(base, tmp_path):
    path = odd.with_edits(base, tmp_path / "cut.mp4", [(0.5, 10), (0.5, 70)])
    numbers = [*range(10, 25), *range(70, 85)]
    agree(path, numbers, [n * THIRTIETH for n in range(30)])


def test_an_empty_edit_delays_and_cuts_nothing(base, tmp_path):
    agree(odd.with_edits(base, tmp_path / "late.mp4", [(1.0, -1), (1.5, 45)]), list(range(45, 90)))
    agree(odd.with_edits(base, tmp_path / "late.mov", [(1.0, -1), (4.0, 0)]), list(range(120)))


def test_edits_of_a_codec_that_draws_without_key_frames(tmp_path):
    path = odd.write(tmp_path / "a.mp4", codec="mpeg4", b_frames=0)
    agree(odd.with_edits(path, tmp_path / "trim.mp4", [(1.9, 61)]), list(range(61, 118)))


def test_a_file_that_is_cut_is_cut_also_behind_an_edit(base, tmp_path):
    path = odd.with_edits(base, tmp_path / "trim.mp4", [(2.0, 60)])
    odd.moov_first(path)
    agree(path, list(range(60, 120)))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 9 // 10])
    assert not probe(Resource(path)).error
    with pytest.raises(GestaError, match="is cut short"):
        odd.shown(path)


# -- avi, key frames, starts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "slots",
    [
        [None if i % 3 == 0 else i for i in range(60)],
        [i if i < 30 else None for i in range(60)],
        [0, *[None] * 9, *range(10, 20)],
    ],
    ids=["every third", "half of it at the end", "a pause"],
)
def test_null_chunks_of_an_avi(tmp_path, slots):
    path = odd.write_avi(tmp_path / "drop.avi", slots)
    numbers = [n for n in slots if n is not None]
    first = slots.index(numbers[0])
    length_s = (len(slots) - first) * THIRTIETH
    found, at = odd.shown(path)
    assert found == numbers
    assert at == pytest.approx([(n - numbers[0]) * THIRTIETH for n in numbers], abs=0.0011)
    info = probe(Resource(path))
    assert (info.frames, info.lost, info.lacks) == (len(numbers), 0, "")
    assert info.duration_s == pytest.approx(length_s, abs=0.034)
    assert len(frame_times(Resource(path))) == len(numbers) == len(header_times(Resource(path)))


def test_an_avi_that_is_cut(tmp_path):
    path = odd.write_avi(tmp_path / "cut.avi", list(range(60)))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "states 2.00 s" in probe(Resource(path)).lacks
    with pytest.raises(GestaError, match="is cut short"):
        odd.shown(path)


@pytest.mark.parametrize("suffix", [".mkv", ".ts", ".mp4", ".mov", ".flv"])
def test_packets_before_the_first_key_frame_are_no_frames(base, tmp_path, suffix):
    path = odd.remux(base, tmp_path / f"dump{suffix}", lambda n, data: data if n >= 18 else None)
    if suffix != ".flv":
        agree(path, list(range(30, 120)))
    assert odd.shown(path)[0] == list(range(30, 120))


@pytest.mark.parametrize("dropped", [1, 18])
@pytest.mark.parametrize(("codec", "suffix"), [("wmv2", ".asf"), ("libx264", ".flv"), ("mpeg2video", ".mpg")])
def test_other_files_without_their_first_key_frame(tmp_path, codec, suffix, dropped):
    whole = odd.write(tmp_path / f"whole{suffix}", 120, codec=codec, b_frames=0)
    path = odd.remux(whole, tmp_path / f"cut{suffix}", lambda n, data: None if n < dropped else data)
    numbers, times = odd.shown(path)
    assert numbers == list(range(30, 120)) and times[-1] == pytest.approx(89 / 30, abs=0.002)
    assert frame_times(Resource(path)) == pytest.approx(times, abs=0.002)
    assert inspect(read(path)).usable == 1


def test_times_of_an_avi_that_has_null_chunks_and_is_not_decoded(tmp_path):
    """H.264 in avi, whose stamps are guessed: `header_times` are those of its slots, as decoding gives them."""
    whole = odd.write(tmp_path / "whole.avi", 40, b_frames=0, gop=1)
    path = odd.remux(whole, tmp_path / "a.avi", lambda n, data: None if n % 3 == 2 else data)
    numbers, times = odd.shown(path)
    assert times == pytest.approx([n / 30 for n in numbers], abs=0.001) and len(numbers) == 27
    assert header_times(Resource(path)) == pytest.approx(times, abs=0.001)


def test_a_decoder_that_draws_without_a_key_frame_is_not_believed(tmp_path):
    path = odd.write(tmp_path / "a.avi", codec="mpeg4", b_frames=0)
    dump = odd.remux(path, tmp_path / "dump.avi", lambda n, data: data if n >= 10 else None)
    assert odd.shown(dump)[0] == list(range(30, 120))


def test_pictures_that_lean_on_an_open_group_that_is_gone(tmp_path):
    path = odd.write(tmp_path / "a.mkv", options={"x264-params": "open-gop=1:keyint=30:scenecut=0"})
    agree(path, list(range(120)))
    agree(odd.remux(path, tmp_path / "b.mkv", lambda n, d: d if n >= 18 else None), list(range(30, 120)))


@pytest.mark.parametrize("suffix", [".mkv", ".ts", ".mp4"])
def test_a_start_offset_is_no_missing_part(tmp_path, suffix):
    times = [5000 + round(n * 1000 / 30) for n in range(60)]
    path = odd.write(tmp_path / f"late{suffix}", 60, pts_ms=times, b_frames=0)
    found, at = odd.shown(path)
    assert found == list(range(60)) and at[0] == 0 and at[-1] == pytest.approx(59 / 30, abs=0.002)
    assert probe(Resource(path)).lacks == ""


# -- clocks ----------------------------------------------------------------------------------------------------------


def test_irregular_stamps_give_lengths_rates_and_spans(tmp_path):
    rng = np.random.default_rng(0)
    times = np.concatenate([[0], rng.integers(30, 100, 59).cumsum()])
    path = odd.write(tmp_path / "v.webm", 60, codec="libvpx", pts_ms=[int(t) for t in times], b_frames=0)
    resource = Resource(path)
    assert frame_times(resource) == pytest.approx(times / 1000, abs=0.0011)
    assert frame_rate(resource) == pytest.approx(59 / times[-1] * 1000, rel=0.01)
    assert probe(resource).duration_s == pytest.approx(times[-1] / 1000, abs=0.1)
    (tmp_path / "index.csv").write_text(
        f"path,label,start_s,end_s\nv.webm,a,0.2,1.5\nv.webm,b,1.6,{times[-1] / 1000}\n"
    )
    listing = read(tmp_path)
    report = inspect(listing)
    assert report.usable == 2 and "label-outside-video" not in report.kinds()
    for sample in listing.samples:
        inside = [n for n, t in enumerate(times / 1000) if sample.start_s - 1e-6 <= t < sample.end_s - 1e-6]
        assert [odd.number_in(image) for image in read_frames(sample, 160, every=1)] == inside


def test_joined_files_whose_clock_starts_again(tmp_path):
    one = odd.write(tmp_path / "1.ts", 60, b_frames=0)
    two = odd.write(tmp_path / "2.ts", 60, b_frames=0, first=60)
    (tmp_path / "both.ts").write_bytes(one.read_bytes() + two.read_bytes())
    with pytest.warns(UserWarning, match=r"both\.ts: its time stamps jump back 1 time;"):
        numbers, times = odd.shown(tmp_path / "both.ts")
    assert numbers == list(range(120))
    assert times == pytest.approx([n * THIRTIETH for n in range(120)], abs=0.01)
    assert "clock-jumps" in inspect(read(tmp_path / "both.ts")).kinds()


def pushed(times):
    """End of each chunk that a preprocessor reports for gray frames at these times (10 a second, 4 a chunk)."""
    preprocessor = Preprocessor(
        Transform(fps=10, streams=("body",), channels=("gray", "gray_difference"), body="motion")
    )
    ends = []
    for time_s in times:
        pixels = preprocessor.push(Frame(time_s, gray=np.zeros((24, 32), np.uint8)))
        assert len(pixels) <= 4 * (1 + 20 // 4)  # a pause of any length costs no more memory than two seconds
        ends += preprocessor.ends_s
    preprocessor.flush()
    return [round(end, 3) for end in [*ends, *preprocessor.ends_s]]


def test_a_stream_ends_when_its_last_frame_does():
    regular = [n / 10 for n in range(10)]
    assert pushed(regular) == [0.4, 0.8, 1.0]
    assert pushed([1000 + t for t in regular]) == [1000.4, 1000.8, 1001.0]


@pytest.mark.parametrize("pause_s", [3, 10, 3600, 1e6])
def test_a_stream_keeps_the_frames_clock_over_a_pause(pause_s):
    before, after = [n / 10 for n in range(10)], [0.9 + pause_s + n / 10 for n in range(10)]
    ends = pushed([*before, *after])
    assert ends[-1] == pytest.approx(after[-1] + 0.1, abs=0.051)
    assert ends == sorted(ends)
    assert all(end <= 3.4 or end >= after[0] - 1e-6 for end in ends)  # the rest of the pause has no prediction


def test_a_stream_whose_clock_jumps_back_goes_on_and_says_so_once():
    part = [n / 10 for n in range(10)]
    with pytest.warns(UserWarning) as said:
        ends = pushed([*part, *part, *part])
    assert ends[-1] == pytest.approx(3.0, abs=0.11)
    assert len(said) == 1 and "jump back at frame 11" in str(said[0].message)


def test_stamps_that_are_a_little_late_are_no_jump():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert pushed([0, 0.1, 0.2, 0.17, 0.3, 0.4])[-1] == pytest.approx(0.5, abs=0.11)


def test_time_lapse(tmp_path):
    path = odd.write(tmp_path / "lapse.mp4", 20, pts_ms=[n * 5000 for n in range(20)], b_frames=0)
    info = probe(Resource(path))
    assert info.fps == pytest.approx(0.2, rel=0.01) and info.times_s[-1] == pytest.approx(95, abs=0.01)


# -- the shared cases ------------------------------------------------------------------------------------------------


def shared(name):
    return odd.shown(case(name))


@pytest.mark.parametrize("name", ["trim.mp4", "trim.mov"])
def test_shared_edit_list(name):
    path = case("edit_list_trim") / name
    numbers, times = odd.shown(path)
    assert numbers == list(range(60, 120)) and times[0] == 0 and times[-1] == pytest.approx(1.967, abs=0.001)
    assert len(frame_times(Resource(path))) == 60
    found = [odd.number_in(f[:64]) for f in read_frames(odd.sample(path), 160, frames=6)]
    assert len(found) == 6
    assert "truncated-video" not in inspect(read(path)).kinds()


def test_shared_null_frames():
    numbers, times = shared("avi_null_frames/drop.avi")
    assert numbers == [n for n in range(60) if n % 3]
    assert times == pytest.approx([(n - 1) * THIRTIETH for n in numbers], abs=0.001)
    report = inspect(read(case("avi_null_frames/drop.avi")))
    assert report.lengths_s.total == pytest.approx(2.0) and "truncated-video" not in report.kinds()


@pytest.mark.parametrize("name", ["nokey.mkv", "tscut.mp4"])
def test_shared_start_before_a_key_frame(name):
    assert shared(f"starts_before_keyframe/{name}")[0] == list(range(30, 120))


@pytest.mark.parametrize(("name", "end_s"), [("gap.mp4", 18.97), ("lapse.mp4", 95), ("../hostile/pause10s.mp4", 13.93)])
def test_shared_pauses(name, end_s):
    import gesta

    path = case("long_static_gap") / name
    found = list(gesta.load("demo").stream(path))
    assert found[-1].time_s == pytest.approx(end_s, abs=0.11)
    times = [p.time_s for p in found]
    assert times == sorted(times)


def test_shared_spans_in_seconds():
    listing = read(case("vfr_span_in_seconds"))
    report = inspect(listing)
    assert report.usable == 4 and "label-outside-video" not in report.kinds()
    for sample in listing.samples:
        numbers = [odd.number_in(image) for image in read_frames(sample, 160, every=1)]
        if sample.start_s == 2.5:
            assert numbers == list(range(41, 59))
