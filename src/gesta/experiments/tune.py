"""Hyperparameter search for any task: rounds of random search, each in narrower ranges around the best trial so far.

Kazakos, section 4.4.3: three rounds of 50 trials; learning rate log-uniform in (0.001, 0.1), momentum log-uniform in
(0.8, 1), dropout uniform in (0, 0.1). **Decision**: each round halves the widths of the ranges (in the logarithm if
log-uniform), centered on the best trial, within the initial ranges. Hand pose uses these ranges and the validation mean
squared error; other tasks search around the recipe's learning rate, by their quality on the validation part.

Trials are kept in an Optuna storage, by default a file in the results folder: an interrupted search resumes, and
several workers, also on several machines, can share one search through `--storage URL`.
"""

from __future__ import annotations

import math
import random
import shutil
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import yaml

from gesta.experiments.parallel import key_of
from gesta.experiments.table import table
from gesta.experiments.trial import identity
from gesta.files import json_text, write_files
from gesta.leftovers import is_gone, this_process
from gesta.recipes import Recipe, changed
from gesta.schema import GestaError
from gesta.tasks.base import Parts, Task, Tuning
from gesta.training.run import Run

if TYPE_CHECKING:
    from optuna.storages import RDBStorage
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial

Told = Callable[[int, dict[str, Any]], None]
RunTrials = Callable[["Search", "Study", Parts, Path, Told | None], None]
HEARTBEAT_S = 30
ATTEMPTS = 5
PLACE, PROCESS = "place", "process"
"""Attributes of a trial: its number in the search, and the process working on it."""


@dataclass(frozen=True)
class Range:
    """A uniform or log-uniform distribution from `low` to `high`."""

    low: float
    high: float
    log: bool = False

    def narrowed(self, around: float, factor: float) -> Range:
        """Returns a range `factor` times as wide, centered on `around`, within this range."""
        if self.log:
            inner = Range(math.log(self.low), math.log(self.high)).narrowed(math.log(around), factor)
            return Range(max(self.low, math.exp(inner.low)), min(self.high, math.exp(inner.high)), True)
        half = factor * (self.high - self.low) / 2
        middle = min(max(around, self.low + half), self.high - half)
        return Range(middle - half, middle + half)


RATE = "training.learning_rate"
MOMENTUM = ("training.momentum", Range(0.8, 0.999, log=True))
"""Excludes 1, which is not a valid momentum."""
DROPOUT = ("model.dropout", Range(0.0, 0.5))
FACTOR = 10.0
"""The learning rate is searched from the recipe's value divided by this factor to its product with it."""


@dataclass(frozen=True)
class Search:
    """A search of `rounds` rounds with `trials` trials each. `seed`: for trials, validation split and trainings."""

    task: Task
    recipe: Any
    rounds: int = 3
    trials: int = 50
    seed: int = 0
    device: str = "auto"

    @property
    def total(self) -> int:
        return self.rounds * self.trials

    @property
    def space(self) -> dict[str, Range]:
        """Ranges to search, by recipe key: the task's own, or ranges around the recipe's learning rate.

        Includes momentum only if the optimizer has it, and other keys only if the recipe has them.
        """
        tuning: Tuning | None = getattr(self.task, "tuning", None)
        if tuning is not None:
            ranges = {key: Range(*bounds) for key, bounds in tuning.space.items()}
        else:
            ranges = dict([MOMENTUM, DROPOUT])
            if self._takes(RATE):
                rate = self.recipe.training.learning_rate
                ranges = {RATE: Range(rate / FACTOR, rate * FACTOR, log=True), **ranges}
        return {key: one for key, one in ranges.items() if self._takes(key)}

    def _takes(self, key: str) -> bool:
        section, _, name = key.partition(".")
        return hasattr(getattr(self.recipe, section, None), name) and (
            key != MOMENTUM[0] or self.recipe.training.optimizer == "sgd"
        )

    @property
    def objective(self) -> tuple[str, bool]:
        """(the training metric to optimize, whether higher is better)."""
        tuning: Tuning | None = getattr(self.task, "tuning", None)
        return (self.task.quality.trained, self.task.quality.higher) if tuning is None else (tuning.objective, False)

    @property
    def shown(self) -> tuple[str, ...]:
        """The training metrics to report."""
        return tuple(dict.fromkeys((self.objective[0], self.task.quality.trained)))


