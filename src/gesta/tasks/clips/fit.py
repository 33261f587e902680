"""Training in one call: from samples and a recipe to a bundle."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from lightning.pytorch.callbacks import Callback

from gesta.clips.cache import ClipCache
from gesta.clips.fallbacks import notes as fallback_notes
from gesta.clips.transform import Transform
from gesta.progress import bar
from gesta.schema import Clip, GestaError, Problem, Sample
from gesta.sources.split import without_validation
from gesta.tasks.clips import continuous
from gesta.tasks.clips.choose import learned
from gesta.tasks.clips.context import before
from gesta.tasks.clips.data import ClipSet
from gesta.tasks.clips.distil import Teacher, precompute_targets
from gesta.tasks.clips.evaluate import identities
from gesta.tasks.clips.facts import resolve_for, resolve_padding, transform_for
from gesta.tasks.clips.learn import Job, Learned, Warm, tried
from gesta.tasks.clips.manifest import ClipManifest
from gesta.tasks.clips.recipe import ClipRecipe
from gesta.training.checkpoints import full_disk_explained
from gesta.training.data import TrainingData
from gesta.training.machine import accelerator_of
from gesta.training.run import Fitted, Run, clear
from gesta.training.save import provenance_of, write_bundle
from gesta.training.stage import precision_for
from gesta.words import counted


class Cache(Protocol):
    """The part of gesta.clips.cache.ClipCache that training uses."""

    def fill(
        self, samples: Iterable[Sample], transform: Transform, progress: Callable[[int, int], None] | None = None
    ) -> tuple[Problem, ...]: ...

    def load(self, sample: Sample, transform: Transform) -> Clip: ...

    def fingerprint(self, sample: Sample) -> str: ...


def fit(
    samples: Sequence[Sample],
    recipe: ClipRecipe,
    run: Run,
    *,
    layout: str,
    cache: Cache | None = None,
    warm: Warm | None = None,
    teachers: Sequence[Teacher] = (),
    callbacks: Sequence[Callback] = (),
) -> Fitted:
    """Trains on the samples of split "train", selects the epoch on "val", and writes the bundle to run.out/bundle.

    Without validation samples the last epoch is kept. Broken recordings are skipped and reported. Also written:
    checkpoints, logs and history.png. A resumed training ends as it would have without the interruption. `warm`:
    network to continue from instead of a new one; `teachers`: the opened teachers of the recipe's distillation;
    `callbacks`: Lightning callbacks, called before an epoch is saved. Raises GestaError for data that cannot be learned
    from, a recipe that does not fit the machine, another run's checkpoint, a loss that is not finite, or a full disk.
    """
    precision_for(recipe.training.precision, run.device)
    samples = _with_splits(samples, recipe)
    used, labels = _usable(samples, recipe)
    recipe, picked = resolve_for(used, recipe)
    transform = (None if warm is None else warm.transform) or transform_for(recipe, used)
    if warm is None:
        recipe = resolve_padding(recipe)
        tried(recipe, transform, len(labels))
    store, started = cache or ClipCache(), time.perf_counter()
    with full_disk_explained(run.out):
        run.out.mkdir(parents=True, exist_ok=True)
        if recipe.continuous is not None:
            labels, good, skipped, data = _passages(used, labels, transform, recipe, run)
        else:
            labels, good, skipped, data = _clips(samples, used, transform, store, recipe, run)
            if run.followed:
                data.test = _test_clips(samples, labels, transform, store, run.progress)
        clear(run)
        taught = {} if recipe.continuous is not None else _taught(data.train, recipe, teachers, run, store)
        trained = learned(Job(recipe, transform, labels, data, run, warm, teachers, callbacks))
        trained = replace(trained, metrics=trained.metrics | taught)
        if trained.rank == 0:
            trained = _write(trained, good, run, layout, store, len(skipped), data.val)
    seconds = time.perf_counter() - started
    return Fitted(
        run.out / "bundle",
        trained.metrics,
        trained.history,
        seconds,
        trained.recipe,
        skipped,
        (),
        tuple(picked),
        trained.rank,
        trained.network,
    )


def prepare(samples: Sequence[Sample], recipe: ClipRecipe, progress: Any = None) -> tuple[Problem, ...]:
    """Preprocesses every labeled clip as `fit` would, and the test part for evaluation.

    Raises GestaError for data that cannot be learned from, and (usage) for a recipe that joins clips during training.
    """
    if recipe.continuous is not None:
        raise GestaError(
            f"recipe {recipe.name}: joins recordings during training; there is nothing to preprocess.", usage=True
        )
    samples = _with_splits(samples, recipe)
    used, _ = _usable(samples, recipe)
    recipe, _ = resolve_for(used, recipe)
    wanted = [sample for sample in samples if sample.label is not None]
    if recipe.augmentation.context > 0:
        wanted += [early for rests in before(samples).values() for early in rests]
    return ClipCache().fill(wanted, transform_for(recipe, used), progress)


def _with_splits(samples: Sequence[Sample], recipe: ClipRecipe) -> Sequence[Sample]:
    """Moves validation samples to training if the recipe has no validation."""
    return samples if recipe.training.validation else without_validation(samples)


def _clips(
    samples: Sequence[Sample],
    used: Sequence[Sample],
    transform: Transform,
    store: Cache,
    recipe: ClipRecipe,
    run: Run,
) -> tuple[tuple[str, ...], list[Sample], tuple[Problem, ...], TrainingData[Any]]:
    """Returns (classes, usable clips, problems of the others, the training and validation data)."""
    good, broken = _preprocessed(used, transform, store, run.progress)
    good, labels = _usable(good, recipe, broken)
    earlier = before(samples)
    if recipe.augmentation.context > 0:
        _preprocessed([e for rests in earlier.values() for e in rests], transform, store, run.progress)
    skipped = broken + _unknown_classes(samples, labels)
    return labels, good, skipped, _data(good, earlier, labels, transform, store, recipe, run.seed)


def _test_clips(
    samples: Sequence[Sample], labels: tuple[str, ...], transform: Transform, store: Cache, progress: bool
) -> ClipSet:
    """Returns the usable test clips of the known classes."""
    good, _ = _preprocessed([s for s in samples if s.split == "test" and s.label in labels], transform, store, progress)
    return ClipSet(good, labels, transform, store)


def _passages(
    used: Sequence[Sample], labels: tuple[str, ...], transform: Transform, recipe: ClipRecipe, run: Run
) -> tuple[tuple[str, ...], list[Sample], tuple[Problem, ...], TrainingData[Any]]:
    """Like `_clips`, for continuous recipes: continuous recordings, joined from clips if necessary."""
    with bar("join", run.progress) as tick:
        data, broken = continuous.data_of(used, labels, transform, recipe, run.seed, tick)
    lost = {problem.path for problem in broken}
    good = [s for s in used if str(s.files[0]) not in lost]
    return labels, good, tuple(broken), data


def _write(
    learned: Learned,
    samples: Sequence[Sample],
    run: Run,
    layout: str,
    store: Cache,
    skipped: int,
    val: Any,
) -> Learned:
    """Writes the bundle with its provenance to run.out/bundle. For continuous recipes, chooses the decoder first."""
    files = sorted(store.fingerprint(s) for s in samples if s.split == "train")
    origin = provenance_of(
        samples,
        run,
        layout=layout,
        data="".join(files).encode(),
        identities=lambda used: identities(used, store),
        skipped=skipped,
        seconds=sum(row["seconds"] for row in learned.history),
    )
    fields: dict[str, Any] = {}
    if learned.recipe.continuous is not None:
        fields["decoder"], found = continuous.decoded(learned.network, val)
        learned = replace(learned, metrics=learned.metrics | found)
    fields |= {"labels": learned.labels, "transform": learned.transform, "metrics": learned.metrics}
    notes = fallback_notes(learned.transform, samples)
    write_bundle(run.out / "bundle", ClipManifest, learned.network, learned.recipe, origin, notes=notes, **fields)
    return learned


def _taught(train: ClipSet, recipe: ClipRecipe, teachers: Sequence[Teacher], run: Run, store: Cache) -> dict[str, Any]:
    """Computes the teachers' answers to the training clips, if the recipe has distillation."""
    device = accelerator_of(run.device)
    return precompute_targets(
        train,
        recipe.distillation,
        teachers,
        device,
        lambda clips, transform: _preprocessed(clips, transform, store, run.progress)[1],
    )


