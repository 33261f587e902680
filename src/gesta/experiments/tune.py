"""Search of hyperparameters for hand pose: rounds of random search, each in narrower ranges around the best so far.

Kazakos, section 4.4.3: three rounds of 50 trials; learning rate log-uniform in (0.001, 0.1), momentum log-uniform in
(0.8, 1), dropout uniform in (0, 0.1). **Decision**: every round halves the widths of the ranges (of the logarithm where
it is log-uniform), centred on the best trial, within the first ranges. Measured is the validation's mean squared error.

The trials lie in an Optuna storage, by default a file in the folder of results: a stopped search goes on, and several
workers, also on several machines, share one search through `--storage URL`.
"""

from __future__ import annotations

import json
import math
import shutil
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from gesta.experiments.parallel import key_of, write_json, write_text
from gesta.recipes import PoseRecipe, changed_poses
from gesta.schema import GestaError, HandFrame

if TYPE_CHECKING:
    from optuna.storages import RDBStorage
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial

HEARTBEAT_S = 30
ATTEMPTS = 5


@dataclass(frozen=True)
class Range:
    """Drawn evenly from `low` to `high`, or evenly in the logarithm."""

    low: float
    high: float
    log: bool = False

    def narrowed(self, around: float, factor: float) -> Range:
        """`factor` times as wide, centred on `around`, within this range."""
        if self.log:
            inner = Range(math.log(self.low), math.log(self.high)).narrowed(math.log(around), factor)
            return Range(max(self.low, math.exp(inner.low)), min(self.high, math.exp(inner.high)), True)
        half = factor * (self.high - self.low) / 2
        middle = min(max(around, self.low + half), self.high - half)
        return Range(middle - half, middle + half)


SPACE = {
    "training.learning_rate": Range(1e-3, 1e-1, log=True),
    "training.momentum": Range(0.8, 0.999, log=True),
    "model.dropout": Range(0.0, 0.1),
}
"""What is searched, by key of the recipe; 1 itself is no momentum."""


@dataclass(frozen=True)
class Search:
    """`trials` in each of `rounds`. `seed` draws the trials, the validation part and every training."""

    recipe: PoseRecipe
    rounds: int = 3
    trials: int = 50
    seed: int = 0
    device: str = "auto"

    @property
    def total(self) -> int:
        return self.rounds * self.trials

    @property
    def space(self) -> dict[str, Range]:
        """Momentum only where the optimiser has it."""
        sgd = self.recipe.training.optimizer == "sgd"
        return {key: range_ for key, range_ in SPACE.items() if sgd or key != "training.momentum"}


