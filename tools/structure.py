"""Counts what makes `src/gesta` hard to change, and fails if a count exceeds its limit. Standard library only.

    python -m tools.structure                          one line per rule: count, limit, goal
    python -m tools.structure --list task-branches     the places of a count; also --json

The rules are mechanical, and comments cannot make exceptions:

task-branches     Places outside `tasks/` that depend on the task. A *name* is one of NAMES or a folder of
                  `tasks/`; a *type* is a class that starts with a name (`PoseNet`), ends with Manifest, Recipe,
                  Recognizer or Predictor, or is defined in a folder of `tasks/`. Each of these counts as one:
                  a comparison (==, !=, is, in, not in) with a name or type on either side, alone or in a literal
                  tuple, list or set; `isinstance` and `issubclass` with a type; a `match` case with either; a key of
                  a dict display in which two or more keys, and at least half of them, are names or types; a lookup
                  (`TABLE[key]`, `TABLE.get(key)`) in an ALL_CAPS table by a name or by `x.kind`; a call of
                  `is_for_...`. Not counted: a name as the key of other dicts or of subscripts, in annotations and
                  as an argument. "stored" is not a name: as a string it is the form of a file.
import-circles    Import cycles: groups of two or more modules that import each other (strongly connected). Every import
                  statement counts: at the top, in functions, under TYPE_CHECKING. That importing a.b.c also runs a/
                  and a/b/__init__.py does not count; neither do names of modules in strings.
package-circles   The same for the packages directly below `gesta`.
long-functions    Functions of more than 60 lines, from `def` to the last line, docstring and comments included.
many-parameters   Functions with more than 8 parameters, without `self` and `cls`; `*` and `**` count as one each.
                  Except commands (in `cli/`, with a parameter that is a typer option or argument, also by an alias
                  that ends with Option, Flag or Argument) and builders of networks (`models/`, `tasks/*/network.py`).
near-duplicates   Pairs of places that share six or more consecutive lines of code: identical, or equal except for
                  names, strings and numbers if six lines have at least 36 tokens. Blank lines, comments, docstrings,
                  imports and lines without a word are ignored. Six lines in more than eight places do not count.
                  Between two files the longest run is taken first, and a line belongs to one run per side; three equal
                  places are three pairs, or two in one file.
statements        Statements of the source (ast.stmt, without docstrings) outside NEW, the modules and packages of
                  features added later. Reported only: --list gives the packages, including NEW.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.import_circles import circles, import_graph, package_graph
from tools.modules import Module, is_text, modules_of
from tools.near_duplicates import near_duplicates

LIMITS: dict[str, tuple[int | None, int | None]] = {
    "task-branches": (3, 10),
    "import-circles": (0, 0),
    "package-circles": (0, 0),
    "long-functions": (0, 0),
    "many-parameters": (3, 5),
    "near-duplicates": (26, 42),
    "statements": (None, 17961),
}
"""Rule -> current limit (`make lint` fails above it) and goal; None: only reported.

