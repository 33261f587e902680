"""The whole path: a trained bundle slimmed, pruned, stored in fewer bits, exported, every step measured and resumable.

In the folder: `networks/` (what training left), `stored/` and `runnable/` (their weights' files and exports by
precision), `steps/` (a JSON file a finished step, with the key of all it came from), `best/` (what was chosen),
`frontier.json`, `.md` and `.png`.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from gesta.bundle import io
from gesta.clips.cache import ClipCache
from gesta.compression import frontier
from gesta.compression.channels import slimmable
from gesta.compression.measure import Measuring, measured_row
from gesta.compression.plan import Plan, named
from gesta.compression.prune import Pruning, prune
from gesta.compression.slim import Slimming, slim
from gesta.compression.weights import Precision
from gesta.engines import host as machine
from gesta.evaluation.people import people_warnings
from gesta.files import write_whole
from gesta.schema import GestaError, Sample
from gesta.tasks.clips.distil import open_teacher
from gesta.tasks.clips.manifest import ClipManifest

BEST = {"stored": "best/stored", "runnable": "best/runnable.zip"}
PRUNED = replace(frontier.ACCURACY, advice="Prune further (--sparsity), train longer (--epochs), or ask for less.")
"""Of networks that cannot be slimmed."""
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")
Say = Callable[[str], None]


@dataclass
class Run:
    """One run over a folder: what it works with, and the rows so far."""

    out: Path
    plan: Plan
    measuring: Any  # Measuring, or PoseMeasuring of a hand pose model
    samples: Sequence[Any]
    teachers: tuple[str, ...]
    seed: int
    device: str
    progress: bool
    say: Say
    rows: list[frontier.Row] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.out / "steps").mkdir(parents=True, exist_ok=True)  # by it `check_out` knows a run that was stopped

    def once(self, name: str, title: str, inputs: Sequence[object], work: Callable[[], dict[str, Any]]) -> Any:
        """The result of `work`, or of an earlier run that had the same inputs and whose bundles are still there."""
        key = hashlib.sha256(json.dumps([*inputs, self.measuring.identity], default=str).encode()).hexdigest()
        file = self.out / "steps" / f"{name}.json"
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
            if found["key"] == key and all((self.out / made / io.MANIFEST).exists() for made in found["made"]):
                return found["result"]
        except (OSError, ValueError, KeyError, TypeError):
            pass
        self.say(title)
        result = work()
        done = {"key": key, "made": result.get("made", []), "result": result}
        write_whole(file, json.dumps(done, indent=1).encode())
        return result


def compress(
    bundle: Path,
    out: Path,
    plan: Plan,
    *,
    samples: Sequence[Sample],
    layout: str = "",
    teachers: Sequence[str] = (),
    seed: int = 0,
    device: str = "auto",
    cache: ClipCache | None = None,
    command: str = "",
    progress: bool = True,
    say: Say = lambda _text: None,
) -> dict[str, Any]:
    """Everything that `plan` says, at `out`; returns what `frontier.json` holds.

    `samples` with splits: trained on train, chosen by val, measured on test. `teachers`: bundles to distil from and to
    measure beside; the bundle itself if left out. Started again with the same arguments, finished steps are not
    repeated. A network that cannot be slimmed is pruned as it is. Raises GestaError for numbers that make no sense,
    data without training or (to choose) validation recordings, or an `out` that holds something else.
    """
    plan.check()
    source = io.read(bundle, ClipManifest)
    slims = slimmable(io.load_weights(source))
    if plan.keep and not slims:
        raise GestaError("--keep is for cnn3d, lstm and joint: others are not slimmed, but pruned.", usage=True)
    check_out(out, source.path)
    splits = splits_of(samples, plan)
    measuring = Measuring(splits, layout, plan.to, plan.clips, plan.seconds, cache or ClipCache(), device, progress)
    run = Run(out, plan, measuring, samples, tuple(map(str, teachers)), seed, device, progress, say)
    for number, teacher in enumerate(run.teachers, start=1):
        measure(run, f"teacher-{number}", Path(teacher), precisions=("fp32",))
    own = "teacher" if not teachers else "start"
    measure(run, own, bundle)
    first = [row for row in run.rows if row["precision"] == "fp32"]
    parameters = source.manifest.parameters
    sizes = plan.sizes(parameters) if slims else []
    if not sizes or plan.prunes_start(parameters):
        _pruned(run, own, bundle, bundle)
    before = bundle
    for size in sizes:
        name = named(size, parameters)
        before = _slimmed(run, name, before, size, bundle)
        measure(run, name, before)
        _pruned(run, name, before, bundle)
    return conclude(run, source.path, command, first, _notes, quality=frontier.ACCURACY if slims else PRUNED)


def splits_of(samples: Sequence[Sample], plan: Plan) -> dict[str, list[Sample]]:
    """Labelled samples by split. Raises GestaError (usage) if the plan chooses and there are none to choose by."""
    splits = {
        name: [s for s in samples if s.split == name and s.label is not None] for name in ("train", "val", "test")
    }
    if plan.chooses and not splits["val"]:
        raise GestaError("Choosing needs validation recordings, and the data have none: mark some as val.", usage=True)
    return splits


def _slimmed(run: Run, name: str, source: Path, size: int, teacher: Path) -> Path:
    """The source slimmed to so many parameters, at networks/NAME; as many steps as its layers need at least."""
    plan, out = run.plan, run.out / "networks" / name
    factor = io.read(source, ClipManifest).manifest.parameters / size
    steps = max(plan.steps, math.ceil(math.log(factor) / math.log(8)))  # an eighth of a layer's channels stays
    how = Slimming(parameters=size, steps=steps, epochs=plan.epochs, sets=_sets(run, teacher))

    def work() -> dict[str, Any]:
        slim(source, out, how, samples=run.samples, precision="fp32", **_training(run, teacher))
        return {"made": [f"networks/{name}"]}

    title = f"{name}: slimming to {size:,} parameters, {steps} x {plan.epochs} epochs"
    run.once(name, title, ["slim", sha_of(source), how, _taught_by(run, teacher), run.seed], work)
    return out


def _pruned(run: Run, name: str, source: Path, teacher: Path) -> None:
    """The source pruned as the plan says, at networks/NAME-pruned, and measured; nothing where it is to stay whole."""
    plan, name = run.plan, f"{name}-pruned"
    sparsity = plan.sparsity_for(io.load_weights(io.read(source, ClipManifest)))
    if not sparsity:
        return
    how = Pruning(sparsity=sparsity, steps=plan.steps, epochs=plan.epochs, sets=_sets(run, teacher))

    def work() -> dict[str, Any]:
        prune(source, out, how, samples=run.samples, precision="fp32", **_training(run, teacher))
        return {"made": [f"networks/{name}"]}

    out = run.out / "networks" / name
    title = f"{name}: {sparsity:.1%} of the weights, {plan.steps} x {plan.epochs} epochs"
    run.once(name, title, ["prune", sha_of(source), how, _taught_by(run, teacher), run.seed], work)
    measure(run, name, out)


def _sets(run: Run, teacher: Path) -> tuple[str, ...]:
    """Changes to the recipe of fine-tuning; the teachers by name."""
    named = [f"teacher={given}" for given in run.teachers or (str(teacher),)] if run.plan.distil else []
    return (*run.plan.recipe_sets, *named)


def _training(run: Run, teacher: Path) -> dict[str, Any]:
    """What slimming and pruning share."""
    given = run.teachers or (str(teacher),)
    return {
        "layout": run.measuring.layout,
        "teachers": tuple(open_teacher(one) for one in given) if run.plan.distil else (),
        "seed": run.seed,
        "device": run.device,
        "cache": run.measuring.cache,
        "progress": run.progress,
    }


def _taught_by(run: Run, teacher: Path) -> list[str]:
    return [sha_of(Path(one)) for one in run.teachers or (str(teacher),)] if run.plan.distil else []


def measure(
    run: Run,
    name: str,
    bundle: Path,
    row: Callable[..., frontier.Row] = measured_row,
    precisions: Sequence[Precision] = PRECISIONS,
    more: Sequence[object] = (),
) -> None:
    """A row for each precision, by `row`; `more`: what its result depends on beside the bundle's weights."""
    for precision in precisions:
        inputs = ["measure", sha_of(bundle), *more, precision, run.plan.to, run.plan.clips, run.plan.seconds]
        title = f"{name} in {precision}: storing, exporting, measuring"
        work = partial(row, run.measuring, name, bundle, precision, run.out)
        run.rows.append(run.once(f"{name}-{precision}", title, inputs, work))


