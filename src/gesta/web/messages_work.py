"""The messages between the studio's page and server on jobs, models, results, the whole state and live recognition;
the others, and general conventions, are in gesta.web.messages."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gesta.web.messages import Abilities, Counts, Id, Label, Limits, Message, Person, Ready, Refusal, Share, Take


class JobBody(Message):
    """POST /jobs. `model`: for measure, export; `to`: for export; `everyone`: train on all people, after measuring."""

    kind: Literal["train", "measure", "export"]
    recipe: str | None = Field(None, max_length=60, pattern=r"^[\w-]+(/[\w-]+)?$")
    model: Id | None = None
    to: Literal["bundle", "onnx", "web", "clips"] | None = None
    everyone: bool = False


class Curves(Message):
    """Accuracy on clips, one entry per epoch; `held_out` is the name of the `val` curve."""

    epochs: list[int] = Field(default_factory=list)
    train: list[float | None] = Field(default_factory=list)
    val: list[float | None] = Field(default_factory=list)
    held_out: list[str] = Field(default_factory=list)
    train_n: int = 0
    val_n: int = 0
    best_epoch: int | None = None


class Note(Message):
    """What `auto` chose, and why."""

    title: str
    reason: str = ""


class Job(Message):
    """A job. State lost: its process is gone. Lost, stopped and failed jobs can be resumed if `resumable`."""

    id: Id
    kind: Literal["train", "measure", "export"]
    state: Literal["waiting", "running", "stopping", "stopped", "done", "failed", "canceled", "lost"]
    done: int = 0
    of: int = 0
    unit: Literal["epoch", "person", "step"] = "step"
    doing: str = Field("", description="a sentence on what the job is doing")
    left_s: float | None = Field(None, description="known from the third epoch or the first person on")
    seconds: float = 0.0
    made: float
    curves: Curves = Curves()
    notes: list[Note] = Field(default_factory=list)
    error: Refusal | None = None
    resumable: bool = False
    model: str = Field("", description="the model that it trains, measures or exports")
    to: str = ""
    revision: int = 0


class Thresholds(Message):
    """PATCH /models/{id}: the decoder's parameters, saved in the bundle."""

    on: float = Field(gt=0, lt=1)
    off: float = Field(gt=0, lt=1)
    least_s: float = Field(ge=0, le=5)


class Decoder(Thresholds):
    """`chosen`: training's choice, to reset to; `on_what`: human-readable description of the clips used to choose."""

    chosen: Thresholds | None = None
    on_what: str = ""


class File(Message):
    """A download: GET /models/{id}/files/{name}."""

    to: Literal["bundle", "onnx", "web", "clips"]
    name: str
    bytes: int = 0
    there: bool = Field(False, description="already made; otherwise an export job makes it")
    note: str = Field("", description="for example: same label as here for 62 of 62 clips")


class CardLine(Message):
    name: str
    value: str


class Model(Message):
    id: Id
    made: float
    labels: list[str]
    demo: bool = Field(False, description="comes with gesta")
    everyone: bool = False
    clips: int = Field(0, description="number of clips that it was trained on")
    trained_on: list[str] = Field(default_factory=list)
    chose_epoch: list[str] = Field(default_factory=list, description="people on whose clips the epoch was chosen")
    sentence: str = Field("", description="what Try says about the people in training")
    seconds: float = Field(0.0, description="duration of its training")
    decoder: Decoder
    measured: bool = False
    newer_clips: int = Field(0, description="clips that were recorded or changed since")
    files: list[File] = Field(default_factory=list)
    card: list[CardLine] = Field(default_factory=list)
    command: str = Field("", description="gesta live ..., to copy")
    lacks: str = Field("", description="why it cannot be tried on this computer, and what to do")
    joints: list[tuple[int, int]] = Field(default_factory=list, description="bones: pairs of places in live `joints`")


class State(Message):
    """GET /state: all small data. Pages render it and fetch it again when notified by /ws/state."""

    version: str
    folder: str
    revision: int
    labels: list[Label]
    people: list[Person]
    counts: Counts
    ready: Ready
    jobs: list[Job] = Field(description="newest first")
    models: list[Model] = Field(description="newest first, then those that come with gesta")
    limits: Limits = Limits()
    abilities: Abilities
    free_bytes: int
    takes: list[Take] = Field(default_factory=list)


class PersonResult(Message):
    name: str
    right: int
    n: int


class GestureResult(Message):
    label: str
    n: int
    right: int
    called: int = Field(description="clips recognized as this gesture")
    taken_for: list[tuple[str, int]] = Field(default_factory=list)


class Mistake(Message):
    clip: str
    label: str
    called: str
    confidence: Share
    person: str


class Alarms(Message):
    """False alarms in held-out recordings of nothing."""

    count: int
    seconds: float
    per_minute: float
    found: int = Field(0, description="gestures that were detected")
    of: int = 0
    delay_p50_s: float | None = Field(None, description="from the end of a gesture to its event")
    delay_p95_s: float | None = None


class Results(Message):
    """GET /models/{id}/results. `sentence`: the first that applies; `gray`: not an estimate for other people."""

    state: Literal["none", "measuring", "measured"]
    done: int = 0
    of: int = 0
    right: int = 0
    n: int = 0
    accuracy: float | None = None
    interval: tuple[float, float] | None = None
    interval_how: str = ""
    people: list[PersonResult] = Field(default_factory=list, description="worst first")
    gestures: list[GestureResult] = Field(default_factory=list, description="worst first")
    labels: list[str] = Field(default_factory=list)
    confusion: list[list[int]] = Field(default_factory=list, description="row: true class; column: recognized as")
    mistake: Mistake | None = None
    alarms: Alarms | None = None
    sentences: list[str] = Field(default_factory=list)
    gray: bool = False


class Changed(Message):
    """A notification from /ws/state."""

    type: Literal["hello", "clip", "finding", "job", "model", "label"]
    id: str = ""
    revision: int


class Hello(Message):
    """The first message to a socket. For /ws/live it includes the person in front, for "That was wrong"."""

    token: str = Field(max_length=200)
    subject: str = Field("", max_length=40)


class Wrong(Message):
    """To /ws/live: save the last 5 s as a clip. Response: Kept."""

    wrong: Literal[True]


class Kept(Message):
    kept: str = Field(description="the clip's id")


class LiveEvent(Message):
    """A live event; times are capture times on the frames' own clock."""

    label: str
    start_s: float
    end_s: float
    confidence: float
    decided_s: float


class Answer(Message):
    """From /ws/live, one for every processed frame."""

    seq: int
    probabilities: dict[str, float] = Field(description="the last ones known; empty before the first chunk")
    joints: list[tuple[float, float, float]] | None = Field(None, description="x, y in 0 to 1 of the frame, confidence")
    events: list[LiveEvent] = Field(default_factory=list)
    server_ms: float
    cores: float = Field(0.0, description="CPU cores that the server used recently")
