"""Imports videos and zips as clips: probed in a child process, then moved to their folder, or rejected by name."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pydantic import TypeAdapter, ValidationError

from gesta.untrusted import open_zip, printable
from gesta.web.clips import Clips, is_none, shown
from gesta.web.labels import Labels
from gesta.web.messages import Imported, Name, Refused
from gesta.web.probe import probed
from gesta.web.records import Record, new_id, now
from gesta.web.refuse import Refuse
from gesta.web.takes import cut

SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v")
SIDE = 4096
SPAN_S = 2.0
"""Videos labeled as nothing are cut into clips of this length."""
_PIECE = 2**20


@dataclass(frozen=True)
class Incoming:
    """A completely received file: its path, original name, label and person."""

    file: Path
    name: str
    label: str
    subject: str


class Imports:
    """Imports files into the folder. All methods are thread-safe."""

    def __init__(self, clips: Clips, labels: Labels) -> None:
        self._clips, self._labels, self._limits = clips, labels, clips.folder.limits

    def take(self, incoming: Incoming) -> Imported:
        """Imports one video, or each in a zip. Raises Refuse 415 if none can be used, 413 for too large a zip."""
        self._clips.folder.need_space()
        with incoming.file.open("rb") as stream:
            archive = stream.read(4) == b"PK\x03\x04"
        results = list(self._members(incoming) if archive else [self._video(incoming)])
        records = [record for found in results if not isinstance(found, Refused) for record in found]
        refused = [found for found in results if isinstance(found, Refused)]
        if not records:
            reason = f"{refused[0].name}: {refused[0].reason}." if refused else "The zip contains no videos."
            expected = f"videos ({', '.join(SUFFIXES)}) or a zip of them"
            raise Refuse(415, reason[:1].upper() + reason[1:], expected, "Convert it, then import it again.", "body")
        return Imported(clips=[shown(record) for record in records], refused=refused)

    def _video(self, incoming: Incoming) -> list[Record] | Refused:
        """The clips of one video, or why it is rejected."""
        suffix, name = Path(incoming.name).suffix.lower(), printable(incoming.name)[:120]
        if suffix not in SUFFIXES:
            return Refused(name=name, reason=f"its name ends with {suffix or 'nothing'}, not {', '.join(SUFFIXES)}")
        limits = self._limits
        found = probed(incoming.file, (limits.import_s, limits.import_frames, SIDE))
        if "error" in found:
            return Refused(name=name, reason=str(found["error"]))
        label = self._labels.ensure(incoming.label)
        with self._clips.lock:
            home = self._clips.new_path(label, incoming.subject, suffix)
            shutil.move(incoming.file, home)
            path, made = home.relative_to(self._clips.folder.root).as_posix(), now()
            facts = {name: found[name] for name in ("frames", "fps", "width", "height")}
            facts |= {"file_s": found["seconds"], "made": made, "changed": made}
            spans = cut(found["seconds"], SPAN_S) if is_none(label) else [(None, None)]
            records = [
                Record(id=new_id(), path=path, label=label, subject=incoming.subject, start_s=span[0], end_s=span[1])
                for span in spans
            ]
            records = [record.model_copy(update=facts) for record in records]
            self._clips.add(records)
        return records

    def _members(self, incoming: Incoming) -> Iterator[list[Record] | Refused]:
        """Imports each video of a zip; its folder is its label. Raises Refuse 413 and 415."""
        try:
            with open_zip(incoming.file) as archive:
                infos = [info for info in archive.infolist() if not info.is_dir() and _is_wanted(info.filename)]
                self._check(infos)
                for number, info in enumerate(infos):
                    yield self._member(incoming, archive, info, number)
        except ValueError as error:
            raise Refuse(415, f"The zip cannot be read: {error}.", "a zip of videos", field="body") from error

    def _check(self, infos: list[zipfile.ZipInfo]) -> None:
        limits = self._limits
        if len(infos) > limits.zip_files:
            raise Refuse(
                413, f"The zip contains {len(infos)} files.", f"at most {limits.zip_files}", "Split it.", "body"
            )
        total = sum(info.file_size for info in infos)
        if total > limits.zip_unpacked_bytes:
            most = f"at most {limits.zip_unpacked_bytes / 2**30:.0f} GB"
            raise Refuse(413, f"The zip would unpack to {total / 2**30:.1f} GB.", most, "Split it.", "body")

    def _member(
        self, incoming: Incoming, archive: zipfile.ZipFile, info: zipfile.ZipInfo, number: int
    ) -> list[Record] | Refused:
        name = PurePosixPath(info.filename.replace("\\", "/"))
        label = name.parent.name if name.parent.name not in ("", "..") else incoming.label
        file = incoming.file.with_name(f"{incoming.file.name}-{number}{name.suffix.lower()[:8]}")
        if info.file_size > self._limits.import_bytes:
            return Refused(name=printable(str(name))[:120], reason="it is larger than 200 MB")
        try:
            label = TypeAdapter(Name).validate_python(label)
            _unpack(archive, info, file)
            return self._video(Incoming(file, name.name, label, incoming.subject))
        except ValidationError:
            return Refused(
                name=printable(str(name))[:120], reason="its folder's name is not a label of 1 to 40 characters"
            )
        except Refuse as error:
            return Refused(name=printable(str(name))[:120], reason=error.body.error)
        finally:
            file.unlink(missing_ok=True)


def _is_wanted(name: str) -> bool:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return not any(part.startswith(".") or part == "__MACOSX" for part in parts if part != "..")


def _unpack(archive: zipfile.ZipFile, info: zipfile.ZipInfo, file: Path) -> None:
    """Unpacks in chunks; zipfile enforces the size that the archive declares, and its checksum."""
    with archive.open(info) as source, file.open("wb") as target:
        while piece := source.read(_PIECE):
            target.write(piece)
