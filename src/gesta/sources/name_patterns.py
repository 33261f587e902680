"""Patterns that extract a person or a label from the names of files and folders: `{subject}_*`, `*/{subject}/*`."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from gesta.schema import GestaError


class NamePattern:
    """`{field}` matches the value to extract, `*` any text and `?` one character, both within one path component.

    Without a slash the pattern is matched against the file name without (or with) its extension; with one, against the
    path relative to the data folder. `{field}` is non-greedy: `{subject}_*` finds anna in anna_wave_1.mp4.
    Raises GestaError (usage) if the pattern does not contain the field exactly once.
    """

    def __init__(self, pattern: str, field: str) -> None:
        if pattern.count(f"{{{field}}}") != 1:
            raise GestaError(
                f"--{field} {pattern!r}: expected a pattern that contains {{{field}}} once, e.g. '{{{field}}}_*' for "
                f"names like anna_01.mp4, or '*/{{{field}}}/*' for folders.",
                usage=True,
            )
        pieces = {"*": "[^/]*?", "?": "[^/]", f"{{{field}}}": "([^/]+?)"}
        words = re.split(rf"(\*|\?|{{{field}}})", pattern)
        self._regex = re.compile("".join(pieces.get(word) or re.escape(word) for word in words))
        self._whole = "/" in pattern

    def find(self, relative: str) -> str | None:
        """Returns the field's value in a path with forward slashes, or None if the pattern does not match."""
        path = PurePosixPath(relative)
        name = relative if self._whole else path.name
        for text in (name.removesuffix(path.suffix), name):
            if found := self._regex.fullmatch(text):
                return found[1].strip() or None
        return None
