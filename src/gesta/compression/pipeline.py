"""The compression pipeline: prune channels and weights, store in fewer bits, export, measure each step; resumable.

Output folder: `networks/` (trained bundles), `stored/` and `runnable/` (their weights files and exports by precision),
`steps/` (a JSON file per finished step, with a key of all its inputs), `best/` (the chosen bundles), `frontier.json`,
`.md` and `.png`.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from gesta.bundle import io
from gesta.compression import frontier
from gesta.compression.measure import Measuring, measured_row
from gesta.compression.plan import Plan
from gesta.compression.steps import Pipeline, Say, channel_pruning, prunings, sha_of, train_on_cluster, waves
from gesta.compression.store import weights_of
from gesta.compression.weights import Precision
from gesta.engines import host
from gesta.evaluation.people import people_warnings
from gesta.files import write_json, write_whole
from gesta.jobs.pool import on_cluster
from gesta.schema import GestaError
from gesta.tasks import catalog
from gesta.tasks.base import Parts, Task, has
from gesta.training.run import Run
from gesta.words import counted

BEST = {"stored": "best/stored", "runnable": "best/runnable.zip"}
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")


def compress(
    bundle: Path,
    plan: Plan,
    parts: Parts,
    run: Run,
    *,
    teachers: Sequence[str] = (),
    command: str = "",
    say: Say = lambda _text: None,
    **options: Any,
) -> dict[str, Any]:
    """Carries out `plan` in run.out; returns the content of `frontier.json`.

    `parts`: train for training, val for selection, test for measurement. `teachers`: bundles to distill from and to
    compare with; by default the bundle itself. `options`: those of the task's networks. If started again with the same
    arguments, finished steps are not repeated. Steps that the task or its network does not support (structured pruning,
    pruning) are skipped. Raises GestaError for invalid values, data without training samples or (for selection)
    validation samples, or a folder with other content.
    """
    plan.check()
    task, source = catalog.of_bundle(bundle)
    check_out(run.out, source.path)
    weights = weights_of(task, source, **options)
    by_channels = has(task, "can_prune_channels") and task.can_prune_channels(weights[task.trained_stage])  # type: ignore[attr-defined]
    if plan.keep and not by_channels:
        raise GestaError(
            "--keep needs a network whose channels can be pruned: cnn3d, lstm or cnn3d_lstm. For others use "
            "--sparsity.",
            usage=True,
        )
    measuring = Measuring(task, parts, plan, run.device, run.progress, options)
    _check_splits(measuring)
    work = Pipeline(measuring, run, tuple(map(str, teachers)), say)
    for number, teacher in enumerate(work.teachers, start=1):
        measure(work, f"teacher-{number}", Path(teacher), precisions=("fp32",))
    own = "start" if teachers or not has(task, "distil") else "teacher"
    measure(work, own, bundle)
    first = [row for row in work.rows if row["precision"] == "fp32"]
    parameters = source.manifest.parameters
    sizes = plan.sizes(parameters) if by_channels else []
    whole = not sizes or plan.prunes_start(parameters)
    if on_cluster():
        train_on_cluster(work, waves(work, own, bundle, sizes, whole))
    if whole:
        _pruned(work, own, bundle, bundle)
    before = bundle
    for size in sizes:
        step = channel_pruning(work, before, size, bundle)
        before = work.trained(step)
        measure(work, step.name, before)
        _pruned(work, step.name, before, bundle)
    return conclude(work, task, source.path, command, first, by_channels)


def _check_splits(measuring: Measuring) -> None:
    """Raises GestaError (usage) if there are no samples for training or for selection."""
    if not measuring.splits["train"]:
        raise GestaError("Compressing needs labeled training recordings, but the data have none.", usage=True)
    if measuring.plan.chooses and not measuring.splits["val"]:
        raise GestaError("Choosing needs validation recordings, but the data have none: mark some as val.", usage=True)


def _pruned(work: Pipeline, name: str, source: Path, teacher: Path) -> None:
    for step in prunings(work, name, source, teacher):
        measure(work, step.name, work.trained(step))


def measure(work: Pipeline, name: str, bundle: Path, precisions: Sequence[Precision] = PRECISIONS) -> None:
    """Adds a row for each precision."""
    more = work.measuring.task.identity(catalog.read_bundle(bundle)) if has(work.measuring.task, "identity") else ""  # type: ignore[attr-defined]
    for precision in precisions:
        inputs = ["measure", sha_of(bundle), more, precision, work.plan.to, work.plan.clips, work.plan.seconds]
        title = f"{name} in {precision}: storing, exporting, measuring"
        make = partial(measured_row, work.measuring, name, bundle, precision, work.out)
        work.rows.append(work.once(f"{name}-{precision}", title, inputs, make))


def conclude(
    work: Pipeline, task: Task, source: Path, command: str, first: Sequence[frontier.Row], by_channels: bool
) -> dict[str, Any]:
    """Computes differences to the best of the `first` rows, selects rows, and writes document, table and figure."""
    plan, quality, rows = work.plan, task.quality, work.rows
    sign = 1 if quality.higher else -1
    reference = max(first, key=lambda row: sign * (row["stored"].get("val") or 0.0))
    subjects = {s.id: s.subject for s in work.measuring.splits["test"]}
    for row in rows:
        for form in frontier.FORMS:
            row[form]["difference"] = frontier.difference(row[form], reference["stored"], subjects)
    seen = frontier.shown(reference["stored"])
    value = reference["stored"].get("val")
    constraints, options = (
        (plan.target_bytes, plan.max_drop),
        task.options["compress"] - ({"keep"} if not by_channels else set()),
    )
    chosen = frontier.choose(rows, value, *constraints, quality, options) if plan.chooses else {}
    people = "test" if reference["stored"].get("test") is not None else "validation"
    document = {
        "bundle": str(source),
        "command": command,
        "target_bytes": plan.target_bytes,
        "max_drop": plan.max_drop,
        "metric": quality.measured,
        "reference": {"step": reference["step"], "value": seen[0] if seen else None, "val": value, "people": people},
        "chosen": chosen,
        "rows": [_bare(row) for row in rows],
        "notes": _notes(work, source, reference["step"], by_channels),
        "unit": task.step_unit(catalog.read_bundle(source).manifest),
        "machine": host.text(host.describe()),
    }
    keep_best(work.out, rows, chosen)
    write_json(work.out / "frontier.json", document)
    frontier.draw(document, work.out / "frontier.png", quality)
    write_whole(work.out / "frontier.md", frontier.markdown(document, quality))
    return document


def _bare(row: frontier.Row) -> frontier.Row:
    """Returns the row without per-clip results."""
    return {
        name: {k: v for k, v in one.items() if k != "hits"} if isinstance(one, dict) else one
        for name, one in row.items()
    }


def _notes(work: Pipeline, source: Path, reference: str, by_channels: bool) -> list[str]:
    """Returns notes for reading the table, e.g. whose data were measured and whether these people were trained on."""
    task, splits = work.measuring.task, work.measuring.splits
    origin, layout = catalog.read_bundle(source).manifest.provenance, work.measuring.parts.listing.layout
    met = people_warnings(splits["test"], origin, layout or origin.layout) if splits["test"] else []
    people = {name: len({s.subject for s in part if s.subject is not None}) for name, part in splits.items()}
    notes = [
        f"Training part: {len(splits['train']):,} {task.unit} of {counted(people['train'], 'person', 'people')}; "
        f"chosen on {len(splits['val']):,} of {people['val']}, "
        f"measured on {len(splits['test']):,} of {people['test']}.",
        *(f"Test part: {warning}" for warning in met),
        "Stored: files of weights, sparse where that is smaller, run by PyTorch in 32 bits. Runnable: networks "
        f"exported to {work.plan.to}, with the streaming step if there is one, in one zip.",
    ]
    stored = catalog.read_bundle(work.out / work.rows[0]["stored"]["bundle"]).manifest.networks
    if len(stored) > 1:
        notes.append(f"Parameters and bytes are those of {' and '.join(one.stage for one in stored)} together.")
    if any(row[form].get("difference") for row in work.rows for form in frontier.FORMS):
        notes.append(
            f"Differences of each file in points to {frontier.LINE.format(step=reference)}, on the same test "
            f"{task.unit}, 95 % interval clustered by person."
        )
    if has(task, "prune_channels") and not by_channels:
        notes.append("No channels were pruned: this is possible for cnn3d, lstm and cnn3d_lstm only.")
    if "val" not in origin.clips:
        notes.append(
            "The original bundle was trained on the validation people, too, so losses on validation look too large."
        )
    if any("reason" in row["runnable"] for row in work.rows):
        notes.append("Not exported: the network did not agree with PyTorch; frontier.json gives the reason.")
    return notes


def keep_best(out: Path, rows: Sequence[Mapping[str, Any]], chosen: Mapping[str, Any]) -> None:
    """Saves the chosen bundles to out/best: the stored one as a folder, the runnable one as a zip.

    If nothing was chosen, an earlier run's choice is deleted.
    """
    if chosen.get("stored") is None:
        if (out / BEST["stored"]).exists():
            shutil.rmtree(out / BEST["stored"])
    else:
        opened = catalog.read_bundle(out / rows[chosen["stored"]]["stored"]["bundle"])
        files = {n: opened.read(a, n) for a in opened.manifest.artifacts for n in (a.file, *a.companions)}
        io.write(out / BEST["stored"], opened.manifest, files)
    if chosen.get("runnable") is None:
        (out / BEST["runnable"]).unlink(missing_ok=True)
    else:
        io.save_zip(catalog.read_bundle(out / rows[chosen["runnable"]]["runnable"]["bundle"]), out / BEST["runnable"])


def check_out(out: Path, source: Path) -> None:
    """Raises GestaError if `out` has other content or is the bundle itself."""
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / "steps").is_dir())):
        raise GestaError(f"{out}: already exists and is not a folder of gesta compress. Choose another --out.")
    if out.resolve() == source.resolve():
        raise GestaError(f"{out}: is the bundle itself. Choose another --out.", usage=True)
