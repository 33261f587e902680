"""Check whether a sample of LaTeX is well formed: balanced braces and environments, and whether TeX accepts it."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

_COMMENT = re.compile(r"(?<!\\)((?:\\\\)*)%.*")
_ESCAPED = re.compile(r"\\[\\{}%]")
_ENVIRONMENT = re.compile(r"\\(begin|end)\s*\{([^{}]*)\}")
TEX_SECONDS = 30
_PAGE = r"""\documentclass{article}
\usepackage{amsmath,amssymb,amsthm}
\newtheorem{theorem}{Theorem}\newtheorem{lemma}{Lemma}\newtheorem{proposition}{Proposition}
\newtheorem{definition}{Definition}\newtheorem{remark}{Remark}\newtheorem{example}{Example}
\begin{document}
%s
\end{document}
"""


def whole_paragraphs(sample: str) -> str:
    """Return the text between the first and the last blank line, because samples start and end mid-paragraph.

    A sample without a whole paragraph is returned as it is, cut ends and all.
    """
    parts = re.split(r"\n\s*\n", sample)
    return "\n\n".join(parts[1:-1]) if len(parts) > 2 else sample


def braces_balance(source: str) -> bool:
    """Return whether braces are balanced; comments and escaped braces do not count."""
    depth = 0
    for character in _ESCAPED.sub("", _COMMENT.sub(r"\1", source)):
        depth += (character == "{") - (character == "}")
        if depth < 0:
            return False
    return depth == 0


def environments_balance(source: str) -> bool:
    r"""Return whether every \begin{name} has its \end{name}, properly nested; comments do not count."""
    held: list[str] = []
    for which, name in _ENVIRONMENT.findall(_COMMENT.sub(r"\1", source)):
        if which == "begin":
            held.append(name)
        elif not held or held.pop() != name:
            return False
    return not held


def compiles(source: str) -> bool | None:
    """Return whether pdflatex compiles the source in a plain article without errors; None if pdflatex is missing.

    The source is written by a model, so TeX runs without shell access, in a temporary folder, for at most TEX_SECONDS.
    """
    program = shutil.which("pdflatex")
    if program is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "sample.tex").write_text(_PAGE.replace("%s", source), encoding="utf-8")
        command = [program, "-no-shell-escape", "-halt-on-error", "-interaction=batchmode", "sample.tex"]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, timeout=TEX_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            return False
    return done.returncode == 0


def shares(samples: list[str]) -> dict[str, float | None]:
    """Return the shares of samples whose whole paragraphs have balanced braces, environments, both, and compile."""
    paragraphs = [whole_paragraphs(sample) for sample in samples]
    braces = [braces_balance(source) for source in paragraphs]
    environments = [environments_balance(source) for source in paragraphs]
    made = [compiles(source) for source in paragraphs]
    count = max(len(samples), 1)
    return {
        "braces": sum(braces) / count,
        "environments": sum(environments) / count,
        "both": sum(a and b for a, b in zip(braces, environments, strict=True)) / count,
        "compiles": None if None in made else sum(map(bool, made)) / count,
    }
