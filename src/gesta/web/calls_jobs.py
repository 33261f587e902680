"""API routes for jobs and models."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path
from fastapi.responses import FileResponse, HTMLResponse, PlainTextResponse

from gesta.web.calls_folder import Here
from gesta.web.messages import Id
from gesta.web.messages_work import Job, JobBody, Model, Results, Thresholds

router = APIRouter()


@router.post("/jobs", status_code=201)
def add_job(studio: Here, body: JobBody) -> Job:
    return studio.add_job(body)


@router.get("/jobs/{job}")
def get_job(studio: Here, job: Id) -> Job:
    return studio.jobs.get(job)


@router.delete("/jobs/{job}")
def cancel_job(studio: Here, job: Id) -> Job:
    return studio.jobs.cancel(job)


@router.post("/jobs/{job}/{action}")
def act_on_job(studio: Here, job: Id, action: Literal["stop", "resume"]) -> Job:
    jobs = studio.jobs
    return jobs.stop(job) if action == "stop" else jobs.resume(job)


@router.get("/jobs/{job}/log", response_class=PlainTextResponse)
def job_log(studio: Here, job: Id) -> PlainTextResponse:
    return PlainTextResponse(studio.jobs.log(job))


@router.patch("/models/{model}")
def patch_model(studio: Here, model: Id, body: Thresholds) -> Model:
    studio.models.set_thresholds(model, body)
    studio.hub.tell("model", model)
    return studio.models.get(model, studio.clips.used())


@router.delete("/models/{model}", status_code=204)
def delete_model(studio: Here, model: Id) -> None:
    studio.delete_model(model)


@router.get("/models/{model}/results")
def get_results(studio: Here, model: Id) -> Results:
    return studio.results(model)


@router.get("/models/{model}/report", response_class=HTMLResponse)
def get_report(studio: Here, model: Id) -> HTMLResponse:
    return HTMLResponse(studio.report(model))


@router.get("/models/{model}/files/{name}", response_class=FileResponse)
def get_file(studio: Here, model: Id, name: Annotated[str, Path(max_length=200)]) -> FileResponse:
    path = studio.models.file(model, name)
    return FileResponse(path, media_type="application/zip", filename=path.name)
