"""Training steps of the compression pipeline: each runs once, here or on a cluster, and is stored with its key."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from gesta.bundle import io
from gesta.compression import frontier
from gesta.compression.channels import ChannelPruning, prune_channels
from gesta.compression.measure import Measuring
from gesta.compression.plan import Plan, named
from gesta.compression.prune import Pruning, prune
from gesta.compression.store import weights_of
from gesta.files import read_json, write_json
from gesta.jobs.job import Job
from gesta.jobs.run import run_jobs
from gesta.schema import GestaError
from gesta.tasks import catalog
from gesta.tasks.base import Parts, has
from gesta.training.run import Run

Say = Callable[[str], None]


@dataclass
class Pipeline:
    """State of one run on a folder: its inputs, and the rows so far."""

    measuring: Measuring
    run: Run
    teachers: tuple[str, ...]
    say: Say
    rows: list[frontier.Row] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.out / "steps").mkdir(parents=True, exist_ok=True)  # lets `check_out` recognize an interrupted run

    @property
    def out(self) -> Path:
        return self.run.out

    @property
    def plan(self) -> Plan:
        return self.measuring.plan

    def key(self, inputs: Sequence[object]) -> str:
        """Returns a hash that identifies a step with these inputs."""
        return hashlib.sha256(json.dumps([*inputs, self.measuring.identity], default=str).encode()).hexdigest()

    def trained(self, step: Training) -> Path:
        """Returns the path of a step's bundle, after training it unless an earlier run or a worker has done so."""
        out, parts = self.out / "networks" / step.name, self.measuring.parts
        work = partial(train_step, step.source, out, step.how, parts, self.run)
        self.once(step.name, step.title, step.inputs, lambda: work()["result"])
        return out

    def once(self, name: str, title: str, inputs: Sequence[object], work: Callable[[], dict[str, Any]]) -> Any:
        """Returns the result of `work`, or of an earlier run with the same inputs whose bundles still exist."""
        key = self.key(inputs)
        file = self.out / "steps" / f"{name}.json"
        found = read_json(file) or {}
        if found.get("key") == key and all((self.out / made / io.MANIFEST).exists() for made in found["made"]):
            return found["result"]
        self.say(title)
        result = work()
        done = {"key": key, "made": result.get("made", []), "result": result}
        write_json(file, done)
        return result


@dataclass(frozen=True)
class Training:
    """A step that prunes and fine-tunes `source`, writing to networks/NAME."""

    name: str
    title: str
    source: Path
    how: ChannelPruning | Pruning
    inputs: Sequence[object]


def train_step(source: Path, out: Path, how: ChannelPruning | Pruning, parts: Parts, run: Run) -> dict[str, Any]:
    """Runs a step and returns its result in the form `Pipeline.once` stores; also used as a job."""
    if isinstance(how, ChannelPruning):
        prune_channels(source, out, how, parts=parts, run=run, precision="fp32")
    else:
        prune(source, out, how, parts=parts, run=run, precision="fp32")
    made = [f"networks/{out.name}"]
    return {"made": made, "result": {"made": made}}


def waves(work: Pipeline, own: str, bundle: Path, sizes: Sequence[int], whole: bool) -> Iterator[list[Training]]:
    """Yields groups of steps that can be trained in parallel; each wave starts from the results of the previous one."""
    steps, before = prunings(work, own, bundle, bundle) if whole else [], bundle
    for size in sizes:
        step = channel_pruning(work, before, size, bundle)
        yield [*steps, step]
        before = work.out / "networks" / step.name
        steps = prunings(work, step.name, before, bundle)
    yield steps


def channel_pruning(work: Pipeline, source: Path, size: int, bundle: Path) -> Training:
    """Returns the step that prunes channels of the source to `size` parameters, gradually enough."""
    plan, name = work.plan, named(size, catalog.read_bundle(bundle).manifest.parameters)
    factor = catalog.read_bundle(source).manifest.parameters / size
    steps = max(plan.steps, math.ceil(math.log(factor) / math.log(8)))  # an eighth of a layer's channels is kept
    how = ChannelPruning(parameters=size, steps=steps, epochs=plan.epochs, sets=_sets(work, bundle))
    title = f"{name}: channel pruning to {size:,} parameters, {steps} x {plan.epochs} epochs"
    inputs = ["channels", sha_of(source), how, _taught_by(work, bundle), work.run.seed]
    return Training(name, title, source, how, inputs)


def prunings(work: Pipeline, name: str, source: Path, teacher: Path) -> list[Training]:
    """Returns the steps that prune the source according to the plan, at networks/NAME-pruned; empty if there are none.

    For tasks without channel pruning, several sparsities are tried if none is given, at networks/pruned-PERCENT.
    """
    plan, task = work.plan, work.measuring.task
    if "sparsity" not in task.options["compress"]:
        return []
    alone = not has(task, "can_prune_channels")
    weights = weights_of(task, catalog.read_bundle(source))[task.trained_stage]
    found = []
    for sparsity in plan.sparsities(weights, alone):
        step = f"pruned-{100 * sparsity:.3g}" if alone else f"{name}-pruned"
        how = Pruning(sparsity=sparsity, steps=plan.steps, epochs=plan.epochs, sets=_sets(work, teacher))
        told = f"{step}: {sparsity:.1%} of the weights, {plan.steps} x {plan.epochs} epochs"
        inputs = ["prune", sha_of(source), how, _taught_by(work, teacher), work.run.seed]
        found.append(Training(step, told, source, how, inputs))
    return found


def train_on_cluster(work: Pipeline, waves: Iterable[Sequence[Training]]) -> None:
    """Trains all steps, so that `Pipeline.trained` finds them finished. Measuring is done locally: latencies are only
    comparable on one otherwise idle computer. Raises GestaError if a step fails.
    """
    for steps in waves:
        jobs = []
        for step in steps:
            out, run = work.out / "networks" / step.name, replace(work.run, progress=False)
            arguments = {"source": step.source, "out": out, "how": step.how, "parts": work.measuring.parts, "run": run}
            function = "gesta.compression.steps:train_step"
            jobs.append(
                Job(
                    step.title,
                    function,
                    arguments,
                    work.key(step.inputs),
                    result=work.out / "steps" / f"{step.name}.json",
                    leaves=out / io.MANIFEST,
                )
            )
        run_jobs(jobs, told=lambda job, _: work.say(f"{job.title}: done"))


def _sets(work: Pipeline, teacher: Path) -> tuple[str, ...]:
    """Returns the changes to the fine-tuning recipe, including the teachers."""
    if not has(work.measuring.task, "distil"):
        return work.plan.sets
    teachers = [f"teacher={given}" for given in work.teachers or (str(teacher),)] if work.plan.distil else []
    return (*work.plan.recipe_sets, *teachers)


def _taught_by(work: Pipeline, teacher: Path) -> list[str]:
    return [sha_of(Path(one)) for one in work.teachers or (str(teacher),)] if work.plan.distil else []


def sha_of(bundle: Path) -> str:
    """Returns a hash of a bundle's weights and recipe."""
    opened = catalog.read_bundle(bundle)
    weights = opened.find("weights", "torch")
    if weights is None:
        raise GestaError(f"{bundle}: has no weights, only exported networks. Use the bundle that training wrote.")
    recipe = json.dumps(opened.manifest.recipe, sort_keys=True)
    others = [one.sha256 for one in opened.manifest.artifacts if one.role in ("weights", "counts") and one != weights]
    return hashlib.sha256("".join([weights.sha256, recipe, *sorted(others)]).encode()).hexdigest()
