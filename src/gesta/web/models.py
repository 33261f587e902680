"""The models of a studio: bundles from its training runs, and those that come with gesta."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import RLock
from typing import Any

from gesta.bundle import io
from gesta.bundle.io import Bundle
from gesta.clips.skeleton_sets import joint_set
from gesta.decoding import DecoderSpec
from gesta.files import read_json, replacing, write_json
from gesta.live.tracked import lacking
from gesta.schema import GestaError
from gesta.tasks import catalog
from gesta.web.folder import Folder
from gesta.web.messages import NONE
from gesta.web.messages_work import CardLine, Decoder, File, Model, Thresholds
from gesta.web.records import Record
from gesta.web.refuse import Refuse, missing
from gesta.web.work_export import file_name
from gesta.web.work_measure import RESULTS
from gesta.web.work_train import FACTS
from gesta.words import command, counted

PACKAGED = {
    "everyday": "It was trained on generated people only. On two real people it found 30 of 36 gestures, with about "
    "one false alarm a minute at rest and eight a minute between other movements.",
    "demo": "It was trained on generated people only.",
}
"""The models that come with gesta, in display order, and facts about them."""
TO = ("bundle", "onnx", "web", "clips")


class Models:
    """Reads the output of training runs. All methods are thread-safe."""

    def __init__(self, folder: Folder) -> None:
        self._folder, self._lock = folder, RLock()
        self._read: dict[str, tuple[int, Bundle[Any]]] = {}

    def ids(self) -> list[str]:
        """Ids, newest first, without the models that come with gesta."""
        found = [path for path in self._root().iterdir() if (path / "bundle" / io.MANIFEST).is_file()]
        return [path.name for path in sorted(found, key=lambda path: path.name, reverse=True) if self._facts(path)]

    def new_id(self) -> str:
        """A new id from the current time, e.g. `2026-11-27-1406`."""
        stem = time.strftime("%Y-%m-%d-%H%M")
        number, name = 1, stem
        while (self._root() / name).exists():
            number += 1
            name = f"{stem}-{number}"
        (self._root() / name).mkdir(parents=True)
        return name

    def all(self, records: Sequence[Record]) -> list[Model]:
        """All models, newest first, then those that come with gesta."""
        found = []
        for model_id in self.ids():
            with suppress(GestaError, Refuse):
                found.append(self._shown(model_id, records))
        return [*found, *map(_packaged, PACKAGED)]

    def get(self, model_id: str, records: Sequence[Record]) -> Model:
        if model_id in PACKAGED:
            return _packaged(model_id)
        self.place(model_id)
        return self._shown(model_id, records)

    def place(self, model_id: str) -> Path:
        """The folder of a training run. Raises Refuse 404."""
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", model_id):
            raise missing("model", model_id[:60])
        path = self._root() / model_id
        if model_id in PACKAGED or not (path / "bundle" / io.MANIFEST).is_file():
            raise missing("model", model_id)
        return path

    def bundle(self, model_id: str) -> Bundle[Any]:
        """The current bundle. Raises Refuse 404 and GestaError."""
        if model_id in PACKAGED:
            return catalog.read_bundle(model_id)
        path = self.place(model_id) / "bundle"
        stamp = (path / io.MANIFEST).stat().st_mtime_ns
        with self._lock:
            if self._read.get(model_id, (0, None))[0] != stamp:
                self._read[model_id] = stamp, catalog.read_bundle(path)
            return self._read[model_id][1]

    def set_thresholds(self, model_id: str, wanted: Thresholds) -> None:
        """Saves the decoder's parameters in the bundle. Raises Refuse 422 if off is above on, 409 if packaged."""
        if wanted.off > wanted.on:
            raise Refuse(
                422,
                f"The off threshold, {wanted.off:g}, is above the on threshold, {wanted.on:g}.",
                "off up to on",
                field="off",
            )
        if model_id in PACKAGED:
            raise Refuse(409, "The model that comes with gesta cannot be changed.", hint="Train one of your own.")
        with self._lock:
            bundle, place = self.bundle(model_id), self.place(model_id)
            spec = spec_of(bundle.manifest)
            facts = self._facts(place)
            if "chosen" not in facts:
                write_json(place / FACTS, facts | {"chosen": _thresholds(spec).model_dump()})
            io.update(bundle, decoder=spec.model_copy(update=wanted.model_dump()).model_dump())
            shutil.rmtree(place / "files", ignore_errors=True)  # they contain the old parameters

    def delete(self, model_id: str) -> None:
        shutil.rmtree(self.place(model_id))

    def measured(self, model_id: str) -> dict[str, Any] | None:
        """The output of the model's evaluation, if there is one."""
        return read_json(self._root() / model_id / RESULTS)

    def facts(self, model_id: str) -> dict[str, Any]:
        """The facts stored next to the bundle."""
        return self._facts(self._root() / model_id)

    def file(self, model_id: str, name: str) -> Path:
        """A download by its name in the list; the bundle's zip is created on demand. Raises Refuse 404."""
        place = self.place(model_id)
        to = next((one for one in TO if file_name(self._folder.root, one) == name), None)
        if to is None:
            raise missing("file", name)
        path = place / "files" / name
        if to == "bundle" and not path.is_file():
            with replacing(path) as made:
                io.save_zip(self.bundle(model_id), made)
        if not path.is_file():
            raise Refuse(404, f"{name} has not been made yet.", hint="Make it first (POST /jobs, kind export).")
        return path

    def newer(self, model_id: str, records: Sequence[Record]) -> int:
        """Number of clips that are new or changed since the model was trained."""
        known = set(self.facts(model_id).get("samples", ()))
        return sum(f"{one.sample_id} {one.label}" not in known for one in records if one.state == "used")

    def _shown(self, model_id: str, records: Sequence[Record]) -> Model:
        place, facts, bundle = self.place(model_id), self.facts(model_id), self.bundle(model_id)
        trained, chose = facts.get("trained_on", []), facts.get("chose_epoch", [])
        chosen = Thresholds.model_validate(facts["chosen"]) if "chosen" in facts else None
        numbers = _thresholds(spec_of(bundle.manifest))
        on_what = f"clips of {_names(chose)}" if chose else ""
        return Model(
            id=model_id,
            made=facts["made"],
            labels=list(bundle.manifest.labels),
            everyone=bool(facts.get("everyone")),
            clips=facts.get("clips", 0),
            trained_on=trained,
            chose_epoch=chose,
            sentence=honest(trained, chose),
            seconds=facts.get("seconds", 0.0),
            decoder=Decoder(**numbers.model_dump(), chosen=chosen or numbers, on_what=on_what),
            measured=(place / RESULTS).is_file(),
            newer_clips=self.newer(model_id, records),
            files=[self._file(model_id, to) for to in TO],
            card=self._card(bundle, facts),
            **_of_space(bundle.manifest),
            command=command("gesta", "live", f"{self._folder.root}/.studio/runs/{model_id}/bundle"),
        )

    def _file(self, model_id: str, to: Any) -> File:
        path = self._root() / model_id / "files" / file_name(self._folder.root, to)
        size = path.stat().st_size if path.is_file() else 0
        note = str(self.facts(model_id).get("notes", {}).get(to, ""))
        if to == "bundle" and not size:
            size = sum(one.stat().st_size for one in (self._root() / model_id / "bundle").rglob("*") if one.is_file())
        return File(to=to, name=path.name, bytes=size, there=path.is_file() or to == "bundle", note=note)

    def note_export(self, model_id: str, to: str, note: str) -> None:
        """Stores the note of an export."""
        place = self.place(model_id)
        facts = self._facts(place)
        write_json(place / FACTS, facts | {"notes": {**facts.get("notes", {}), to: note}})

    def _card(self, bundle: Bundle[Any], facts: dict[str, Any]) -> list[CardLine]:
        manifest, trained, chose = bundle.manifest, facts.get("trained_on", []), facts.get("chose_epoch", [])
        learned = f"{counted(facts.get('clips', 0), 'clip')} of {counted(len(trained), 'person', 'people')}" + (
            "; the epoch was chosen on another person" if chose else ""
        )
        lines = {
            "gestures": ", ".join("nothing" if label == NONE else label for label in manifest.labels),
            "learned from": learned,
            "input": f"color camera, {manifest.transform.fps:g} frames/s",
            "network": f"{manifest.network}, {manifest.parameters:,} parameters",
            "made with": f"gesta {manifest.provenance.gesta}, recipe {manifest.recipe.get('name', '')}",
        }
        return [CardLine(name=name, value=value) for name, value in lines.items()]

    def _facts(self, place: Path) -> dict[str, Any]:
        return read_json(place / FACTS) or {}

    def _root(self) -> Path:
        return self._folder.place("runs")


