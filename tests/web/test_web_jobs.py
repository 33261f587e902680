"""Jobs: processes that outlive page and server; models, what is downloaded of them, and what was measured."""

from __future__ import annotations

import io
import json
import os
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from web.studio_help import Page, opened, wave

from gesta.bundle import io as bundles
from gesta.tasks import catalog
from gesta.web.jobfiles import Asked, Progress, read_asked, write_asked, write_progress
from gesta.web.messages_work import Job
from gesta.web.results import results
from gesta.web.serve import goes_on
from gesta.web.work_train import divide, note_of

MODEL = "2026-11-27-1406"


@pytest.fixture
def page(tmp_path: Path) -> Any:
    with opened(tmp_path / "my data") as found:
        found.label("wave")
        found.record("wave")
        found.record("wave", "ben")
        found.record("none")
        yield found


def trained(page: Page) -> Path:
    """A model as a training leaves it: the packaged one."""
    place = page.studio.folder.place("runs") / MODEL
    demo = catalog.read_bundle("demo")
    files = {a.file: demo.read(a) for a in demo.manifest.artifacts}
    files |= {f: demo.read(a, f) for a in demo.manifest.artifacts for f in getattr(a, "files", ())}
    with zipfile.ZipFile(demo.path) as archive:
        archive.extractall(place / "bundle")
    samples = [f"{one.sample_id} {one.label}" for one in page.studio.clips.used()]
    facts = {"made": 1.0, "trained_on": ["anna", "ben"], "chose_epoch": ["carla"], "clips": 2, "samples": samples}
    (place / "model.json").write_text(json.dumps(facts))
    return place


def ended(page: Page, job_id: str, seconds: float = 60) -> Any:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        job = page.ask("GET", f"/jobs/{job_id}")
        if job["state"] not in ("waiting", "running", "stopping"):
            return job
        time.sleep(0.1)
    raise AssertionError(job)


@pytest.mark.integration
def test_clips_are_packed_by_a_process(page: Page) -> None:
    trained(page)
    job = page.ask("POST", "/jobs", 201, json={"kind": "export", "to": "clips"})
    assert job["state"] == "running" and job["model"] == MODEL
    page.ask("POST", "/jobs", 409, json={"kind": "export", "to": "clips"})
    assert ended(page, job["id"])["state"] == "done"
    (model, *_) = page.ask("GET", "/state")["models"]
    (file,) = [one for one in model["files"] if one["to"] == "clips"]
    assert file["name"] == "my-data_clips.zip" and file["there"]
    packed = page.ask("GET", f"/models/{MODEL}/files/{file['name']}")
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert archive.namelist() == ["index.csv", "none/anna_001.mkv", "wave/anna_001.mkv", "wave/ben_001.mkv"]


@pytest.mark.integration
def test_a_failed_job_says_why(page: Page) -> None:
    place = trained(page)
    (place / "model.json").write_text('{"made": 1.0, "recipe": "no-such-recipe"}')
    job = page.ask("POST", "/jobs", 201, json={"kind": "measure", "model": MODEL})
    done = ended(page, job["id"])
    assert done["state"] == "failed" and "no-such-recipe" in done["error"]["error"] and done["error"]["hint"]
    assert done["resumable"]


def test_the_bundle_is_downloaded_with_its_thresholds(page: Page, tmp_path: Path) -> None:
    trained(page)
    labels = catalog.read_bundle("demo").manifest.labels
    body = {"on": 0.8, "off": 0.3, "least_s": 0.4}
    page.ask("PATCH", f"/models/{MODEL}", 422, json=body | {"off": 0.9})
    page.ask("PATCH", f"/models/{MODEL}", 422, json=body | {"on": 1.0})
    page.ask("PATCH", "/models/demo", 409, json=body)
    before = page.ask("GET", "/state")["models"][0]["decoder"]
    if "none" not in labels:
        return
    changed = page.ask("PATCH", f"/models/{MODEL}", json=body)["decoder"]
    assert {name: changed[name] for name in body} == body
    assert changed["chosen"] == {name: before[name] for name in body}
    (tmp_path / "b.zip").write_bytes(page.ask("GET", f"/models/{MODEL}/files/my-data_bundle.zip"))
    assert catalog.read_bundle(tmp_path / "b.zip").manifest.decoder.on == 0.8