def _usable(
    samples: Sequence[Sample], recipe: ClipRecipe, skipped: Sequence[Problem] = ()
) -> tuple[list[Sample], tuple[str, ...]]:
    """Returns labeled samples for training and validation, and the classes. Raises GestaError for too few classes."""
    if recipe.continuous is not None:
        labels = continuous.labels_of(samples)
        return [s for s in samples if s.split in ("train", "val") and s.label is not None], labels
    train = [s for s in samples if s.split == "train" and s.label is not None]
    labels = tuple(sorted({str(s.label) for s in train}))
    if len(labels) < 2:
        found = f"only the class {labels[0]!r}" if labels else "no labeled recording"
        broken = f" {len(skipped)} could not be used, the first: {str(skipped[0]).rstrip('.')}." if skipped else ""
        raise GestaError(
            f"The training part contains {found}; at least two classes are needed.{broken} "
            "Add recordings of another class, or see `gesta data inspect DATA` for what was skipped."
        )
    val = [s for s in samples if s.split == "val" and s.label in labels]
    return train + val, labels


def _unknown_classes(samples: Sequence[Sample], labels: Sequence[str]) -> tuple[Problem, ...]:
    """Returns a problem for each validation clip whose class has no training clip; these clips are left out."""
    strange = [s for s in samples if s.split == "val" and s.label is not None and s.label not in labels]
    return tuple(
        Problem(str(s.files[0]), "unknown-class", f"is of class {s.label!r}, which has no training clips")
        for s in strange
    )


def _preprocessed(
    samples: Sequence[Sample], transform: Transform, store: Cache, progress: bool
) -> tuple[list[Sample], tuple[Problem, ...]]:
    """Fills the cache; returns the usable samples, and a problem for each of the others."""
    with bar("prepare", progress) as tick:
        problems = store.fill(samples, transform, tick)
    if not problems:
        return list(samples), ()
    doubtful = {problem.path for problem in problems}
    return [s for s in samples if str(s.files[0]) not in doubtful or _loads(s, transform, store)], problems


def _loads(sample: Sample, transform: Transform, store: Cache) -> bool:
    try:
        store.load(sample, transform)
    except GestaError:
        return False
    return True


def _data(
    samples: Sequence[Sample],
    earlier: Mapping[str, Sequence[Sample]],
    labels: Sequence[str],
    transform: Transform,
    store: Cache,
    recipe: ClipRecipe,
    seed: int,
) -> TrainingData:
    train = [s for s in samples if s.split == "train"]
    val = [s for s in samples if s.split == "val"]
    if len(train) < 2:
        raise GestaError(
            f"Only {counted(len(train), 'training clip')} can be used; at least two are needed. Add recordings."
        )
    return TrainingData(
        ClipSet(train, labels, transform, store, recipe.augmentation, seed, before=earlier),
        ClipSet(val, labels, transform, store),
        int(recipe.training.batch),
        seed,
    )