def spec_of(manifest: Any) -> DecoderSpec:
    """The decoder's parameters of a bundle, or defaults."""
    found = getattr(manifest, "decoder", None)
    return found if found is not None else DecoderSpec(none=NONE)


def _packaged(name: str) -> Model:
    manifest = catalog.read_bundle(name).manifest
    numbers = _thresholds(spec_of(manifest))
    return Model(
        id=name,
        made=0.0,
        labels=list(getattr(manifest, "labels", None) or [*manifest.gestures, NONE]),
        demo=True,
        sentence=PACKAGED[name],
        decoder=Decoder(**numbers.model_dump(), chosen=numbers),
        command=command("gesta", "live", name),
        **_of_space(manifest),
    )


def _of_space(manifest: Any) -> dict[str, Any]:
    """The bones of a model that takes skeletons, and what it is missing on this computer."""
    space = getattr(manifest, "space", None)
    return {} if space is None else {"joints": list(joint_set(space.joints).edges), "lacks": lacking(space)}


def _thresholds(spec: DecoderSpec) -> Thresholds:
    return Thresholds(on=min(spec.on, 0.999), off=min(spec.off, 0.999), least_s=min(spec.least_s, 5.0))


def honest(trained: Sequence[str], chose: Sequence[str]) -> str:
    """Describes whom a model was trained on, for Try."""
    if not trained:
        return "It is unknown whom it was trained on."
    if len(trained) == 1 and not chose:
        return f"Trained on {trained[0]} only."
    chosen = f"; its epoch was chosen on clips of {_names(chose)}" if chose else ""
    return f"Trained on {_names(trained)}{chosen}. Try it with someone new as well."


def _names(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
