"""The world around a command: closed or full outputs, encodings, killed workers, limits, Ctrl-C, other processes."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from cases.shared_cases import put
from clips.videos import gray_frames, write_video

from gesta import leftovers
from gesta.clips.cache import ClipCache
from gesta.clips.transform import Transform
from gesta.schema import GestaError, Resource, Sample

pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX shells and signals")
GRAY = Transform(fps=20, size=32, streams=("body",), channels=("gray", "gray_difference"), body="frame")


def gesta(arguments, tail="", **environment):
    """A gesta command in a shell, `tail` behind it: (exit code, stdout, stderr)."""
    line = f"{sys.executable} -c 'from gesta.cli import main; main()' {arguments} {tail}"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}"],
        capture_output=True,
        timeout=120,
        env={**os.environ, **environment},
        check=False,
    )
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return done.returncode, done.stdout, done.stderr.decode()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "sét"
    for label in ("café", "wa\x1b[31mve"):
        for i in range(3):
            (root / label).mkdir(parents=True, exist_ok=True)
            write_video(root / label / f"{i}.mkv", gray_frames(6 + i))
    write_video(root / "café" / os.fsdecode(b"b\xff.mkv"), gray_frames(9))
    return root


@pytest.mark.integration
@pytest.mark.parametrize(
    ("tail", "said"),
    [(">&-", "stdout is closed"), ("| head -c 0", "has closed it"), ("> /dev/full", "the disk is full")],
)
@pytest.mark.parametrize("arguments", ["cache", "cache --json"])
def test_an_output_that_takes_nothing_is_one_line_and_1(arguments, tail, said):
    if "full" in tail and not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    code, _, error = gesta(arguments, tail)
    assert code == 1
    assert said in error
    assert len(error.strip().splitlines()) == 1


@pytest.mark.integration
@pytest.mark.parametrize("encoding", ["ascii", "utf-8", "cp1252"])
def test_any_encoding_of_the_terminal(data, encoding):
    code, out, error = gesta(f"data inspect '{data}'", PYTHONIOENCODING=encoding)
    assert code == 0
    assert b"\x1b" not in out
    assert b"wa\\x1b[31mve" in out
    assert "\x1b" not in error


@pytest.mark.integration
def test_json_for_a_terminal_of_few_letters(data):
    code, out, _ = gesta(f"data inspect '{data}' --json", PYTHONIOENCODING="ascii")
    assert code == 0
    assert set(json.loads(out)["classes"]) == {"café", "wa\x1b[31mve"}


@pytest.mark.integration
def test_out_that_is_not_utf8_is_refused_at_once(data, tmp_path):
    for option in ("--out ", "--out="):
        code, _, error = gesta(f"train '{data}' {option}{tmp_path}/$'r\\xff'")
        assert code == 2
        assert r"r\xff: the name is not UTF-8" in error


@pytest.mark.integration
def test_a_limit_on_files_is_one_line(data, tmp_path):
    run = f"{sys.executable} -c 'from gesta.cli import main; main()'"
    # a limit on files would cut the modules that Python compiles, for every later run
    line = f"ulimit -f 1; PYTHONDONTWRITEBYTECODE=1 {run} data inspect '{data}' --out {tmp_path}/page"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "File too large" in done.stderr
    assert not list((tmp_path / "page").iterdir())


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        ("BrokenProcessPool('x')", 1, "was killed, perhaps for lack of memory"),
        ("MemoryError()", 1, "not enough memory"),
        ("RuntimeError('DefaultCPUAllocator: can\\'t allocate memory')", 1, "not enough memory"),
        ("OSError(errno.EDQUOT, 'Disk quota exceeded', 'f')", 1, "your disk quota is used up (f)"),
        ("OSError(errno.EFBIG, 'File too large')", 1, "larger than the limit"),
        ("OSError(errno.EIO, 'Input/output error')", 1, "the operating system reported an error (Input/output error)"),
        ("PermissionError(errno.EACCES, 'Permission denied', 'a\\x1bb')", 1, r"a\x1bb: Permission denied"),
        ("KeyboardInterrupt()", 130, "To continue: gesta train 'my data' --out runs/1 --resume"),
    ],
)
def test_what_ends_a_command_from_outside_is_one_line(raised, code, said):
    program = (
        "import errno\nfrom concurrent.futures.process import BrokenProcessPool\nfrom gesta.cli import ending\n"
        f"def app(): raise {raised}\n"
        "ending.run(app, ['gesta', 'train', 'my data', '--out', 'runs/1'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.integration
@pytest.mark.parametrize(
    ("what", "first"), [("nyu --images 400", "train/*.png"), ("chalearn2014 --people 20", "*/.*partial/*.mp4")]
)
@pytest.mark.parametrize(("group", "again_s"), [(True, None), (False, None), (True, 0.0), (True, 0.3)])
def test_ctrl_c_in_a_real_command_says_how_to_go_on(tmp_path, what, first, group, again_s):
    kind, *options = what.split()
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from gesta.cli import main; main()"
    command = [
        sys.executable,
        "-c",
        code,  # a shell that starts the tests in the background has SIGINT ignored
        "data",
        "make",
        kind,
        str(tmp_path),
        *options,
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while not list(tmp_path.glob(first)):
        assert process.poll() is None
        time.sleep(0.05)
    (os.killpg if group else os.kill)(process.pid, signal.SIGINT)
    if again_s is not None:  # an impatient user
        time.sleep(again_s)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
    _, error = process.communicate(timeout=20)
    assert process.returncode in (130, -signal.SIGINT)
    assert "Traceback" not in error
    assert f"To continue: gesta data make {kind}" in error


def half_written(cache, seconds):
    """A process that stops in the middle of writing an entry of the cache."""
    code = (
        "import sys, time; from pathlib import Path; from gesta import leftovers\n"
        "entry = Path(sys.argv[1]) / 'clips' / 'ab' / 'abcd.npy'; entry.parent.mkdir(parents=True, exist_ok=True)\n"
        "part = leftovers.temporary(entry); part.write_bytes(b'x' * 5000); print(part, flush=True)\n"
        f"time.sleep({seconds}); part.replace(entry); print('done', flush=True)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(cache)], stdout=subprocess.PIPE, text=True)
    return process, Path(process.stdout.readline().strip())


@pytest.mark.integration
@pytest.mark.parametrize("how", ["clear", "evict", "set_limit"])
def test_the_cache_never_takes_what_another_process_writes(tmp_path, how):
    process, part = half_written(tmp_path, 2)
    cache = ClipCache(tmp_path)
    {"clear": cache.clear, "evict": cache.evict, "set_limit": lambda: cache.set_limit(0)}[how]()
    assert part.exists()
    assert process.communicate(timeout=30)[0].strip() == "done"
    assert process.returncode == 0


def test_what_a_killed_process_left_is_removed_by_the_next_run(tmp_path):
    process, part = half_written(tmp_path, 60)
    process.kill()
    process.wait()
    assert part.exists()
    write_video(tmp_path / "a.mkv", gray_frames(8))
    sample = Sample("a", "a", color=Resource(tmp_path / "a.mkv"))
    assert not ClipCache(tmp_path).fill([sample], GRAY)
    assert not part.exists()


def test_names_of_temporary_files_tell_whose_they_are(tmp_path):
    mine = leftovers.temporary(tmp_path / "a.json")
    code = "import sys, pathlib; from gesta.leftovers import temporary; print(temporary(pathlib.Path(sys.argv[1])))"
    ended = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.json")], capture_output=True, text=True, check=True
    )
    theirs = Path(ended.stdout.strip())
    elsewhere = tmp_path / ".a.json.000000-1-0123abcd.tmp"
    old = tmp_path / ".a.json.0123abcd.tmp"
    other = tmp_path / ".b.json.000000-1-0123abcd.tmp"
    for path in (mine, elsewhere, old, other):
        path.touch()
    theirs.mkdir()
    (theirs / "x").touch()
    os.utime(old, (0, 0))
    leftovers.remove_left_behind(tmp_path / "a.json")
    assert sorted(tmp_path.iterdir()) == sorted([mine, elsewhere, other])


def test_a_crowded_folder_is_searched_once_and_then_for_all_paths(tmp_path, monkeypatch):
    for number in range(leftovers.CROWDED):
        (tmp_path / f"{number}.json").touch()
    with monkeypatch.context() as patch:
        patch.setattr(leftovers.os, "getpid", lambda: 2**22 + 1)  # no process has this number
        left = [leftovers.temporary(tmp_path / name) for name in ("a.json", "b.json")]
    foreign = tmp_path / ".b.json.tmp"
    for path in (*left, foreign):
        path.touch()
    leftovers.remove_left_behind(tmp_path / "a.json")
    assert not any(path.exists() for path in left)
    assert foreign.exists()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "iterdir", lambda _folder: pytest.fail("searched again"))
        leftovers.remove_left_behind(tmp_path / "c.json")


@pytest.mark.parametrize("what", ["annotated video", "mask video", "skeleton"])
def test_what_other_writers_left_is_removed_by_the_next_one(tmp_path, monkeypatch, what):
    from gesta.clips.annotated import VideoWriter
    from gesta.experiments.track_recording import MaskVideo, whole

    out = tmp_path / {"annotated video": "a.mp4", "mask video": "a.mkv", "skeleton": "a.npy"}[what]
    image = np.zeros((48, 64, 3), np.uint8)

    def drawn():
        with VideoWriter(out) as writer:
            writer.picture(0.0, image)

    def masked():
        video = MaskVideo(out)
        video.add(image[..., 0] > 0, (48, 64))
        video.close()

    writers = {"annotated video": drawn, "mask video": masked, "skeleton": lambda: whole(out, lambda f: f.write(b"1"))}
    left = []
    with monkeypatch.context() as patch:
        patch.setattr(leftovers.os, "getpid", lambda: 2**22 + 1)  # no process has this number
        patch.setattr(Path, "replace", lambda self, _to: left.append(self.touch() or self.name))
        patch.setattr(Path, "unlink", lambda *_a, **_k: None)  # killed before it could
        writers[what]()
    assert left and (tmp_path / left[0]).exists()
    writers[what]()
    assert sorted(path.name for path in tmp_path.iterdir()) == [out.name]


def test_a_torn_entry_of_the_cache_is_made_again(tmp_path):
    write_video(tmp_path / "a.mkv", gray_frames(8))
    sample = Sample("a", "a", color=Resource(tmp_path / "a.mkv"))
    cache = ClipCache(tmp_path / "cache")
    pixels = np.array(cache.load(sample, GRAY).pixels)
    (entry,) = (tmp_path / "cache").rglob("*.npy")
    for content in (b"", b"\x93NUMPY\x01\x00v\x00(" + b"(" * 117, b"PK\x03\x04" + bytes(40), bytes(5000)):
        entry.write_bytes(content)
        np.testing.assert_array_equal(cache.load(sample, GRAY).pixels, pixels)


@pytest.mark.integration
def test_generated_hands_go_on_where_they_stopped(tmp_path, monkeypatch):
    pytest.importorskip("scipy")
    from gesta.synthetic import nyu_hands

    whole, parts = tmp_path / "whole", tmp_path / "parts"
    nyu_hands.make(whole, images=5, seed=3)

    def stop(done, _total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        nyu_hands.make(parts, images=5, seed=3, progress=stop)
    (parts / "train" / "rgb_2_0000001.png").unlink(missing_ok=True)
    with pytest.raises(GestaError, match="other settings"):
        nyu_hands.make(parts, images=5, seed=4)
    written = []
    kept = {path.name for path in (parts / "train").glob("*.png")}
    monkeypatch.setattr(
        nyu_hands,
        "_write_png",
        lambda path, image, write=nyu_hands._write_png: (written.append(path.name), write(path, image)),
    )
    nyu_hands.make(parts, images=5, seed=3)
    assert len(kept - set(written)) >= 6
    files = {path.relative_to(whole) for path in whole.rglob("*") if path.is_file()}
    assert files == {path.relative_to(parts) for path in parts.rglob("*") if path.is_file()}
    for name in files:
        if name.suffix == ".png":
            assert (whole / name).read_bytes() == (parts / name).read_bytes(), name
    from scipy.io import loadmat

    one, other = (loadmat(root / "train" / "joint_data.mat") for root in (whole, parts))
    np.testing.assert_array_equal(one["joint_xyz"], other["joint_xyz"])


def test_a_page_that_cannot_be_written_leaves_nothing(tmp_path):
    put(tmp_path, "wave/a.mp4", "clap/a.mp4")
    (tmp_path / "page").write_text("a file, not a folder")
    code, _, error = gesta(f"data inspect {tmp_path} --out {tmp_path}/page")
    assert code == 1
    assert "cannot be written" in error


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """A recognizer whose labels terminals obey, and a video whose name they obey: (bundle, video, labels)."""
    from runtime.tiny_bundles import make_bundle

    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("odd")
    bundle = make_bundle(folder / "b", "cnn3d_lstm")
    document = json.loads((bundle / "manifest.json").read_text())
    labels = ["wa\x1b[31mve\n", "sì\x9b2J", "\u202eclap", "rest"]
    (bundle / "manifest.json").write_text(json.dumps({**document, "labels": labels}))
    return bundle, write_video(folder / "é\x1b.mkv", gray_frames(12)), labels


OBEYED = ("\x1b", "\x9b", "\u202e")


@pytest.mark.parametrize("options", [(), ("--stream",)])
def test_predictions_of_labels_and_names_that_terminals_obey(odd, options, monkeypatch):
    bundle, path, labels = odd
    out, code = predicted(monkeypatch, bundle, path, *options)
    assert code == 0
    assert not any(letter in out for letter in OBEYED)
    out, code = predicted(monkeypatch, bundle, path, "--json", *options)
    assert code == 0
    assert "\x9b" not in out
    for line in out.splitlines():
        assert set(json.loads(line)["probabilities"]) == set(labels)


def predicted(monkeypatch, *words):
    """What `gesta predict` writes to a terminal of UTF-8, and its exit code."""
    from gesta.cli import main

    terminal = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(sys, "argv", ["gesta", "predict", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        main()
    return terminal.buffer.getvalue().decode(), end.value.code or 0


@pytest.mark.integration
def test_predictions_for_a_terminal_of_few_letters(odd):
    bundle, path, _ = odd
    code, out, error = gesta(f"predict {bundle} '{path}'", PYTHONIOENCODING="ascii")
    assert code == 0, error
    assert out.isascii()
    assert b"\x1b" not in out
    assert rb"\u202e" in out or rb"\x1b" in out
