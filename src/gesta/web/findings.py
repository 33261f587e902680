"""Findings to review before training: the audit's on the folder, and those on each clip.

Thresholds for clips were set by hand on recordings, not learned; a finding never blocks training unless it says so.
"""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from gesta.audit import faults_sets
from gesta.audit.subjects import subject_faults
from gesta.schema import GestaError, Problem, grouped
from gesta.sources import catalog
from gesta.web.clips import Clips, is_none
from gesta.web.messages import NONE, Finding, Ready
from gesta.web.records import Record

Fix = Literal["record", "trim", "leave_out", "keep", "relabel"]
FEW = 5
NONE_S = 60.0
DARK, BRIGHT = 40.0, 225.0
SLOW_FPS = 12.0
STILL = 0.004
MOVING, MOVING_SHARE = 0.012, 0.4
BORDER = 0.15
LONGER = 1.8
SURE = 0.8
ORDER = (
    *("unreadable", "no-label", "one-class", "does not look like its label", "closed", "nothing moves", "cut off"),
    *("dark", "too bright", "slow camera", "leaves the picture", "longer than the rest"),
)
"""Kinds of findings, worst first; those on the folder come last."""


def of_clip(record: Record, usual_s: float | None = None) -> Iterator[Finding]:
    """Findings on one clip; `usual_s`: median length of the clips of its label."""
    if record.state == "unlabeled":
        yield _finding(record, "no-label", "This was kept because an event was wrong. What is it?", "relabel", "trim")
    if record.closed:
        yield _finding(record, "closed", f"{record.closed}; {record.seconds:.1f} s are kept.", "record", "trim")
    seen = record.look
    if seen is None:
        return
    if seen.fault:
        yield _finding(record, "unreadable", f"It cannot be read: {seen.fault}", "record", "leave_out")
        return
    if seen.brightness < DARK:
        sentence = f"Too dark to see an arm against the wall (brightness {seen.brightness:.0f} of 255). "
        yield _finding(record, "dark", sentence + "Turn on a light in front of you.", "record", "leave_out")
    if seen.brightness > BRIGHT:
        sentence = f"Too bright (brightness {seen.brightness:.0f} of 255): is the light behind you?"
        yield _finding(record, "too bright", sentence, "record", "leave_out")
    if 0 < record.fps < SLOW_FPS:
        sentence = (
            f"{record.fps:.0f} frames a second; below 12, fast gestures blur away. Dim light slows a camera down."
        )
        yield _finding(record, "slow camera", sentence, "record", "leave_out")
    if not is_none(record.label):
        yield from _motion(record, usual_s)


def _motion(record: Record, usual_s: float | None) -> Iterator[Finding]:
    """Checks that a gesture moves, starts and ends at rest, stays in the image, and is about as long as others."""
    seen = record.look
    assert seen is not None
    if seen.most_motion < STILL:
        yield _finding(record, "nothing moves", "Nothing moves in this clip.", "record", "leave_out")
        return
    for place, motion in (("first", seen.first_motion), ("last", seen.last_motion)):
        if motion > max(MOVING, MOVING_SHARE * seen.most_motion):
            missing = "beginning" if place == "first" else "end"
            sentence = f"Still moving in the {place} frame, so the network never sees the {missing} of the gesture."
            yield _finding(record, "cut off", sentence, "record", "trim", "leave_out")
            break
    if seen.border_motion > BORDER:
        sentence = "Something moves at the edge of the image: step back, so that your hands stay inside."
        yield _finding(record, "leaves the picture", sentence, "record", "leave_out")
    if usual_s and record.seconds > LONGER * usual_s:
        sentence = f"{record.seconds:.1f} s long; the other clips of {record.label} have {usual_s:.1f} s."
        yield _finding(record, "longer than the rest", sentence, "trim", "record")


def mistaken(record: Record, called: str, confidence: float) -> Iterator[Finding]:
    """Finding for a clip that a model not trained on the person confidently assigned to another label."""
    if confidence > SURE and called != record.label:
        shown = "nothing" if is_none(called) else called
        sentence = (
            f"Recognized as {shown} ({confidence:.2f}) by a model that had not seen {record.subject}. "
            "Is the label right?"
        )
        yield _finding(record, "does not look like its label", sentence, "relabel", "record", "leave_out")


