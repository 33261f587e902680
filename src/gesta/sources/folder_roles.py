"""Infers what the levels of a folder tree mean: splits, people, classes.

Only the names of folders that contain clips are considered. If there is more than one interpretation, the likeliest is
used and reported.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from gesta.sources.files import folder_split
from gesta.untrusted import same_text

Role = Literal["split", "subject", "label", "group"]
"""group: a level without meaning here, such as recording days."""
Folders = Sequence[tuple[str, ...]]
"""For each clip, the folders above it, starting at the root."""

_PERSON = re.compile(
    r"(p|s|subj(ect)?|person|people|participant|user|signer|actor|performer|speaker|proband|vpn?|u|id)[-_ ]?\d+", re.I
)
_TECHNICAL = re.compile(
    r"(rgb|colou?r|depth|ir|infrared|mask|skeletons?|flow|raw|videos?|clips?|frames?|images?|kinect\w*|realsense\w*)"
    r"|(day|session|take|trial|rep|repetition|run|set|part|seq|sequence|cam|camera|view|angle|fold|batch|scene|clip|video|vid|sample|frame|c|k|t|r|v)"
    r"[-_ ]?\d+|\d{4}[-_.]?\d\d[-_.]?\d\d\b.*",
    re.I,
)
_NEARLY_ALL = 0.75
"""Fraction of the folders that must contain a name for it to count as present everywhere."""
_FEW_LOOSE = 0.1
"""Fraction of clips that may be one level too high without changing the roles."""
_SHOWN = 6


@dataclass(frozen=True)
class Roles:
    """The roles of the top levels; deeper folders have none. `note` explains the choice if it was ambiguous."""

    levels: tuple[Role, ...]
    note: str = ""


def looks_like_person(name: str) -> bool:
    """Returns whether a name looks like `p01`, `subject_3`, `S01` or `signer 12`."""
    return _PERSON.fullmatch(name.strip()) is not None


def is_technical(name: str) -> bool:
    """Returns whether a name says how or when a clip was recorded: `rgb`, `cam1`, `session 2`, `2024-01-03`."""
    return _TECHNICAL.fullmatch(name) is not None


def read_roles(folders: Folders) -> Roles:
    """Returns the likeliest roles: `("label",)` by default, `("split",)` if there are no classes."""
    tops = {folder[0] for folder in folders}
    parts = {name: folder_split(name) for name in tops if folder_split(name)}
    if len(parts) < len(tops) and len(set(parts.values())) < 2:
        return _below(folders)
    inside = [folder[1:] for folder in folders if folder[0] in parts and len(folder) > 1]
    others = sorted(tops - set(parts))
    note = f"not in a training, validation or test folder, so skipped: {_names(others)}." if others else ""
    if not inside:
        return Roles(("split",), note)
    below = _below(inside)
    return Roles(("split", *below.levels), " ".join(filter(None, (below.note, note))))


def _below(folders: Folders) -> Roles:
    """Returns the roles of levels that contain no split, except possibly below the classes."""
    inside: dict[str, set[str]] = defaultdict(set)
    loose = 0
    for folder in folders:
        inside[folder[0]].update(map(same_text, folder[1:2]))
        loose += len(folder) == 1
    names = set().union(*inside.values())
    if not names or loose > _FEW_LOOSE * len(folders):
        return Roles(("label",))
    if all(map(folder_split, names)):
        return Roles(("label", "split"))
    tops, persons = set(inside), all(map(looks_like_person, inside))
    if all(map(looks_like_person, names)) and not persons:
        return Roles(("label", "subject"), f"the folders {_names(names)} inside the classes are taken as people.")
    if all(map(is_technical, names)) or len(names) < 2:
        return Roles(("label",))
    upper: Role = "group" if all(map(is_technical, tops)) or (len(tops) == 1 and not persons) else "subject"
    if persons or len(tops) == 1 or _are_everywhere(names, list(inside.values())):
        above = (
            f"the folders {_names(tops)} above them as people" if upper == "subject" else f"{_names(tops)} is ignored"
        )
        return Roles(
            (upper, "label"), f"{_alike(inside, names)}: {_names(names)} are taken as the classes, and {above}."
        )
    return Roles(("label",))


def _are_everywhere(names: set[str], inside: list[set[str]]) -> bool:
    """Returns whether nearly all folders have nearly the same subfolders."""
    cells = sum(len(found) for found in inside)
    return cells >= _NEARLY_ALL * len(names) * len(inside) and min(map(len, inside)) >= len(names) / 2


def _alike(inside: dict[str, set[str]], names: set[str]) -> str:
    if len(inside) == 1:
        return "all other folders are in one folder"
    same = all(found == names for found in inside.values())
    return "every top folder has the same subfolders" if same else "the top folders have nearly the same subfolders"


def _names(names: set[str] | list[str]) -> str:
    ordered = sorted(names)
    return ", ".join(ordered[:_SHOWN]) + (f", ... ({len(ordered)})" if len(ordered) > _SHOWN else "")