def tune(
    search: Search,
    parts: Parts,
    out: Path,
    *,
    storage: str | None = None,
    told: Told | None = None,
    run: RunTrials | None = None,
) -> dict[str, Any]:
    """Runs the missing trials of the search and writes best.yaml, table.md and result.json to `out`.

    Returns the document: recipe, rounds, metrics (those reported; the first is optimized), trials (number, round,
    values, metrics, epochs, seconds), best. `told(number, trial)` is called after each trial. `run` runs the trials
    (None: sequentially in this process). Raises GestaError if the recipe has nothing to search, the storage cannot be
    opened, there is no validation part, or every trial has diverged.
    """
    if not search.space:
        raise GestaError(
            f"recipe {search.recipe.name}: has no learning rate, momentum or dropout to search.", usage=True
        )
    if search.objective[0].startswith("val_") and not parts.of("val"):
        raise GestaError(
            "There is no validation part, by which trials are compared. Mark some samples as val, and leave out "
            "training.validation=false and input.validation=0 (for a text, --set input.validation=0.02).",
            usage=True,
        )
    study = open_study(search, parts, out, storage)
    (run or one_by_one)(search, study, parts, out, told)
    return _written(search, study, out)


def one_by_one(search: Search, study: Study, parts: Parts, out: Path, told: Told | None) -> None:
    """Runs the missing trials of the search that no other worker is running."""
    import optuna
    from optuna.trial import TrialState

    over = (TrialState.COMPLETE, TrialState.PRUNED)

    def objective(trial: Trial) -> float:
        place, values = begin(study, trial, search)
        found = train(search, values, parts, out / f"trial-{place}")
        for name, value in found.items():
            trial.set_user_attr(name, value)
        if told is not None:
            told(place, {**values, **found})
        if "diverged" in found:
            raise optuna.TrialPruned(found["diverged"])
        return float(found[search.objective[0]])

    while True:
        _fail_dead(study)
        trials = study.get_trials(deepcopy=False, states=(*over, TrialState.RUNNING))
        if len(trials) < search.total:
            study.optimize(objective, n_trials=1)
        elif any(_is_nobodys(trial) for trial in trials):
            time.sleep(1.0)  # it will be taken soon, or its worker died immediately
        else:
            break  # the last trials may still be running elsewhere


