"""A running studio: the folder, its clips, recordings, findings, jobs and models."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from threading import Event, Thread

from gesta.clips.transform import Transform
from gesta.files import write_json
from gesta.schema import grouped
from gesta.web import findings as rules
from gesta.web.clips import Clips, is_none
from gesta.web.folder import Folder
from gesta.web.hub import Hub
from gesta.web.imports import Imports
from gesta.web.jobfiles import Asked, Progress
from gesta.web.jobs import Jobs
from gesta.web.labels import Labels
from gesta.web.looks import Looker
from gesta.web.messages import Abilities, Counts, Finding, Findings
from gesta.web.messages_work import Job, JobBody, Results, State
from gesta.web.models import Models
from gesta.web.records import Record
from gesta.web.refuse import Refuse, missing
from gesta.web.report import report_page
from gesta.web.results import mistakes
from gesta.web.results import results as results_of
from gesta.web.takes import Takes
from gesta.web.work_export import CLIPS
from gesta.words import DISTRIBUTION, install

LOOK_AROUND_S = 0.5


class Studio:
    """All state of one folder. `start` begins background work, `stop` ends it."""

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
        self.models = Models(folder)
        self.jobs = Jobs(folder, lambda job_id: self.hub.tell("job", job_id), self._job_ended)
        self._thread = Thread(target=self._look_around, daemon=True, name="gesta-studio")

    def start(self) -> None:
        self.looker.start()
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self.looker.stop()
        self.jobs.end()
        self.folder.close()

    def state(self) -> State:
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
            jobs=self.jobs.all(),
            models=self.models.all([record for record in records if record.state == "used"]),
            abilities=self._abilities(),
        )

    def findings(self) -> Findings:
        """All findings, worst first, accepted ones last."""
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
        """Marks a finding as accepted by the user, or no longer so. Raises Refuse 404."""
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
        """Clip -> kinds of its findings that are not accepted, worst first."""
        wanted = {record.id for record in records}
        found = rules.of_clips(self.clips.all(), self._mistakes())
        return grouped((one.clip, one.kind) for one in found if one.clip in wanted and not one.kept)

    def transform(self) -> Transform | None:
        """The transform of the newest model."""
        for model_id in self.models.ids()[:1]:
            found: Transform = self.models.bundle(model_id).manifest.transform
            return found
        return None

    def add_job(self, body: JobBody) -> Job:
        """Adds a job. Raises Refuse 409 if it cannot start, 422 if its body is incomplete."""
        if body.kind == "train":
            found = rules.ready(self.clips.used())
            if not found.ok:
                raise Refuse(409, found.sentence, "two gestures, or one and nothing", found.button, "kind")
            if not self._abilities().train:
                raise Refuse(409, "What training needs is not installed.", hint=self._abilities().missing, field="kind")
            return self.jobs.add(body, self.models.new_id())
        if body.kind == "export" and body.to in (None, "bundle"):
            raise Refuse(422, "No export format is given.", "onnx, web or clips", field="to")
        model = body.model or next(iter(self.models.ids()), "")
        self.models.place(model)
        return self.jobs.add(body, model)

    def delete_model(self, model_id: str) -> None:
        """Deletes a model. Raises Refuse 409 while a job is using it."""
        going = [job for job in self.jobs.all() if job.model == model_id and job.state in ("running", "waiting")]
        if going:
            raise Refuse(409, "A job is running on this model.", hint="Stop it first.")
        self.models.delete(model_id)
        self.hub.tell("model", model_id)

    def results(self, model_id: str) -> Results:
        """The results of a model's evaluation, or its progress. Raises Refuse 404."""
        self.models.place(model_id)
        records = self.clips.all()
        for job in self.jobs.all():
            if job.kind == "measure" and job.model == model_id and job.state in ("running", "waiting", "stopping"):
                return Results(state="measuring", done=job.done, of=job.of)
        measured = self.models.measured(model_id)
        if measured is None:
            return Results(state="none")
        return results_of(measured, records, self.models.newer(model_id, records))

    def report(self, model_id: str) -> str:
        """The results as a standalone page. Raises Refuse 404 if there are none."""
        found = self.results(model_id)
        if found.state != "measured":
            raise Refuse(404, "This model has not been measured.", hint="Measure it first.")
        return report_page(self.folder.root.resolve().name, self.models.get(model_id, self.clips.used()), found)

    def _abilities(self) -> Abilities:
        def there(*modules: str) -> bool:
            return all(importlib.util.find_spec(module) is not None for module in modules)

        train = there("torch", "lightning", "scipy", "matplotlib", "tensorboard", "h5py")
        onnx = train and there("onnx", "onnxscript", "onnxruntime", "nncf")
        web = onnx and there("gesta.exporting.web")
        return Abilities(train=train, onnx=onnx, web=web, missing="" if onnx else install("all"))

    def _mistakes(self) -> dict[str, tuple[str, float]]:
        """Clips that the newest evaluated model assigned to another label."""
        for model_id in self.models.ids():
            measured = self.models.measured(model_id)
            if measured is not None:
                return mistakes(measured, self.clips.all())
        return {}

    def _job_ended(self, asked: Asked, progress: Progress) -> None:
        """Evaluates a finished training run next; stores an export's agreement."""
        if progress.state not in ("done", "stopped") or asked.ended:
            return
        if asked.work == "export" and asked.to != CLIPS:
            self.models.note_export(asked.model, asked.to, str(progress.result.get("note", "")))
        if asked.work == "train" and not asked.everyone:
            with suppress(Refuse):
                self.jobs.add(JobBody(kind="measure", recipe=asked.recipe, model=asked.model), asked.model)
        self.hub.tell("model", asked.model)

    def _audited(self, used: list[Record]) -> list[Finding]:
        """The audit's findings, recomputed when a clip has changed."""
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
            for work in (self.takes.close_abandoned, self.jobs.look):
                try:
                    work()
                except Exception:  # the next round retries: a full disk, a file being replaced
                    continue


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
    """The folder of the page's files."""
    return Path(__file__).with_name("page")
