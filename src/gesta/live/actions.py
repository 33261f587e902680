"""Commands that run when a gesture is recognized: each a list of words, never run through a shell."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field

from gesta.schema import GestaError
from gesta.words import did_you_mean

MOST_AT_ONCE = 4
"""Maximum number of running commands; further events do nothing until one has ended."""


@dataclass
class Actions:
    """Maps labels to the words of their commands."""

    commands: dict[str, tuple[str, ...]]
    _running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def lines(self) -> list[str]:
        """Human-readable lines of what would run."""
        return [f"{label}: {shlex.join(words)}" for label, words in self.commands.items()]

    def run(self, label: str) -> bool:
        """Starts the label's command without waiting; False if it has none, or one that cannot run, or too many run."""
        self._running = [process for process in self._running if process.poll() is None]
        words = self.commands.get(label)
        if words is None or len(self._running) >= MOST_AT_ONCE:
            return False
        quiet = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
        try:
            self._running.append(subprocess.Popen(words, **quiet))  # type: ignore[call-overload]
        except OSError:  # removed since, or no program after all; the session goes on
            return False
        return True


def parsed(given: Sequence[str], labels: Sequence[str]) -> Actions:
    """Parses strings like 'wave=playerctl next'. Raises GestaError (usage) for an unknown label or missing program."""
    commands: dict[str, tuple[str, ...]] = {}
    for text in given:
        label, sign, command = text.partition("=")
        try:
            words = tuple(shlex.split(command))
        except ValueError as error:
            raise GestaError(f"--do {text!r}: {error}. Quote the command's words.", usage=True) from error
        if not sign or not words:
            raise GestaError(
                f"--do is {text!r}; expected 'label=command words', such as 'wave=playerctl next'.", usage=True
            )
        if label not in labels:
            known = ", ".join(labels)
            raise GestaError(f"--do {text!r}: the model recognizes {known}.{did_you_mean(label, labels)}", usage=True)
        if shutil.which(words[0]) is None:
            raise GestaError(f"--do {text!r}: there is no program {words[0]!r} here. Give its path.", usage=True)
        commands[label] = words
    return Actions(commands)