def open_study(search: Search, parts: Parts, out: Path, storage: str | None) -> Study:
    """Opens or creates the study for this recipe, data and seed. Raises GestaError."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    out.mkdir(parents=True, exist_ok=True)
    url = storage or f"sqlite:///{(out / 'study.db').resolve().as_posix()}"
    document = search.recipe.model_dump(mode="json")
    space = {key: [r.low, r.high, r.log] for key, r in search.space.items()}
    key = key_of(document, search.rounds, search.trials, search.seed, space, identity(parts))
    try:
        opened = _storage(url)
        direction: Literal["minimize", "maximize"] = "maximize" if search.objective[1] else "minimize"
        return optuna.create_study(
            storage=opened, study_name=f"{search.recipe.name} {key}", direction=direction, load_if_exists=True
        )
    except Exception as error:
        reason = str(error).strip().splitlines()[0]
        raise GestaError(
            f"--storage {url}: cannot be opened ({reason}). Give a database's URL, e.g. sqlite:///study.db or "
            "postgresql://user@host/name, or omit it.",
            usage=True,
        ) from error


def _storage(url: str) -> RDBStorage:
    """Opens or creates the database, retrying if workers that start together create it at the same time."""
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
        warnings.simplefilter("ignore")  # the heartbeat, which detects dead workers, is marked experimental
        return RDBStorage(url, heartbeat_interval=HEARTBEAT_S)


def _fail_dead(study: Study) -> None:
    """Marks trials as failed, to be drawn again, if their process on this computer is gone or if they had no heartbeat
    for two intervals."""
    from optuna.storages import fail_stale_trials
    from optuna.trial import TrialState

    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        age = datetime.now() - (trial.datetime_start or datetime.now())
        if is_gone(trial.user_attrs.get(PROCESS, "")) or (_is_nobodys(trial) and age.total_seconds() > 2 * HEARTBEAT_S):
            study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # marked experimental, like the heartbeat
        fail_stale_trials(study)


def _is_nobodys(trial: FrozenTrial) -> bool:
    """Returns whether a trial is running without a known worker, as right after it was drawn."""
    from optuna.trial import TrialState

    return trial.state == TrialState.RUNNING and PROCESS not in trial.user_attrs


def begin(study: Study, trial: Trial, search: Search) -> tuple[int, dict[str, float]]:
    """Assigns a trial to this process and returns its place and values."""
    trial.set_user_attr(PROCESS, this_process())
    place = _take_place(study, trial)
    return place, draw(study, trial, search, place)


def _take_place(study: Study, trial: Trial) -> int:
    """Takes the first free place in the search; if two trials take the same place at once, both try again."""
    while True:
        place = min(set(range(len(study.get_trials(deepcopy=False)))) - set(_places(study, trial)))
        trial.set_user_attr(PLACE, place)
        if place not in _places(study, trial):
            return place
        trial.set_user_attr(PLACE, None)
        time.sleep(random.uniform(0, 0.1))


def _places(study: Study, trial: Trial) -> list[int]:
    """Returns the places of the other trials; failed ones have none."""
    from optuna.trial import TrialState

    others = [t for t in study.get_trials(deepcopy=False) if t.number != trial.number and t.state != TrialState.FAIL]
    return [place_of(other) for other in others]


def place_of(trial: FrozenTrial) -> int:
    """Returns a trial's place in the search (its number in studies from older versions), or -1 if it has none yet."""
    place = trial.user_attrs.get(PLACE, trial.number if PROCESS not in trial.user_attrs else None)
    return -1 if place is None else int(place)


def ranges_of(study: Study, search: Search, number: int) -> dict[str, Range]:
    """Returns the ranges of a round, set for all workers by the first one to reach it."""
    known = study.user_attrs.get(f"round {number}")
    if known is None:
        best = _best(study, search)
        known = {}
        for key, first in search.space.items():
            one = first if best is None else first.narrowed(best.params[key], 0.5**number)
            known[key] = [one.low, one.high, one.log]
        study.set_user_attr(f"round {number}", known)
    return {key: Range(low, high, log) for key, (low, high, log) in known.items()}


