"""Results of an evaluation, as numbers with counts and as sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from gesta import metrics
from gesta.schema import grouped
from gesta.web.messages import NONE
from gesta.web.messages_work import Alarms, GestureResult, Mistake, PersonResult, Results
from gesta.web.records import Record
from gesta.words import counted

FEW_PEOPLE = 5
ENOUGH_NOTHING_S = 300.0
SEED = 0


def answers_of(measured: dict[str, Any]) -> list[dict[str, Any]]:
    return [answer for fold in measured["folds"] for answer in fold["answers"]]


def results(measured: dict[str, Any], records: Sequence[Record], newer: int) -> Results:
    """Results from `measured.json`; `newer`: number of clips added or changed since training."""
    answers, alone = answers_of(measured), bool(measured.get("alone"))
    right = sum(one["truth"] == one["called"] for one in answers)
    labels = sorted(
        {one[part] for one in answers for part in ("truth", "called")}, key=lambda name: (name == NONE, name)
    )
    table = metrics.confusion(
        [labels.index(a["truth"]) for a in answers], [labels.index(a["called"]) for a in answers], len(labels)
    )
    people, alarms = _people(answers), _alarms([r for fold in measured["folds"] for r in fold["recordings"]])
    interval, how = _interval(answers, right)
    return Results(
        state="measured",
        done=len(measured["folds"]),
        of=len(measured["folds"]),
        right=right,
        n=len(answers),
        accuracy=right / len(answers) if answers else None,
        interval=interval,
        interval_how=how,
        people=people,
        gestures=_gestures(labels, table),
        labels=labels,
        confusion=table.tolist(),
        mistake=_mistake(answers, records),
        alarms=alarms,
        sentences=_sentences(people, alone, alarms, newer),
        gray=alone,
    )


def _interval(answers: Sequence[dict[str, Any]], right: int) -> tuple[tuple[float, float] | None, str]:
    """The wider of Wilson's interval and a bootstrap over people, as in `gesta evaluate`."""
    if not answers:
        return None, ""
    wilson = metrics.wilson(right, len(answers))
    subjects = [str(one["subject"]) for one in answers]
    if len(set(subjects)) < 2:
        return wilson, "Wilson's interval over clips"
    hits = [float(one["truth"] == one["called"]) for one in answers]
    people = metrics.bootstrap_by_person(hits, subjects, np.random.default_rng(SEED))
    if people[1] - people[0] > wilson[1] - wilson[0]:
        return people, "by a bootstrap over people"
    return wilson, "Wilson's interval over clips"


def _people(answers: Sequence[dict[str, Any]]) -> list[PersonResult]:
    counts = grouped((str(one["subject"] or "unnamed"), one["truth"] == one["called"]) for one in answers)
    found = [PersonResult(name=name, right=sum(hits), n=len(hits)) for name, hits in counts.items()]
    return sorted(found, key=lambda one: (one.right / one.n, one.name))


def _gestures(labels: Sequence[str], table: Any) -> list[GestureResult]:
    found = []
    for index, label in enumerate(labels):
        others = Counter({labels[j]: int(n) for j, n in enumerate(table[index]) if j != index and n})
        n, hit, called = int(table[index].sum()), int(table[index, index]), int(table[:, index].sum())
        found.append(GestureResult(label=label, n=n, right=hit, called=called, taken_for=others.most_common()))
    return sorted(found, key=lambda one: one.right / one.n if one.n else 1.0)


def mistakes(measured: dict[str, Any] | None, records: Sequence[Record]) -> dict[str, tuple[str, float]]:
    """Clip -> (label predicted by a model not trained on its person, confidence)."""
    if measured is None or measured.get("alone"):
        return {}
    ids = {record.sample_id: record for record in records}
    wrong = [one for one in answers_of(measured) if one["truth"] != one["called"] and one["id"] in ids]
    return {
        ids[one["id"]].id: (one["called"], one["confidence"]) for one in wrong if ids[one["id"]].label == one["truth"]
    }


def _mistake(answers: Sequence[dict[str, Any]], records: Sequence[Record]) -> Mistake | None:
    ids = {record.sample_id: record.id for record in records}
    wrong = [one for one in answers if one["truth"] != one["called"] and one["id"] in ids]
    if not wrong:
        return None
    worst = max(wrong, key=lambda one: one["confidence"])
    return Mistake(
        clip=ids[worst["id"]],
        person=str(worst["subject"] or ""),
        label=worst["truth"],
        called=worst["called"],
        confidence=worst["confidence"],
    )


def _alarms(recordings: Sequence[dict[str, Any]]) -> Alarms | None:
    """False alarms in held-out recordings of nothing, and the delay of events of held-out gestures."""
    nothing = [one for one in recordings if one["label"] == NONE]
    gestures = [one for one in recordings if one["label"] != NONE]
    if not recordings:
        return None
    seconds, count = sum(one["seconds"] for one in nothing), sum(one["events"] for one in nothing)
    delays = [one["delay_s"] for one in gestures if one.get("delay_s") is not None]
    p50, p95 = np.percentile(delays, (50, 95)).round(3).tolist() if delays else (None, None)
    return Alarms(
        count=count,
        seconds=round(seconds, 1),
        per_minute=round(60 * count / seconds, 2) if seconds else 0.0,
        found=sum(one["found"] for one in gestures),
        of=len(gestures),
        delay_p50_s=p50,
        delay_p95_s=p95,
    )


def _sentences(people: Sequence[PersonResult], alone: bool, alarms: Alarms | None, newer: int) -> list[str]:
    """All sentences that apply, most important first."""
    found = []
    if alone:
        who = f"1 person, {people[0].name}," if len(people) == 1 else "people"
        found.append(f"Measured on {who} also seen in training: this says nothing about others.")
    elif len(people) < FEW_PEOPLE:
        count = {2: "Two", 3: "Three", 4: "Four"}[len(people)]
        following = {2: "a third", 3: "a fourth", 4: "a fifth"}[len(people)]
        worst, best = people[0], people[-1]
        spread = f"{worst.name} came out at {_share(worst)}, {best.name} at {_share(best)}."
        found.append(f"{count} people say little about {following}. {spread} More people help more than more clips.")
    if alarms is not None and alarms.seconds < ENOUGH_NOTHING_S:
        minutes, seconds = divmod(round(alarms.seconds), 60)
        alarm = counted(alarms.count, "false alarm")
        found.append(f"{alarm} in {minutes} min {seconds} s of nothing: a rough estimate.")
    if newer:
        found.append(f"{counted(newer, 'clip')} {'is' if newer == 1 else 'are'} newer than this model.")
    return found


def _share(one: PersonResult) -> str:
    return f"{100 * one.right / one.n:.0f} % ({one.right} of {one.n})"
