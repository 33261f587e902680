"""Training end to end on clips in memory: what it leaves, resuming, bad input."""

from __future__ import annotations

import csv
import errno
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
from calls import fit
from training.learnable import MemoryStore, samples, tiny

from gesta import files
from gesta.bundle import io as bundle_io
from gesta.files import write_whole
from gesta.models.catalog import build
from gesta.schema import GestaError
from gesta.tasks.clips.manifest import ClipManifest
from gesta.training.checkpoints import load_state
from gesta.training.run import Fitted

PROGRAM = Path(__file__).parent / "learnable.py"


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def run(out: Path, *changes: str, name: str = "auto", **options) -> Fitted:
    options = {"layout": "memory", "device": "cpu", "progress": False, "cache": MemoryStore()} | options
    found = options.pop("samples", None) or samples()
    return fit(found, tiny(name, *changes), out, **options)


def same_losses(one: Fitted, other: Fitted) -> bool:
    keys = ("epoch", "train_loss", "val_loss", "train_accuracy", "val_accuracy", "learning_rate")
    return [[row[k] for k in keys] for row in one.history] == [[row[k] for k in keys] for row in other.history]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    torch.set_num_threads(1)
    return run(tmp_path_factory.mktemp("run"), "training.epochs=8", notes=["a note on the split"])


def test_it_learns_and_leaves_a_bundle(trained: Fitted) -> None:
    assert trained.metrics["train_accuracy"] > 0.8
    bundle = bundle_io.read(trained.bundle, ClipManifest)
    manifest = bundle.manifest
    assert manifest.labels == ("c0", "c1", "c2")
    assert manifest.metrics["val_accuracy"] == max(row["val_accuracy"] for row in trained.history)
    assert manifest.provenance.clips == {"train": 24, "val": 6}
    assert len(manifest.provenance.people) == 5 and "p0" not in manifest.model_dump_json()
    assert manifest.provenance.split_notes == ("a note on the split",)
    network = build("cnn3d_lstm", classes=3, streams=1, size=16, width=0.125)
    tensors = {k: torch.from_numpy(v) for k, v in bundle_io.load_weights(bundle).items()}
    network.load_state_dict(tensors)
    assert manifest.parameters == sum(p.numel() for p in network.parameters())