@pytest.mark.parametrize("name", ["model.json", "..%2fmodel.json", "my-data_web.zip", "bundle", "%00"])
def test_files_from_the_list_only(page: Page, name: str) -> None:
    trained(page)
    page.ask("GET", f"/models/{MODEL}/files/{name}", 404)


@pytest.mark.parametrize("model", ["demo", "none-such", ".."])
def test_models_that_are_not_there(page: Page, model: str) -> None:
    assert page.client.get(f"/api/models/{model}/results").status_code in (404, 422)


def test_what_cannot_be_asked(page: Page) -> None:
    page.ask("POST", "/jobs", 404, json={"kind": "measure"})
    page.ask("POST", "/jobs", 422, json={"kind": "dance"})
    page.ask("POST", "/jobs", 422, json={"kind": "train", "recipe": "../../etc/passwd"})
    trained(page)
    page.ask("POST", "/jobs", 422, json={"kind": "export"})
    page.ask("GET", "/jobs/0123456789ab", 404)
    page.ask("POST", "/jobs/0123456789ab/stop", 404)
    for clip in page.ask("GET", "/clips")["clips"]:
        page.ask("DELETE", f"/clips/{clip['id']}")
    assert page.ask("POST", "/jobs", 409, json={"kind": "train"})["hint"] == "Record a gesture first"


@pytest.mark.integration
def test_a_job_of_a_server_that_was_killed_is_found_and_goes_on(tmp_path: Path) -> None:
    with opened(tmp_path) as page:
        page.label("wave")
        page.record("wave")
        trained(page)
        folder = page.studio.folder.place("jobs") / "0123456789ab"
        write_asked(
            folder, Asked(id=folder.name, work="export", model=MODEL, to="clips", made=1.0, runs=1, wanted=False)
        )
        write_progress(folder, Progress(run=1, pid=os.getpid(), started=1.0, updated=2.0))
    with opened(tmp_path) as page:
        job = page.ask("GET", f"/jobs/{folder.name}")
        assert (job["state"], job["resumable"]) == ("lost", True)
        page.ask("POST", f"/jobs/{folder.name}/resume")
        assert ended(page, folder.name)["state"] == "done"
        found = read_asked(folder)
        assert found is not None and found.runs == 2


def test_what_waits_can_be_canceled_and_no_more_than_eight_wait(page: Page) -> None:
    trained(page)
    root = page.studio.folder.place("jobs")
    for number in range(9):
        asked = Asked(id=f"{number:012x}", work="measure", model=f"m{number}", made=number + 1.0, wanted=number > 0)
        write_asked(root / asked.id, asked.model_copy(update={"runs": int(number == 0)}))
    write_progress(root / f"{0:012x}", Progress(run=1))
    page.studio.jobs._is_at_work = lambda asked: asked.id == f"{0:012x}"  # type: ignore[method-assign]
    page.ask("POST", "/jobs", 429, json={"kind": "export", "to": "clips"})
    assert page.ask("POST", f"/jobs/{8:012x}/stop")["state"] == "canceled"
    assert page.ask("POST", "/jobs", 201, json={"kind": "export", "to": "clips"})["state"] == "waiting"
    page.studio.jobs._is_at_work = bool  # type: ignore[method-assign]


def answer(clip: str, subject: str, truth: str, called: str, confidence: float = 0.9) -> dict[str, Any]:
    return {"id": clip, "subject": subject, "truth": truth, "called": called, "confidence": confidence}


