"""Patterns that find a person or a label in the names of files and folders: `{subject}_*`, `*/{subject}/*`."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from gesta.schema import GestaError


class NamePattern:
    """`{field}` stands for what is looked for, `*` for anything and `?` for one character, both within one name.

    Without a slash the pattern is held against the file's name without its ending (or with it); with one, against the
    whole path from the data folder. `{field}` takes as little as it can: `{subject}_*` finds anna in anna_wave_1.mp4.
    Raises GestaError (usage) for a pattern that does not hold the field once.
    """

    def __init__(self, pattern: str, field: str) -> None:
        if pattern.count(f"{{{field}}}") != 1:
            raise GestaError(
                f"--{field} {pattern!r}: expected a pattern that holds {{{field}}} once, e.g. '{{{field}}}_*' for "
                f"names like anna_01.mp4, or '*/{{{field}}}/*' for folders.",
                usage=True,
            )
        pieces = {"*": "[^/]*?", "?": "[^/]", f"{{{field}}}": "([^/]+?)"}
        words = re.split(rf"(\*|\?|{{{field}}})", pattern)
        self._regex = re.compile("".join(pieces.get(word) or re.escape(word) for word in words))
        self._whole = "/" in pattern

    def find(self, relative: str) -> str | None:
        """What the field stands for in a path with forward slashes; None where the pattern does not fit."""
        path = PurePosixPath(relative)
        name = relative if self._whole else path.name
        for text in (name.removesuffix(path.suffix), name):
            if found := self._regex.fullmatch(text):
                return found[1].strip() or None
        return None