def conclude(
    run: Run,
    source: Path,
    command: str,
    first: Sequence[frontier.Row],
    notes: Callable[[Run, Path, str], list[str]],
    unit: str = "chunk",
    quality: frontier.Quality = frontier.ACCURACY,
) -> dict[str, Any]:
    """Differences to the best of `first`, what there was before, by validation; then as `written`."""
    reference = max(first, key=lambda row: row["stored"].get("val") or 0.0)
    subjects = {s.id: s.subject for s in run.measuring.splits["test"]}
    for row in run.rows:
        for form in frontier.FORMS:
            row[form]["difference"] = frontier.difference(row[form], reference["stored"], subjects)
    seen = frontier.shown(reference["stored"])
    facts = {
        "step": reference["step"],
        "accuracy": seen[0] if seen else None,
        "val": reference["stored"].get("val"),
        "people": "test" if reference["stored"].get("test") is not None else "validation",
    }
    return written(run, source, command, facts, notes(run, source, reference["step"]), unit, quality)


def written(
    run: Run,
    source: Path,
    command: str,
    reference: Mapping[str, Any],
    notes: Sequence[str],
    unit: str,
    quality: frontier.Quality,
) -> dict[str, Any]:
    """The choice, the table and the figure, in the folder; returns what `frontier.json` holds.

    `reference`: what steps are compared with, its value on validation as "val"; `unit`: what latencies are of.
    """
    plan, rows = run.plan, run.rows
    wishes = (plan.target_bytes, plan.max_drop)
    chosen = frontier.choose(rows, reference["val"], *wishes, quality) if plan.chooses else {}
    document = {
        "bundle": str(source),
        "command": command,
        "target_bytes": plan.target_bytes,
        "max_drop": plan.max_drop,
        "reference": dict(reference),
        "chosen": chosen,
        "rows": [_bare(row) for row in rows],
        "notes": list(notes),
        "unit": unit,
        "machine": machine.text(machine.describe()),
    }
    keep_best(run.out, rows, chosen)
    write_whole(run.out / "frontier.json", (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode())
    quality.draw(document, run.out / "frontier.png")
    write_whole(run.out / "frontier.md", frontier.markdown(document, quality).encode())
    return document


def _bare(row: frontier.Row) -> frontier.Row:
    """Without the single clips."""
    return {
        name: {k: v for k, v in one.items() if k != "hits"} if isinstance(one, dict) else one
        for name, one in row.items()
    }


def _notes(run: Run, source: Path, reference: str) -> list[str]:
    """What must be known to read the table."""
    notes = [
        *people_notes(run, source, reference),
        "Stored: the weights' file, sparse where smaller, run by PyTorch in 32 bits. Runnable: the network exported to "
        f"{run.plan.to}, its streaming step where it has one, one zip; latency is that of a chunk (else of a window).",
    ]
    bundle = io.read(source, ClipManifest)
    if not slimmable(io.load_weights(bundle)):
        notes.append("Not slimmed: that is for cnn3d, lstm and joint; this network keeps its channels.")
    if "val" not in bundle.manifest.provenance.clips:
        notes.append("The bundle was trained on the validation people, too: its drop on validation looks too large.")
    return notes + not_exported(run)


def people_notes(run: Run, source: Path, reference: str) -> list[str]:
    """Whom the numbers are from, and whether the training met them."""
    splits = run.measuring.splits
    origin = io.read_any(source).manifest.provenance
    met = people_warnings(splits["test"], origin, run.measuring.layout or origin.layout) if splits["test"] else []
    people = {name: len({s.subject for s in part if s.subject is not None}) for name, part in splits.items()}
    return [
        f"Training part: {len(splits['train']):,} clips of {people['train']} people; chosen by {len(splits['val']):,} "
        f"of {people['val']}, accuracy on {len(splits['test']):,} of {people['test']} with its 95 % interval.",
        f"Differences of each file in points to {frontier.LINE.format(step=reference)}, on the same test clips, 95 % "
        "interval clustered by person.",
        *(f"Test part: {warning}" for warning in met),
    ]


def not_exported(run: Run, why: str = "the top class was not PyTorch's on every clip") -> list[str]:
    """A note, where some network could not be exported."""
    if any("reason" in row["runnable"] for row in run.rows):
        return [f"Not exported: {why}; frontier.json gives the reason."]
    return []


def keep_best(out: Path, rows: Sequence[Mapping[str, Any]], chosen: Mapping[str, Any]) -> None:
    """What was chosen of each form, at out/best: the stored bundle as a folder, the runnable one as a zip.

    Where nothing was chosen, an earlier run's choice goes.
    """
    if chosen.get("stored") is None:
        if (out / BEST["stored"]).exists():
            shutil.rmtree(out / BEST["stored"])
    else:
        opened = io.read_any(out / rows[chosen["stored"]]["stored"]["bundle"])
        files = {n: opened.read(a, n) for a in opened.manifest.artifacts for n in (a.file, *a.companions)}
        io.write(out / BEST["stored"], opened.manifest, files)
    if chosen.get("runnable") is None:
        (out / BEST["runnable"]).unlink(missing_ok=True)
    else:
        io.save_zip(io.read_any(out / rows[chosen["runnable"]]["runnable"]["bundle"]), out / BEST["runnable"])


def sha_of(bundle: Path) -> str:
    """What is in a bundle: the digest of its weights, and its recipe."""
    opened = io.read_any(bundle)
    weights = opened.find("weights", "torch")
    if weights is None:
        raise GestaError(f"{bundle}: has no weights, only exported networks. Use the bundle that training left.")
    recipe = json.dumps(opened.manifest.recipe, sort_keys=True)
    return hashlib.sha256((weights.sha256 + recipe).encode()).hexdigest()


def check_out(out: Path, source: Path) -> None:
    """Raises GestaError where `out` holds something else, or is the bundle itself."""
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / "steps").is_dir())):
        raise GestaError(f"{out}: is there already and is not a folder of gesta compress. Choose another --out.")
    if out.resolve() == source.resolve():
        raise GestaError(f"{out}: is the bundle itself. Choose another --out.", usage=True)