def test_it_leaves_logs_and_a_figure(trained: Fitted) -> None:
    out = trained.bundle.parent
    with (out / "logs" / "training.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [float(row["val_loss"]) for row in rows] == [row["val_loss"] for row in trained.history]
    assert list((out / "logs" / "training").glob("events.*"))
    assert (out / "history.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["mullick/cnn3d", "mullick/lstm"])
def test_other_networks_train(name: str, tmp_path: Path) -> None:
    window = "input.window=16" if name == "mullick/cnn3d" else "input.window=32"
    result = run(tmp_path, "training.epochs=2", "augmentation.window=null", window, name=name)
    assert len(result.history) == 2
    assert bundle_io.read(result.bundle, ClipManifest).manifest.transform.sampling == (
        "central" if "cnn3d" in name else "chunks"
    )


def test_a_followed_test_part_is_measured_after_every_epoch_and_changes_nothing(tmp_path: Path) -> None:
    parts = [*samples(), *(replace(s, id=s.id.replace("s", "s0"), split="test") for s in samples() if s.split == "val")]
    alone = run(tmp_path / "alone", "training.epochs=2")
    result = run(tmp_path / "run", "training.epochs=2", samples=parts, followed=True)
    assert same_losses(alone, result)
    # the test clips are the validation clips again
    assert [row["test_accuracy"] for row in result.history] == [row["val_accuracy"] for row in result.history]
    assert "test_accuracy" not in result.metrics


@pytest.mark.integration
def test_resumed_run_ends_as_the_uninterrupted_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run(tmp_path / "whole")
    monkeypatch.setattr("gesta.tasks.clips.data.HELD_BYTES", 0)
    with pytest.raises(RuntimeError, match="killed"):
        run(tmp_path / "broken", cache=MemoryStore(fail_after=75))  # in the third of four epochs, 30 loads each
    torch.manual_seed(12345)  # another process has other generators
    resumed = run(tmp_path / "broken", resume=True)
    assert len(resumed.history) == 4
    assert same_losses(whole, resumed)
    one, other = (bundle_io.load_weights(bundle_io.read(r.bundle, ClipManifest)) for r in (whole, resumed))
    assert all((one[k] == other[k]).all() for k in one)


@pytest.mark.integration
def test_resume_with_pretraining(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gesta.tasks.clips.data.HELD_BYTES", 0)
    changes = ("training.pretrain_epochs=2", "training.epochs=2", "training.freeze_encoder=true")
    whole = run(tmp_path / "whole", *changes)
    with pytest.raises(RuntimeError, match="killed"):
        run(tmp_path / "broken", *changes, cache=MemoryStore(fail_after=95))  # in the second stage's second epoch
    assert same_losses(whole, run(tmp_path / "broken", *changes, resume=True))


@pytest.mark.integration
def test_frozen_encoder_stays_as_pretrained(tmp_path: Path) -> None:
    result = run(tmp_path, "training.pretrain_epochs=2", "training.freeze_encoder=true")
    encoder = safetensors.torch.load((tmp_path / "checkpoints" / "encoder.safetensors").read_bytes())
    weights = bundle_io.load_weights(bundle_io.read(result.bundle, ClipManifest))
    for name, tensor in encoder.items():
        assert (weights[f"encoder.{name}"] == tensor.numpy()).all(), name


@pytest.mark.integration
def test_resume_refuses_another_recipe(tmp_path: Path) -> None:
    run(tmp_path, "training.epochs=2")
    for change in ("training.epochs=1", "training.learning_rate=0.5"):
        with pytest.raises(GestaError, match=r"another recipe.*without --resume"):
            run(tmp_path, change, resume=True)


@pytest.mark.integration
def test_resume_with_more_epochs_ends_as_if_begun_so(tmp_path: Path) -> None:
    constant = "training.schedule=constant"
    whole = run(tmp_path / "whole", constant, "training.epochs=3")
    run(tmp_path / "short", constant, "training.epochs=2")
    assert same_losses(whole, run(tmp_path / "short", constant, "training.epochs=3", resume=True))
    run(tmp_path / "cycle", "training.schedule=one_cycle", "training.epochs=2")
    with pytest.raises(GestaError, match=r"for 2 epochs, not 3\..*constant or plateau"):
        run(tmp_path / "cycle", "training.schedule=one_cycle", "training.epochs=3", resume=True)


@pytest.mark.integration
def test_resume_of_a_finished_run_changes_nothing(tmp_path: Path) -> None:
    first = run(tmp_path, "training.epochs=2")
    again = run(tmp_path, "training.epochs=2", resume=True)
    assert same_losses(first, again)
    assert first.metrics == again.metrics


def test_a_half_written_checkpoint_leaves_the_previous_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = tmp_path / "training.ckpt"
    write_whole(state, b"first")

    def power_cut(_: int) -> None:
        raise OSError(errno.EIO, "power cut")

    monkeypatch.setattr(os, "fsync", power_cut)
    with pytest.raises(OSError, match="power cut"):
        write_whole(state, b"second, cut")
    assert state.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [state]


def test_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    run(tmp_path, "training.epochs=1")
    state = tmp_path / "checkpoints" / "training.ckpt"
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(GestaError, match=r"training\.ckpt: is not a checkpoint.*without --resume"):
        run(tmp_path, "training.epochs=1", resume=True)


def test_checkpoints_hold_plain_values_only(tmp_path: Path) -> None:
    evil = tmp_path / "training.ckpt"
    torch.save({"x": Path("/")}, evil)
    with pytest.raises(GestaError, match="is not a checkpoint"):
        load_state(evil)


def test_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(GestaError, match=r"the disk is full.*--resume"):
        run(tmp_path)


def test_broken_recordings_are_skipped_and_listed(tmp_path: Path) -> None:
    result = run(tmp_path, "training.epochs=1", cache=MemoryStore(broken={"s1"}))
    assert [p.path for p in result.skipped] == [str(Path("nowhere/1.avi"))]
    manifest = bundle_io.read(result.bundle, ClipManifest).manifest
    assert manifest.provenance.skipped == 1 and manifest.provenance.clips["train"] == 23


def test_one_class_is_refused_before_any_work(tmp_path: Path) -> None:
    store = MemoryStore()
    with pytest.raises(GestaError, match=r"only the class 'c0'; at least two"):
        run(tmp_path / "new", samples=samples(classes=1), cache=store)
    assert store.loads == 0 and not (tmp_path / "new").exists()


def test_validation_clips_of_a_class_without_training_clips_are_listed(tmp_path: Path) -> None:
    found = samples()
    found[-1] = replace(found[-1], label="c9", split="val")
    result = run(tmp_path, "training.epochs=1", samples=found)
    assert [str(p) for p in result.skipped] == ["nowhere/29.avi: is of class 'c9', which has no training clips"]
    assert bundle_io.read(result.bundle, ClipManifest).manifest.labels == ("c0", "c1", "c2")


def test_a_class_whose_clips_are_all_broken_is_no_class_of_the_model(tmp_path: Path) -> None:
    store = MemoryStore(broken=[s.id for s in samples() if s.label == "c1" and s.split == "train"])
    result = run(tmp_path, "training.epochs=1", cache=store)
    assert bundle_io.read(result.bundle, ClipManifest).manifest.labels == ("c0", "c2")
    assert sum("is of class 'c1', which has no training clips" in str(p) for p in result.skipped) == 2
    store = MemoryStore(broken=[s.id for s in samples() if s.split == "train"])
    with pytest.raises(
        GestaError, match=r"no labeled.* 24 could not be used, the first: nowhere/0.avi: cut short\. Add"
    ):
        run(tmp_path / "none", "training.epochs=1", cache=store)


def test_without_validation_the_last_epoch_is_kept(tmp_path: Path) -> None:
    result = run(tmp_path, "training.epochs=2", samples=samples(val=False))
    assert result.metrics["best_epoch"] == 2 and "val_accuracy" not in result.metrics


@pytest.mark.integration
def test_early_stopping(tmp_path: Path) -> None:
    result = run(tmp_path, "training.epochs=30", "training.patience=1", "training.learning_rate=1e-9")
    assert len(result.history) < 30
    assert len(result.history) - result.metrics["best_epoch"] == 1
    assert same_losses(
        result,
        run(tmp_path, *("training.epochs=30", "training.patience=1", "training.learning_rate=1e-9"), resume=True),
    )


def test_a_loss_that_is_not_finite_stops(tmp_path: Path) -> None:
    with pytest.raises(GestaError, match=r"loss became (nan|inf) in epoch.*learning_rate"):
        run(tmp_path, "training.learning_rate=1e30", name="mullick/cnn3d-lstm-small")


def test_16_bit_floats_on_a_cpu_are_refused(tmp_path: Path) -> None:
    with pytest.raises(GestaError, match=r"needs a GPU.*bf16-mixed"):
        run(tmp_path, "training.precision=16-mixed")


@pytest.mark.integration
def test_bf16_on_a_cpu_learns_as_32_bits_do(tmp_path: Path) -> None:
    exact, rounded = (run(tmp_path / p, f"training.precision={p}") for p in ("32-true", "bf16-mixed"))
    losses = [[row["train_loss"] for row in result.history] for result in (exact, rounded)]
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.05)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_said(tmp_path: Path) -> None:
    with pytest.raises(GestaError, match="No GPU"):
        run(tmp_path, device="cuda")


def test_clips_are_loaded_once(tmp_path: Path) -> None:
    store = MemoryStore()
    run(tmp_path, cache=store)
    assert store.loads == len(samples())


def test_callers_threads_stay(tmp_path: Path) -> None:
    run(tmp_path, "training.epochs=1")
    assert torch.get_num_threads() == 1


STOPPED = """
import os, signal, sys
from pathlib import Path
from gesta.training.classify import Classify
from training.test_training_fit import run

number, batch = int(sys.argv[1]), int(sys.argv[2])
original = Classify.training_step

def stopped(self, given, batch_idx):
    if batch_idx == (batch if batch >= 0 else self.trainer.num_training_batches - 1):
        os.kill(os.getpid(), number)
    return original(self, given, batch_idx)

Classify.training_step = stopped
signal.signal(signal.SIGINT, signal.default_int_handler)  # a program started in the background ignores SIGINT
run(Path(sys.argv[3]), "training.epochs=1")
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="needs signals that can be handled")
@pytest.mark.parametrize(
    ("number", "batch", "code"), [(signal.SIGTERM, 0, 143), (signal.SIGTERM, -1, 143), (signal.SIGINT, 0, 130)]
)
def test_being_stopped_is_no_success(tmp_path: Path, number: int, batch: int, code: int) -> None:
    """Lightning ends with success on SIGTERM, and goes on after one that comes in the last batch (-1)."""
    command = [sys.executable, "-c", STOPPED, str(int(number)), str(batch), str(tmp_path)]
    paths = os.pathsep.join(path for path in sys.path if path)
    ended = subprocess.run(command, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, check=False)
    assert ended.returncode == code, ended.stderr.decode()[-2000:]
    assert not (tmp_path / "bundle").exists()


def program(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROGRAM.parents[1])} | environment
    command = [sys.executable, str(PROGRAM), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=300, check=False)


@pytest.mark.slow
def test_two_processes(tmp_path: Path) -> None:
    done = program(tmp_path, 2)
    assert done.returncode == 0, done.stderr
    accuracy, epochs, _ = done.stdout.split()
    assert int(epochs) == 4 and 0 <= float(accuracy) <= 1
    assert bundle_io.read(tmp_path / "bundle", ClipManifest).manifest.metrics["val_accuracy"] == float(accuracy)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_kill_while_a_checkpoint_is_written(tmp_path: Path) -> None:
    """The process kills itself between writing the third epoch's state and renaming it."""
    killer = tmp_path / "killer.py"
    killer.write_text(
        "import os, runpy, signal, sys\n"
        "from gesta import files\n"
        "count, fsync = 0, os.fsync\n"
        "def fsync_or_die(number):\n"
        "    global count\n"
        "    if '.ckpt' in os.readlink(f'/proc/self/fd/{number}'):\n"
        "        count += 1\n"
        "        if count == 3: os.ftruncate(number, 5000); os.kill(os.getpid(), signal.SIGKILL)\n"
        "    fsync(number)\n"
        "files.os.fsync = fsync_or_die\n"
        "sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    out = tmp_path / "out"
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROGRAM.parents[1])}
    command = [sys.executable, str(killer), str(PROGRAM), str(out), "1"]
    assert subprocess.run(command, env=env, timeout=300, check=False).returncode == -signal.SIGKILL
    assert list((out / "checkpoints").glob(".*.tmp"))
    whole, resumed = program(tmp_path / "whole", 1), program(out, 1, 4, "resume")
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stdout == whole.stdout
    assert not list((out / "checkpoints").glob(".*.tmp"))


def test_every_epoch_draws_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Order, frames and affine maps of an epoch differ from those of the one before."""
    from gesta.training.classify import Classify

    seen: dict[int, list[torch.Tensor]] = {}
    original = Classify.training_step

    def spy(self, batch, batch_idx):
        seen.setdefault(self.current_epoch, []).append(batch["theta"])
        return original(self, batch, batch_idx)

    monkeypatch.setattr(Classify, "training_step", spy)
    run(tmp_path, "training.epochs=3")
    drawn = [torch.cat(seen[epoch]).flatten().sort().values for epoch in range(3)]
    assert not torch.allclose(drawn[0], drawn[1]) and not torch.allclose(drawn[1], drawn[2])