def tune(
    search: Search,
    frames: Sequence[HandFrame],
    out: Path,
    *,
    layout: str,
    joint_names: Sequence[str],
    storage: str | None = None,
    cache: Path | None = None,
    told: Callable[[int, dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Runs what is missing of the search and writes best.yaml, table.md and result.json in `out`.

    Returns the document: recipe, rounds, trials (number, round, values, val_mse, val_error_mm, epochs, seconds), best.
    `told(number, trial)` is called as each one ends. Raises GestaError for a storage that cannot be opened, or when
    every trial has diverged.
    """
    import optuna
    from optuna.trial import TrialState

    study = open_study(search, frames, out, storage)
    over = (TrialState.COMPLETE, TrialState.PRUNED)

    def objective(trial: Trial) -> float:
        values = _draw(study, trial, search)
        found = _train(search, values, frames, out, trial.number, layout, joint_names, cache)
        for name, value in found.items():
            trial.set_user_attr(name, value)
        if told is not None:
            told(trial.number, {**values, **found})
        if "diverged" in found:
            raise optuna.TrialPruned(found["diverged"])
        return float(found["val_mse"])

    while True:
        _fail_dead(study)
        states = [trial.state for trial in study.get_trials(deepcopy=False)]
        if sum(state in (*over, TrialState.RUNNING) for state in states) >= search.total:
            break  # the last ones may still run elsewhere
        study.optimize(objective, n_trials=1)
    return _written(search, study, out)


def open_study(search: Search, frames: Sequence[HandFrame], out: Path, storage: str | None) -> Study:
    """The search's study: of the same recipe, data and seed there is one. Raises GestaError."""
    import optuna

    from gesta.training.pose_save import frames_fingerprint

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    out.mkdir(parents=True, exist_ok=True)
    url = storage or f"sqlite:///{(out / 'study.db').resolve().as_posix()}"
    document = search.recipe.model_dump(mode="json")
    space = {key: [r.low, r.high, r.log] for key, r in search.space.items()}
    key = key_of(document, search.rounds, search.trials, search.seed, space, frames_fingerprint(frames))
    try:
        opened = _storage(url)
        return optuna.create_study(
            storage=opened, study_name=f"{search.recipe.name} {key}", direction="minimize", load_if_exists=True
        )
    except Exception as error:
        reason = str(error).strip().splitlines()[0]
        raise GestaError(
            f"--storage {url}: cannot be opened ({reason}). Give a database's URL, e.g. sqlite:///study.db or "
            "postgresql://user@host/name, or leave it out.",
            usage=True,
        ) from error


def _storage(url: str) -> RDBStorage:
    """The database, made where it is new. Workers that start together may all want to make it: then once more."""
    from sqlalchemy.exc import IntegrityError, OperationalError

    left = ATTEMPTS
    while True:
        try:
            return _opened(url)
        except (IntegrityError, OperationalError) as error:
            left -= 1
            if left == 0 or not any(word in str(error) for word in ("UNIQUE", "already exists", "locked")):
                raise
            time.sleep(1.0)


def _opened(url: str) -> RDBStorage:
    from optuna.storages import RDBStorage

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the heartbeat, by which dead workers are told, is called experimental
        return RDBStorage(url, heartbeat_interval=HEARTBEAT_S)


def _fail_dead(study: Study) -> None:
    """Trials without a heartbeat for two of its intervals have died: others are drawn in their place."""
    from optuna.storages import fail_stale_trials

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # called experimental, like the heartbeat
        fail_stale_trials(study)


def round_of(study: Study, number: int, trials: int) -> int:
    """The round of a trial, from 0: by how many before it are over or running; those that died do not count."""
    from optuna.trial import TrialState

    before = [t for t in study.get_trials(deepcopy=False) if t.number < number and t.state != TrialState.FAIL]
    return len(before) // trials


def ranges_of(study: Study, search: Search, number: int) -> dict[str, Range]:
    """The ranges of a round: those of the first worker that comes to it hold for all."""
    known = study.user_attrs.get(f"round {number}")
    if known is None:
        best = _best(study)
        known = {}
        for key, first in search.space.items():
            one = first if best is None else first.narrowed(best.params[key], 0.5**number)
            known[key] = [one.low, one.high, one.log]
        study.set_user_attr(f"round {number}", known)
    return {key: Range(low, high, log) for key, (low, high, log) in known.items()}


def _draw(study: Study, trial: Trial, search: Search) -> dict[str, float]:
    """The trial's values; they depend on the seed, its number and the round's ranges alone."""
    from optuna.samplers import RandomSampler

    number = min(round_of(study, trial.number, search.trials), search.rounds - 1)
    trial.set_user_attr("round", number)
    seed = int(np.random.SeedSequence([search.seed, trial.number]).generate_state(1)[0])
    study.sampler = RandomSampler(seed=seed)
    return {
        key: trial.suggest_float(key, one.low, one.high, log=one.log)
        for key, one in ranges_of(study, search, number).items()
    }


def _train(
    search: Search,
    values: dict[str, float],
    frames: Sequence[HandFrame],
    out: Path,
    number: int,
    layout: str,
    joint_names: Sequence[str],
    cache: Path | None,
) -> dict[str, Any]:
    """One training; its folder is removed. What it reached, or only `diverged`."""
    from gesta.training.pose_fit import fit_pose
    from gesta.training.task import LossNotFinite

    begun = time.monotonic()
    folder = out / f"trial-{number}"
    recipe = changed_poses(search.recipe, [f"{key}={value!r}" for key, value in values.items()])
    try:
        fitted = fit_pose(
            frames,
            recipe,
            folder,
            layout=layout,
            joint_names=joint_names,
            seed=search.seed,
            device=search.device,
            progress=False,
            cache=cache,
            save=False,
        )
    except LossNotFinite as error:
        return {"diverged": str(error), "seconds": time.monotonic() - begun}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    kept = ("val_mse", "val_error_mm", "epochs", "best_epoch")
    return {**{name: fitted.metrics[name] for name in kept}, "seconds": time.monotonic() - begun}


def _best(study: Study) -> FrozenTrial | None:
    from optuna.trial import TrialState

    good = [t for t in study.get_trials(deepcopy=False) if t.state == TrialState.COMPLETE and t.value is not None]
    return min(good, key=lambda t: (t.value, t.number), default=None)


def _written(search: Search, study: Study, out: Path) -> dict[str, Any]:
    """The documents of what is done so far. Raises GestaError if nothing has come of any trial."""
    from optuna.trial import TrialState

    best = _best(study)
    states = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "diverged"}
    trials = [
        {"number": t.number, "state": states[t.state], **t.params, **t.user_attrs}
        for t in study.get_trials(deepcopy=False)
        if t.state in states
    ]
    if best is None:
        raise GestaError(
            f"All {len(trials)} trials diverged. Lower the batch's size or clip the gradient: "
            "--set training.gradient_clip=1."
        )
    recipe = changed_poses(search.recipe, [f"{key}={value!r}" for key, value in best.params.items()])
    recipe = recipe.model_copy(update={"name": f"{search.recipe.name}-tuned"})
    files = {"recipe": out / "best.yaml", "table": out / "table.md", "result": out / "result.json"}
    document = {
        "recipe": search.recipe.name,
        "rounds": {name: value for name, value in sorted(study.user_attrs.items()) if name.startswith("round ")},
        "trials": trials,
        "missing": search.total - len(trials),
        "best": {"number": best.number, **best.params, **best.user_attrs},
        "files": {name: str(path) for name, path in files.items()},
    }
    write_text(files["recipe"], _yaml(recipe, document))
    write_text(files["table"], markdown(document))
    write_json(files["result"], json.loads(json.dumps(document)))
    return document


def _yaml(recipe: PoseRecipe, document: dict[str, Any]) -> str:
    best = document["best"]
    head = (
        f"# The best of {len(document['trials'])} trials of random search on {document['recipe']}.\n"
        f"# Measured: validation MSE {best['val_mse']:.5f}, {best['val_error_mm']:.2f} mm in {best['epochs']} epochs.\n"
    )
    return head + yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def markdown(document: dict[str, Any]) -> str:
    """The trials as a markdown table, best first; those that diverged last."""
    keys = [key for key in SPACE if key in document["best"]]
    titles = ["trial", "round", *(key.partition(".")[2] for key in keys), "val MSE", "val mm", "epochs", "minutes"]
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    for trial in sorted(document["trials"], key=lambda t: t.get("val_mse", math.inf)):
        good = trial["state"] == "complete"
        measured = [f"{trial['val_mse']:.5f}", f"{trial['val_error_mm']:.2f}", str(trial["epochs"])] if good else []
        cells = [str(trial["number"]), str(trial["round"] + 1), *(f"{trial[key]:.4g}" for key in keys)]
        lines.append("| " + " | ".join([*cells, *(measured or ["diverged", "-", "-"]), _minutes(trial)]) + " |")
    return "\n".join(lines) + "\n"


def _minutes(trial: dict[str, Any]) -> str:
    return f"{trial['seconds'] / 60:.1f}"
