"""A studio at work: the folder, its clips, recordings, findings, jobs and models, behind one door each."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from threading import Event, Thread
from typing import Any

from gesta.clips.transform import Transform
from gesta.files import write_json
from gesta.web import findings as rules
from gesta.web.clips import Clips, is_none
from gesta.web.folder import Folder
from gesta.web.hub import Hub
from gesta.web.imports import Imports
from gesta.web.labels import Labels
from gesta.web.looks import Looker
from gesta.web.messages import Counts, Finding, Findings, State
from gesta.web.records import Record
from gesta.web.refuse import missing
from gesta.web.takes import Takes

LOOK_AROUND_S = 1.0


class Studio:
    """Everything of one folder. `start` begins what goes on behind the requests, `stop` ends it."""

    def __init__(self, folder: Folder) -> None:
        self.folder, self.hub = folder, Hub()
        self._clips_revision = 0
        shutil.rmtree(folder.hidden / "imports", ignore_errors=True)
        self.clips = Clips(folder, self._clip_changed)
        self.labels = Labels(self.clips, lambda label_id: self.hub.tell("label", label_id))
        self.takes = Takes(folder, self.clips)
        self.imports = Imports(self.clips, self.labels)
        self.looker = Looker(self.clips)
        self._kept_file = folder.hidden / "kept.json"
        self._audit: tuple[int, list[Finding]] = (-1, [])
        self._stop = Event()
        self._thread = Thread(target=self._look_around, daemon=True, name="gesta-studio")

    def start(self) -> None:
        self.looker.start()
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self.looker.stop()
        self.folder.close()

    def state(self) -> State:
        from importlib.metadata import version

        from gesta.words import DISTRIBUTION

        records = self.clips.all()
        found = self.findings()
        return State(
            version=version(DISTRIBUTION),
            folder=self.folder.root.resolve().name,
            revision=self.hub.revision,
            labels=self.labels.all(),
            people=self.labels.people(),
            counts=_counts(records, found.findings),
            ready=found.ready,
            free_bytes=self.folder.free_bytes(),
            takes=self.takes.listed(),
            limits=self.folder.limits,
            **self._jobs_and_models(),
        )

    def findings(self) -> Findings:
        """Worst first, kept ones last."""
        records = self.clips.all()
        used = [record for record in records if record.state == "used"]
        kept = self._kept()
        general = [one.model_copy(update={"kept": one.id in kept}) for one in self._audited(used)]
        found = sorted(
            [*rules.of_clips(records, self._mistakes()), *general], key=lambda one: (one.kept, not one.stops)
        )
        shown = [record for record in records if record.state in ("used", "unlabeled")]
        looked = sum(record.look is not None for record in shown)
        return Findings(findings=found, looked=looked, of=len(shown), ready=rules.ready(used))

    def keep(self, finding_id: str, kept: bool) -> Finding:
        """Somebody says that a finding is fine as it is, or not any more. Raises Refuse 404."""
        clip_id, kind = rules.kind_of(finding_id)
        if clip_id:
            record = self.clips.get(clip_id)
            kinds = [one for one in record.kept if one != kind] + [kind] * kept
            self.clips.update(record, kept=kinds)
        else:
            known = self._kept() - {finding_id} | ({finding_id} if kept else set())
            write_json(self._kept_file, {"kept": sorted(known)})
        self.hub.tell("finding", finding_id)
        for one in self.findings().findings:
            if one.id == finding_id:
                return one
        raise missing("finding", finding_id)

    def kinds_of(self, records: Iterable[Record]) -> dict[str, list[str]]:
        """Clip -> kinds of its findings that nobody kept, worst first."""
        wanted = {record.id for record in records}
        kinds: dict[str, list[str]] = {}
        for one in rules.of_clips(self.clips.all(), self._mistakes()):
            if one.clip in wanted and not one.kept:
                kinds.setdefault(one.clip, []).append(one.kind)
        return kinds

    def transform(self) -> Transform | None:
        """Of the newest model."""
        return None

    def _jobs_and_models(self) -> dict[str, Any]:
        from gesta.web.messages import Abilities

        return {"jobs": [], "models": [], "abilities": Abilities(train=False, onnx=False, web=False)}

    def _mistakes(self) -> dict[str, tuple[str, float]]:
        return {}

    def _audited(self, used: list[Record]) -> list[Finding]:
        """The audit's findings, looked for anew when a clip has changed."""
        revision = self._clips_revision
        if self._audit[0] != revision:
            self._audit = revision, rules.of_folder(self.clips, used)
        return self._audit[1]

    def _kept(self) -> set[str]:
        try:
            return set(json.loads(self._kept_file.read_text(encoding="utf-8"))["kept"])
        except (OSError, ValueError, KeyError, TypeError):
            return set()

    def _clip_changed(self, clip_id: str, revision: int) -> None:
        self._clips_revision += 1
        self.hub.tell("clip", clip_id, revision)
        if hasattr(self, "looker"):
            self.looker.want(self.clips.get(clip_id))

    def _look_around(self) -> None:
        while not self._stop.wait(LOOK_AROUND_S):
            for work in self._behind:
                try:
                    work()
                except Exception:  # the next round tries again: a full disk, a file that is being replaced
                    continue

    @property
    def _behind(self) -> list[Callable[[], object]]:
        """What is done every second."""
        return [self.takes.close_abandoned]


def _counts(records: list[Record], found: list[Finding]) -> Counts:
    states = [record.state for record in records]
    return Counts(
        clips=states.count("used"),
        left_out=states.count("left_out"),
        unlabeled=states.count("unlabeled"),
        findings=sum(not one.kept for one in found),
        none_s=round(sum(r.seconds for r in records if r.state == "used" and is_none(r.label)), 2),
    )


def page_folder() -> Path:
    """Where the page's files lie."""
    return Path(__file__).with_name("page")
