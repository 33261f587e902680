"""A search whose trials are jobs: the trials of a round run in parallel on a cluster, one round after another.

Only this process reads and updates the study; workers train. A trial's values depend on its place, the seed and the
previous rounds, so the search is the same as in a single process.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gesta.experiments import tune
from gesta.experiments.parallel import Job, key_of, run_jobs
from gesta.tasks import catalog
from gesta.tasks.base import Parts

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import Trial


def search_on_cluster(search: tune.Search, study: Study, parts: Parts, out: Path, told: tune.Told | None) -> None:
    """Runs the missing trials. If a trial fails, raises GestaError once the others of its round have ended."""
    _fail_running(study)
    for number in range(search.rounds):
        trials = {tune.begin(study, trial, search)[0]: trial for trial in _new(study, (number + 1) * search.trials)}
        jobs = {place: _job(study, search, parts, out, place, trial.params) for place, trial in trials.items()}
        by_key = {job.key: place for place, job in jobs.items()}

        def ended(
            job: Job, found: dict[str, Any], by_key: Mapping[str, int] = by_key, trials: Mapping[int, Trial] = trials
        ) -> None:
            place = by_key[job.key]
            _tell(study, search, trials[place], found)
            if told is not None:
                told(place, {**job.arguments["values"], **found})

        for place, job in jobs.items():
            if (found := job.finished()) is not None:  # the command was killed before it updated the study
                _tell(study, search, trials[place], found)
        run_jobs(list(jobs.values()), told=ended)


def _fail_running(study: Study) -> None:
    """Marks running trials of an earlier command as failed; they are redrawn in their places, with the same values."""
    from optuna.trial import TrialState

    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)


def _new(study: Study, total: int) -> Iterator[Trial]:
    """Yields new trials for those missing among the first `total`."""
    from optuna.trial import TrialState

    known = [trial for trial in study.get_trials(deepcopy=False) if trial.state != TrialState.FAIL]
    for _ in range(total - len(known)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # no heartbeat is needed: no other process uses this study
            yield study.ask()


def _job(study: Study, search: tune.Search, parts: Parts, out: Path, place: int, values: Mapping[str, float]) -> Job:
    key = key_of(study.study_name, place, values)
    plain = {name: getattr(search, name) for name in ("recipe", "rounds", "trials", "seed", "device")}
    arguments = {
        "task": search.task.name,
        "search": plain,
        "values": dict(values),
        "parts": parts,
        "folder": out / f"trial-{place}",
    }
    function = "gesta.experiments.tune_jobs:train_trial"
    return Job(f"trial {place}", function, arguments, key, out / "trials" / f"{place}.json")


def train_trial(
    task: str, search: Mapping[str, Any], values: dict[str, float], parts: Parts, folder: Path
) -> dict[str, Any]:
    """Job: trains once with these values. Returns its results, or only `diverged`."""
    return tune.train(tune.Search(catalog.find(task), **search), values, parts, folder)


def _tell(study: Study, search: tune.Search, trial: Trial, found: Mapping[str, Any]) -> None:
    from optuna.trial import TrialState

    for name, value in found.items():
        if name != "key":
            trial.set_user_attr(name, value)
    if "diverged" in found:
        study.tell(trial, state=TrialState.PRUNED)
    else:
        study.tell(trial, float(found[search.objective[0]]))
