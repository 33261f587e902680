"""The choice between a network, a metric-trained embedding, lookups among the training clips, and their votes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from torch import nn

from gesta.clips.transform import Transform
from gesta.models.nearest_vote import NearestVote
from gesta.schema import GestaError, Sample
from gesta.tasks.clips import baselines
from gesta.tasks.clips.baselines import EMBEDDING, FEW, FOLDS, NETWORK, VOTE, Answers, Comparison
from gesta.tasks.clips.data import ClipSet
from gesta.tasks.clips.learn import Job, Learned, trained
from gesta.tasks.clips.lookups import MEAN, NEIGHBOR, SKELETONS, Examples, Fold, examples_of, plain
from gesta.tasks.clips.recipe import ClipRecipe
from gesta.tasks.clips.recipe_model import SETTINGS_OF
from gesta.training.data import TrainingData


def learned(job: Job) -> Learned:
    """Trains the network; if the recipe asks for baselines and another candidate is better, returns that one."""
    model = job.recipe.model
    if job.warm is not None:
        return trained(job)
    if model.name == "nearest" or not model.examples:
        choice, votes = Choice(job), False
    else:
        alone = model.model_copy(update={"examples": None})
        choice, votes = Choice(replace(job, recipe=job.recipe.model_copy(update={"model": alone}))), True
    if model.name == "nearest" or compares(job.recipe, job.transform):
        return choice.best()
    return choice.voting(trained(choice.job)) if votes else trained(job)


def compares(recipe: ClipRecipe, transform: Transform) -> bool:
    """Returns whether the network is compared with lookups: not if external, distilled, fused, or of one window."""
    brought = recipe.model.is_outside or recipe.distillation is not None
    return recipe.baselines and not brought and not transform.fused and transform.sampling != "central"


@dataclass(frozen=True)
class Choice:
    """All candidates of one training: their answers to the same clips, and the best of them."""

    job: Job

    @cached_property
    def examples(self) -> list[Examples]:
        return examples_of(self.job.recipe, self.job.data)

    @cached_property
    def folds(self) -> list[Fold]:
        """Training clips to hold out; empty if there is a validation part."""
        return [] if len(self.job.data.val) else baselines.held_out(self.examples[0].train.samples, FOLDS)

    @property
    def asked(self) -> list[Sample]:
        """The clips on which all candidates are evaluated, in the order of their answers."""
        samples = self.examples[0].train.samples
        return list(self.job.data.val.samples) or [samples[i] for _, out in self.folds for i in out]

    @property
    def few(self) -> bool:
        return len(self.job.data.train) < FEW * len(self.job.labels)

    @property
    def votes(self) -> bool:
        """Whether the network can vote with its own kind of lookup."""
        return self.few and self.recipe.model.name in SETTINGS_OF["examples"]

    @property
    def recipe(self) -> ClipRecipe:
        return self.job.recipe

    @cached_property
    def candidates(self) -> dict[str, Job]:
        """The candidates that are trained, by name."""
        model = self.recipe.model
        if model.name == "nearest":
            return {}
        found = {NETWORK: self.job}
        if self.few and model.head is None and model.name in SETTINGS_OF["head"]:
            recipe = self.recipe.model_copy(update={"model": model.model_copy(update={"head": "prototypes"})})
            run = replace(self.job.run, out=self.job.run.out / EMBEDDING)
            found[EMBEDDING] = replace(self.job, recipe=recipe, run=run)
        return found

    def best(self) -> Learned:
        """Returns the delivered candidate, with the comparison in its metrics."""
        if self.recipe.deliver is not None:
            return self._settled(self.recipe.deliver)
        if not self.asked:
            return self._unmeasured()
        answers = baselines.lookups(self.examples, self.folds)
        done: dict[str, Learned] = {}
        for name, job in self.candidates.items():
            if len(self.job.data.val):
                done[name] = trained(job)
                answers[name] = baselines.answers_of(done[name].network, plain(self.job.data.val))
            elif self.few:
                answers[name] = self._held_out(job)
            if name in answers and baselines.all_right(answers[name], self.asked, self.job.labels):
                break  # ties go to the first candidate, so no later one could win
        if self.votes:
            answers |= baselines.voted(answers)
        where = "the validation part" if len(self.job.data.val) else "training clips held out in turn"
        settled = NETWORK if self.candidates and NETWORK not in answers else None
        labels = self.job.labels
        return self._delivered(baselines.comparison(answers, self.asked, labels, where=where, settled=settled), done)

    def _unmeasured(self) -> Learned:
        """Chooses with one clip per class: nothing can be held out."""
        done: dict[str, Learned] = {}
        if self.votes and self.candidates and len(self.examples) == 1:
            done[NETWORK] = trained(self.job)
        fits = done[NETWORK].history[-1].get("train_accuracy", 0.0) if done else 0.0
        name = baselines.unmeasured(self.examples, fits) if self.few else NETWORK
        return self._delivered(Comparison(len(self.job.labels), {}, 0, "nothing could be held out", name), done)

    def _settled(self, name: str) -> Learned:
        """Returns a candidate by name. Raises GestaError (usage) if this training does not have it."""
        lookups = [kind + seen.name for kind in (NEIGHBOR, MEAN) for seen in self.examples]
        learners = [*self.candidates, *([one + VOTE for one in self.candidates] if self.votes else [])]
        if name not in (*learners, *lookups):
            there = ", ".join((*learners, *lookups))
            raise GestaError(f"deliver={name}: this training cannot deliver it; choose from {there}.", usage=True)
        return self._delivered(Comparison(len(self.job.labels), {}, 0, "the recipe decides it", name), {})

    def _held_out(self, job: Job) -> Answers:
        """Returns the candidate's answers to each fold's held-out clips, trained on the others."""
        found, clips = [], replace(job.data.train, samples=self.examples[0].train.samples)
        for number, (rest, out) in enumerate(self.folds):
            train, val = (replace(clips, samples=[clips.samples[i] for i in part]) for part in (rest, out))
            data: TrainingData[ClipSet] = TrainingData(train, replace(val, samples=[]), job.data.batch, job.data.seed)
            run = replace(job.run, out=job.run.out / "held-out" / str(number))
            one = trained(replace(job, data=data, run=run, callbacks=()))
            found.append(baselines.answers_of(one.network, plain(val)))
        return np.concatenate(found)

    def _delivered(self, found: Comparison, done: dict[str, Learned]) -> Learned:
        name = found.delivered
        if name.startswith((NEIGHBOR, MEAN)):
            one = self._looked_up(name, done.get(NETWORK))
        else:
            learner = name.removesuffix(VOTE)
            one = done[learner] if learner in done else trained(self.candidates[learner])
            one = self.voting(one) if name.endswith(VOTE) else one
        measured = (
            {"val_accuracy": found.accuracies[name]} if name in found.accuracies and len(self.job.data.val) else {}
        )
        return replace(one, metrics={**one.metrics, **measured, "baselines": found.document})

    def _looked_up(self, name: str, beaten: Learned | None) -> Learned:
        seen = next(one for one in self.examples if one.name == (SKELETONS if name.endswith(SKELETONS) else ""))
        network = seen.network(means=name.startswith(MEAN))
        history, rank = ([], 0) if beaten is None else (beaten.history, beaten.rank)
        metrics: dict[str, Any] = {"best_epoch": 0, "epochs": len(history), "val_clips": len(self.job.data.val)}
        recipe = seen.bundle_recipe(network)
        return Learned(network, recipe, self.job.labels, metrics, history, seen.transform, rank)

    def voting(self, one: Learned) -> Learned:
        """Returns a trained network that votes with all training clips."""
        lookup = self.examples[0].network(means=False)
        model = one.recipe.model.model_copy(update={"examples": len(lookup.examples)})
        network: nn.Module = NearestVote(one.network, lookup)
        return replace(one, network=network, recipe=one.recipe.model_copy(update={"model": model}))
