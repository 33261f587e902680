"""Tests the release: `make base` builds the sdist and, from it, the wheel in `dist/`, installs the wheel without extras
in a fresh environment, and runs a model there.

Prints one JSON document; fails if PyTorch is installed, a command fails or the size is over the limit.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff")
LIMIT_MB = 600
ABSENT = ("torch", "lightning", "onnxruntime", "onnx", "nncf", "matplotlib")
VIDEO = """
import sys, av, numpy
with av.open(sys.argv[1], "w") as container:
    stream = container.add_stream("mpeg4", rate=20)
    stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
    for i in range(40):
        image = numpy.full((120, 160, 3), 60, numpy.uint8)
        image[30:90, 40 + i : 70 + i] = 220
        container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
    container.mux(stream.encode())
"""
PACKAGES = """
import json, sys, sysconfig
from importlib.util import find_spec
print(json.dumps([sysconfig.get_path("purelib"), [name for name in sys.argv[1:] if find_spec(name)]]))
"""


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="gesta-base-") as scratch:
        found = check(Path(scratch))
    print(json.dumps(found, indent=1))
    if found["not_wanted"]:
        sys.exit(f"the base install contains {', '.join(found['not_wanted'])}")
    if found["site_packages_mb"] > LIMIT_MB:
        sys.exit(f"the base install takes {found['site_packages_mb']} MB, more than {LIMIT_MB} MB")


def check(scratch: Path) -> dict[str, Any]:
    """Installs the wheel and runs the packaged model."""
    wheel = build(scratch)
    home = scratch / "venv"
    venv.create(home, with_pip=True)
    python = str(home / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
    run(scratch, python, "-m", "pip", "install", "--quiet", "-c", str(ROOT / "constraints.txt"), str(wheel))
    folder, present = json.loads(run(scratch, python, "-c", PACKAGES, *ABSENT))
    video = str(scratch / "video.mp4")
    run(scratch, python, "-c", VIDEO, video)
    gesta = (python, "-c", "from gesta.cli import main; main()")
    whole = json.loads(run(scratch, *gesta, "predict", "demo", video, "--json"))
    streamed = run(scratch, *gesta, "predict", "demo", video, "--stream", "--json").splitlines()
    speed = json.loads(run(scratch, *gesta, "benchmark", "demo", "--seconds", "0.2", "--no-train", "--json"))
    return {
        "wheel": {"name": wheel.name, "kb": round(wheel.stat().st_size / 1e3)},
        "version": run(scratch, *gesta, "--version").strip(),
        "predicted": whole["label"],
        "stream": [json.loads(line)["label"] for line in streamed],
        "latency": [row for row in speed["latency"] if "chunk" in row],
        "not_wanted": present,
        "site_packages_mb": megabytes(Path(folder)),
    }


def build(scratch: Path) -> Path:
    """Builds sdist and wheel in dist/ from a copy of the source, so that no build folder is left; returns the wheel."""
    source = scratch / "source"
    source.mkdir()
    for name in SOURCES:
        shutil.copy(ROOT / name, source / name)
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
    for former in DIST.glob("gesta_vision-*"):
        former.unlink()
    run(scratch, sys.executable, "-m", "build", "--outdir", str(DIST), str(source))
    (wheel,) = DIST.glob("*.whl")
    return wheel


def run(scratch: Path, *command: str) -> str:
    """Runs a command outside the checkout, to import nothing from it; returns its output. Exits if it fails."""
    done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


def megabytes(folder: Path) -> int:
    """Size of all files in MB, including pip and compiled Python files."""
    return round(sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6)


if __name__ == "__main__":
    main()