The goal for statements is 14/15 of the 19244 at 2895dc4. Lower a limit when its count falls; never raise one.
"""

NEW = ("live", "trackers", "web", "tasks.text")
"""Modules and packages below gesta whose statements are counted separately."""

NAMES = frozenset(
    ("clips", "features", "hands", "images", "text", "classifier", "pose", "poses", "sequence", "sequences", "chain")
)
MOST_LINES, MOST_PARAMETERS = 60, 8

_OPENING = re.compile(r"(Clips?|Features?|Hands?|Images?|Text|Classifier|Poses?|Sequences?|Chain|Stored)[A-Z]\w*")
_ENDING = re.compile(r"\w*(Manifest|Recipe|Recogni[sz]er|Predictor)")
_OPTION = re.compile(r"typer\.(Option|Argument)\(|\w(Option|Flag|Argument)$")
Function = ast.FunctionDef | ast.AsyncFunctionDef


# --- task-branches


@dataclass(frozen=True)
class Vocabulary:
    """The names of tasks, and of the classes that belong to a task."""

    names: frozenset[str]
    types: frozenset[str]

    @classmethod
    def of(cls, modules: Iterable[Module]) -> Vocabulary:
        own = [m for m in modules if re.match(r"tasks\.\w+\.", m.name) or (m.within("tasks") and m.is_package)]
        own = [m for m in own if m.name != "tasks"]
        types = {node.name for module in own for node in module.tree.body if isinstance(node, ast.ClassDef)}
        return cls(NAMES | {module.name.split(".")[1] for module in own}, frozenset(types))

    def is_name(self, node: ast.AST | None) -> bool:
        return isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in self.names

    def is_type(self, node: ast.AST | None) -> bool:
        name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
        return name in self.types or bool(_OPENING.fullmatch(name) or _ENDING.fullmatch(name))

    def has(self, node: ast.AST | None) -> bool:
        if isinstance(node, (ast.Tuple, ast.List, ast.Set)):
            return any(self.has(item) for item in node.elts)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            return self.has(node.left) or self.has(node.right)
        return self.is_name(node) or self.is_type(node)


def task_branches(modules: list[Module]) -> list[str]:
    words = Vocabulary.of(modules)
    return [
        f"{module.at(where)}  {ast.unparse(where)[:90]}"
        for module in modules
        if not module.within("tasks")
        for node in ast.walk(module.tree)
        for where in _branches(node, words)
    ]


def _branches(node: ast.AST, words: Vocabulary) -> Iterator[ast.expr | ast.pattern]:
    """The parts of this node, without nested nodes, that depend on the task."""
    match node:
        case ast.Compare():
            if any(words.has(side) for side in (node.left, *node.comparators)):
                yield node
        case ast.Dict():
            keys = [key for key in node.keys if key is not None and words.has(key)]
            yield from keys if len(keys) >= 2 and 2 * len(keys) >= len(node.keys) else []
        case ast.Call(func=ast.Name(id="isinstance" | "issubclass"), args=[_, kind]):
            if words.has(kind):
                yield node
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name.lstrip("_").startswith("is_for_"):
            yield node
        case (
            ast.Subscript(value=ast.Name(id=table) | ast.Attribute(attr=table), slice=key)
            | ast.Call(func=ast.Attribute(value=ast.Name(id=table), attr="get"), args=[key, *_])
        ) if table.isupper():
            if words.is_name(key) or (isinstance(key, ast.Attribute) and key.attr == "kind"):
                yield node
        case ast.MatchValue(value=value) if words.has(value):
            yield node
        case ast.MatchClass(cls=kind) if words.is_type(kind):
            yield node


# --- functions


def functions(module: Module) -> Iterator[tuple[Function, str]]:
    """Every function and method, with its place and name."""
    for node in ast.walk(module.tree):
        if isinstance(node, Function):
            yield node, f"{module.at(node)}  {node.name}"


def long_functions(modules: list[Module]) -> list[str]:
    sized = [
        (1 + (node.end_lineno or node.lineno) - node.lineno, where) for m in modules for node, where in functions(m)
    ]
    return [f"{where}  {n} lines" for n, where in sorted(sized, reverse=True) if n > MOST_LINES]


def many_parameters(modules: list[Module]) -> list[str]:
    sized = [
        (len(parameters(node)), where)
        for module in modules
        if not module.within("models") and not re.fullmatch(r"tasks\.\w+\.network(\..*)?", module.name)
        for node, where in functions(module)
        if not (module.within("cli") and is_command(node))
    ]
    return [f"{where}  {n} parameters" for n, where in sorted(sized, reverse=True) if n > MOST_PARAMETERS]


def parameters(node: Function) -> list[ast.arg]:
    given = node.args
    stars = [star for star in (given.vararg, given.kwarg) if star is not None]
    return [a for a in [*given.posonlyargs, *given.args, *given.kwonlyargs, *stars] if a.arg not in ("self", "cls")]


def is_command(node: Function) -> bool:
    defaults = [default for default in (*node.args.defaults, *node.args.kw_defaults) if default is not None]
    told = [a.annotation for a in parameters(node) if a.annotation is not None] + defaults
    return any(_OPTION.search(ast.unparse(part)) for part in told)


# --- statements and the table


def statements(modules: list[Module]) -> Counter[str]:
    """Number of statements by package; those of NEW separately, with a plus."""
    found: Counter[str] = Counter()
    for module in modules:
        new = next((f"+{part}" for part in NEW if module.within(part)), None)
        own = sum(isinstance(node, ast.stmt) and not is_text(node) for node in ast.walk(module.tree))
        found[new or module.name.split(".")[0] or "(root)"] += own
    return found


def counted(root: Path) -> dict[str, tuple[int, list[str]]]:
    """Rule -> its count and the places that were counted."""
    modules = modules_of(root)
    graph = import_graph(modules, root.name)
    sizes = statements(modules)
    lists: dict[str, list[str]] = {
        "task-branches": task_branches(modules),
        "import-circles": circles(graph),
        "package-circles": circles(package_graph(graph)),
        "long-functions": long_functions(modules),
        "many-parameters": many_parameters(modules),
        "near-duplicates": near_duplicates(modules),
    }
    found = {rule: (len(places), places) for rule, places in lists.items()}
    before = sum(n for name, n in sizes.items() if not name.startswith("+"))
    return found | {"statements": (before, [f"{name}  {n}" for name, n in sorted(sizes.items())])}


def table(found: dict[str, tuple[int, list[str]]]) -> tuple[list[str], list[str]]:
    """The lines of the table, and a message for each count over its limit."""
    lines, over = [f"{'':18}{'count':>7}{'limit':>7}{'goal':>7}"], []
    for rule, (count, _) in found.items():
        limit, goal = LIMITS[rule]
        shown = "".join(f"{'-' if number is None else number:>7}" for number in (count, limit, goal))
        lines.append(f"{rule:18}{shown}")
        if limit is not None and count > limit:
            over.append(
                f"{rule}: {count}, the limit is {limit}. List the places: python -m tools.structure --list {rule}"
            )
    return lines, over


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Count what makes the source hard to change.")
    parser.add_argument("--list", choices=LIMITS, metavar="RULE", help=f"list the places of one: {', '.join(LIMITS)}")
    parser.add_argument("--json", action="store_true", help="print counts and places as one JSON document")
    parser.add_argument("--root", type=Path, default=Path("src/gesta"), help="folder of the package")
    given = parser.parse_args(arguments)
    if not (given.root / "__init__.py").is_file():
        parser.error(f"{given.root} is not a package; run this in the folder that has src/gesta, or use --root")
    found = counted(given.root)
    lines, over = table(found)
    if given.json:
        print(json.dumps({rule: {"count": count, "places": places} for rule, (count, places) in found.items()}))
    else:
        print(*(found[given.list][1] if given.list else lines + over), sep="\n")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