MEASURED: dict[str, Any] = {
    "alone": False,
    "folds": [
        {
            "answers": [answer("wave/anna_001.mkv", "anna", "wave", "none"), answer("x", "anna", "none", "none")],
            "recordings": [
                {"label": "wave", "seconds": 2.0, "events": 0, "found": False, "delay_s": None},
                {"label": "none", "seconds": 30.0, "events": 1},
            ],
        },
        {
            "answers": [answer("wave/ben_001.mkv", "ben", "wave", "wave")],
            "recordings": [{"label": "wave", "seconds": 2.0, "events": 1, "found": True, "delay_s": 0.2}],
        },
    ],
}


def test_results_in_numbers_and_sentences(page: Page) -> None:
    place = trained(page)
    assert page.ask("GET", f"/models/{MODEL}/results")["state"] == "none"
    (place / "measured.json").write_text(json.dumps(MEASURED))
    found = page.ask("GET", f"/models/{MODEL}/results")
    assert (found["right"], found["n"], found["labels"]) == (2, 3, ["wave", "none"])
    assert found["confusion"] == [[1, 1], [0, 1]]
    assert found["people"] == [{"name": "anna", "right": 1, "n": 2}, {"name": "ben", "right": 1, "n": 1}]
    assert found["gestures"][0] == {"label": "wave", "n": 2, "right": 1, "called": 1, "taken_for": [["none", 1]]}
    low, high = found["interval"]
    assert low < 0.25 and high > 0.9
    alarms = found["alarms"]
    assert (alarms["count"], alarms["per_minute"], alarms["found"], alarms["of"]) == (1, 2.0, 1, 2)
    assert alarms["delay_p50_s"] == 0.2
    assert found["sentences"][0].startswith("Two people say little about a third. anna came out at 50 % (1 of 2)")
    assert found["sentences"][1] == "1 false alarm in 0 min 30 s of nothing: a rough estimate."
    clip = next(c for c in page.ask("GET", "/clips")["clips"] if c["path"] == "wave/anna_001.mkv")
    assert found["mistake"]["clip"] == clip["id"] and clip["findings"][0] == "does not look like its label"
    page.record("wave", "<b>carla</b>")
    assert page.ask("GET", "/state")["models"][0]["newer_clips"] == 1
    report = page.client.get(f"/api/models/{MODEL}/report").text
    assert (
        "1 clip is newer than this model." in report
        and "Trained on anna and ben; its epoch was chosen on clips of carla." in report
    )


def test_one_person_is_no_measure_for_others() -> None:
    found = results({"alone": True, "folds": [{**MEASURED["folds"][0]}]}, [], 0)
    assert found.gray
    assert found.sentences[0] == "Measured on 1 person, anna, also seen in training: this says nothing about others."


def test_nobody_is_on_two_sides(page: Page) -> None:
    for subject in ("carla", "dora"):
        page.record("wave", subject)
    listing = catalog.find("clips").read(page.studio.folder.root)
    parts = divide(listing, everyone=False)
    sides = [{s.subject for s in parts.of(part)} for part in ("train", "val")]
    assert len(sides[1]) == 1 and not sides[0] & sides[1] and not parts.of("test")
    assert {s.split for s in divide(listing, everyone=True).listing.samples} == {"train"}
    assert note_of("fps 20 (the median is 20)").model_dump() == {"title": "Fps 20", "reason": "the median is 20"}
    assert bundles
    assert wave()


def test_the_ended_server_says_what_continues() -> None:
    jobs = [Job(id=str(n), kind=kind, state=state, made=0.0) for n, (kind, state) in enumerate(GOING)]
    (line,) = goes_on(jobs, Path("my data")).splitlines()
    assert line.startswith("The measurement continues") and line.endswith("gesta studio 'my data'")


GOING = [("measure", "running"), ("train", "done"), ("export", "waiting")]