def draw(study: Study, trial: Trial, search: Search, place: int) -> dict[str, float]:
    """Draws the trial's values, which depend only on the seed, its place and the round's ranges."""
    from optuna.samplers import RandomSampler

    number = min(place // search.trials, search.rounds - 1)
    trial.set_user_attr("round", number)
    seed = int(np.random.SeedSequence([search.seed, place]).generate_state(1)[0])
    study.sampler = RandomSampler(seed=seed)
    return {
        key: trial.suggest_float(key, one.low, one.high, log=one.log)
        for key, one in ranges_of(study, search, number).items()
    }


def train(search: Search, values: dict[str, float], parts: Parts, folder: Path) -> dict[str, Any]:
    """Runs one training and removes its folder. Returns its results, or only `diverged`. Raises GestaError."""
    from gesta.training.learner import LossNotFinite

    started = time.monotonic()
    recipe = changed(search.recipe, [f"{key}={value!r}" for key, value in values.items()])
    try:
        run = Run(folder, search.seed, device=search.device, progress=False)
        fitted = search.task.fit(parts, recipe, run, light=True)
    except LossNotFinite as error:
        return {"diverged": str(error), "seconds": time.monotonic() - started}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if search.objective[0] not in fitted.metrics:
        raise GestaError(
            f"recipe {recipe.name}: its training does not measure a validation part, so trials cannot be "
            "compared. Use data with a validation part, and a recipe that uses it."
        )
    kept = (*search.shown, "epochs", "best_epoch")
    return {**{name: fitted.metrics[name] for name in kept}, "seconds": time.monotonic() - started}


def _best(study: Study, search: Search) -> FrozenTrial | None:
    from optuna.trial import TrialState

    sign = -1 if search.objective[1] else 1
    good = [t for t in study.get_trials(deepcopy=False) if t.state == TrialState.COMPLETE and t.value is not None]
    return min(good, key=lambda t: (sign * float(t.value or 0.0), place_of(t)), default=None)


def _written(search: Search, study: Study, out: Path) -> dict[str, Any]:
    """Writes the documents of the trials so far. Raises GestaError if no trial has succeeded."""
    from optuna.trial import TrialState

    best = _best(study, search)
    states = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "diverged"}
    trials = [
        {"number": place_of(t), "state": states[t.state], **t.params, **_told(t)}
        for t in sorted(study.get_trials(deepcopy=False), key=place_of)
        if t.state in states
    ]
    if best is None:
        raise GestaError(
            f"All {len(trials)} trials diverged. Lower training.learning_rate or clip the gradient: "
            "--set training.gradient_clip=1."
        )
    recipe = changed(search.recipe, [f"{key}={value!r}" for key, value in best.params.items()])
    recipe = recipe.model_copy(update={"name": f"{search.recipe.name}-tuned"})
    files = {"recipe": out / "best.yaml", "table": out / "table.md", "result": out / "result.json"}
    document = {
        "recipe": search.recipe.name,
        "metrics": list(search.shown),
        "rounds": {name: value for name, value in sorted(study.user_attrs.items()) if name.startswith("round ")},
        "trials": trials,
        "missing": search.total - len(trials),
        "best": {"number": place_of(best), **best.params, **_told(best)},
        "files": {name: str(path) for name, path in files.items()},
    }
    texts = {"recipe": _yaml(recipe, document), "table": markdown(document), "result": json_text(document)}
    write_files(out, {path.name: texts[name] for name, path in files.items()})
    return document


def _told(trial: FrozenTrial) -> dict[str, Any]:
    """Returns the results of a trial, without its worker."""
    return {name: value for name, value in trial.user_attrs.items() if name not in (PLACE, PROCESS)}


def words(document: dict[str, Any], trial: dict[str, Any]) -> str:
    """Formats the metrics of a trial, e.g. "val mse 0.00123, val error mm 12.3"."""
    return ", ".join(f"{name.replace('_', ' ')} {trial[name]:.5g}" for name in document["metrics"])


def _yaml(recipe: Recipe, document: dict[str, Any]) -> str:
    best = document["best"]
    head = (
        f"# The best of {len(document['trials'])} trials of random search on {document['recipe']}.\n"
        f"# Measured: {words(document, best)} in {best['epochs']} epochs.\n"
    )
    return head + yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def markdown(document: dict[str, Any]) -> str:
    """Returns the trials as a Markdown table, best first, diverged ones last."""
    keys, metrics, best = [key for key in document["best"] if "." in key], document["metrics"], document["best"]
    names = [name.replace("_", " ") for name in metrics]
    titles = ["trial", "round", *(key.partition(".")[2] for key in keys), *names, "epochs", "minutes"]
    rows, decides = [], metrics[0]
    for trial in sorted(document["trials"], key=lambda t: abs(t.get(decides, math.inf) - best[decides])):
        cells = [str(trial["number"]), str(trial["round"] + 1), *(f"{trial[key]:.4g}" for key in keys)]
        good = [f"{trial[name]:.5g}" for name in metrics] + [str(trial["epochs"])] if decides in trial else []
        rows.append([*cells, *(good or ["diverged", *["-"] * len(metrics)]), f"{trial['seconds'] / 60:.1f}"])
    return table(titles, rows)