def of_folder(clips: Clips, used: Sequence[Record]) -> list[Finding]:
    """The audit's findings on labels, people and duplicate files."""
    if not used:
        return []
    try:
        listing = catalog.read(clips.folder.root)
    except GestaError as error:
        return [_problem(Problem(str(clips.folder.root), "unreadable", str(error)), clips)]
    root, samples = listing.root, listing.samples
    problems = [
        *listing.problems,
        *faults_sets.class_faults(root, samples),
        *faults_sets.people_faults(root, samples),
        *subject_faults(root, samples),
        *faults_sets.same_file_faults(samples),
    ]
    return [_problem(problem, clips) for problem in dict.fromkeys(problems)]


def of_clips(records: Sequence[Record], mistakes: dict[str, tuple[str, float]]) -> list[Finding]:
    """Findings on all clips that are used or not yet labeled; `mistakes`: clip -> (predicted label, confidence)."""
    lengths = grouped((record.label, record.seconds) for record in records if record.state == "used")
    usual = {label: statistics.median(values) for label, values in lengths.items() if len(values) > 3}
    found: list[Finding] = []
    for record in records:
        if record.state in ("used", "unlabeled"):
            found += of_clip(record, usual.get(record.label))
            if record.id in mistakes and record.state == "used":
                found += mistaken(record, *mistakes[record.id])
    return sorted(found, key=lambda one: (one.kept, ORDER.index(one.kind)))


def ready(used: Sequence[Record]) -> Ready:
    """Whether training can begin: needs two labels with clips."""
    labels = {record.label for record in used}
    gestures = labels - {NONE}
    if not gestures:
        return Ready(ok=False, sentence="There is no clip of a gesture yet.", button="Record a gesture first")
    if len(labels) < 2:
        sentence = f"There is only one class, {next(iter(labels))}; training needs at least two."
        return Ready(ok=False, sentence=sentence, button="Record a second gesture, or nothing, first")
    counts = {label: sum(record.label == label for record in used) for label in sorted(gestures)}
    if min(counts.values()) < 2:
        few = min(counts, key=lambda label: counts[label])
        return Ready(ok=False, sentence=f"There is only one clip of {few}.", button=f"Record {few} again first")
    few_labels = [f"{label} ({count})" for label, count in counts.items() if count < FEW]
    if few_labels:
        return Ready(ok=True, sentence=f"Fewer than {FEW} clips: {', '.join(few_labels)}.")
    if sum(record.seconds for record in used if is_none(record.label)) < NONE_S:
        return Ready(
            ok=True, sentence="Without a minute of nothing, everything you do will be recognized as a gesture."
        )
    return Ready(ok=True)


def _finding(record: Record, kind: str, sentence: str, *fixes: Fix) -> Finding:
    span: dict[str, Any] = {}
    if "trim" in fixes and record.look is not None:
        span = {"start_s": record.look.start_s, "end_s": record.look.end_s}
    kept = kind in record.kept
    return Finding(
        id=f"{record.id}-{ORDER.index(kind)}",
        kind=kind,
        clip=record.id,
        sentence=sentence,
        kept=kept,
        fixes=[*fixes, "keep"] if kind != "no-label" else list(fixes),
        **span,
    )


def kind_of(finding_id: str) -> tuple[str, str]:
    """(clip, kind) of a finding on a clip; ("", "") for others."""
    clip, _, number = finding_id.rpartition("-")
    return (clip, ORDER[int(number)]) if number.isdecimal() and clip and int(number) < len(ORDER) else ("", "")


def _problem(problem: Problem, clips: Clips) -> Finding:
    root = str(clips.folder.root)
    where = problem.path.removeprefix(root).strip("/\\")
    sentence = f"{where}: {problem.reason}" if where else problem.reason
    key = hashlib.sha256(f"{problem.kind} {sentence}".encode()).hexdigest()[:12]
    stops = problem.kind in ("one-class", "no-labels")
    sentence = sentence[:1].upper() + sentence[1:]
    return Finding(id=f"f{key}", kind=problem.kind, sentence=sentence, hint=problem.hint or "", stops=stops)
