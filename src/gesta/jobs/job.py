"""A job: a function and plain arguments. A result file with its key means that it is finished."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gesta.files import json_text, write_files


@dataclass(frozen=True)
class Job:
    """A job: `function` ("module:name") is called with `arguments` and returns a plain dictionary.

    `key` identifies the job's result on disk; `result` is the path it is written to. `leaves`: a file or folder that
    other jobs depend on, without which the job counts as not done. Without `result` the function writes its own files,
    by which the job's creator decides whether it is needed; it must be idempotent.
    """

    title: str
    function: str
    arguments: Mapping[str, Any]
    key: str
    result: Path | None = None
    leaves: Path | None = None

    def finished(self) -> dict[str, Any] | None:
        """The result on disk, or None if it is missing, unreadable or another job's, or if `leaves` is gone."""
        if self.result is None:
            return None
        document = result_of(self.result, self.key)
        lost = self.leaves is not None and not self.leaves.exists()
        return None if lost else document

    def call(self) -> dict[str, Any]:
        """Calls the function and writes its result."""
        module, _, name = self.function.partition(":")
        returned = getattr(importlib.import_module(module), name)(**self.arguments)
        document: dict[str, Any] = {"key": self.key, **returned}
        if self.result is not None:
            write_files(self.result.parent, {self.result.name: json_text(document)})
        return document


def result_of(path: Path, key: str) -> dict[str, Any] | None:
    """The document in a file if it has the key."""
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) and document.get("key") == key else None


def key_of(*parts: object) -> str:
    """Short hash of plain values, identical on every machine."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]
