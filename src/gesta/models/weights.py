"""Strict loading of published weights into a network: all mismatches are reported at once.

Reads safetensors and PyTorch state dicts (`.pt`, `.pth`: pickles, loaded with tensors only).
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.error import URLError

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from gesta.files import write_whole

OFFICIAL = {
    "resnet18": "https://download.pytorch.org/models/resnet18-f37072fd.pth",
    "resnet34": "https://download.pytorch.org/models/resnet34-b627a593.pth",
    "resnet50": "https://download.pytorch.org/models/resnet50-0676ba61.pth",
    "inception_v1": "https://download.pytorch.org/models/googlenet-1378be20.pth",
    "inception_v3": "https://download.pytorch.org/models/inception_v3_google-0cc3c7bd.pth",
}
"""torchvision's ImageNet files; a name ends with the first digits of the file's sha256."""


class WeightsError(ValueError):
    """A weights file that cannot be used or obtained."""


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name. Raises WeightsError if it is not a weights file, or is damaged."""
    if not path.is_file():
        raise WeightsError(f"{path}: no such weights file.")
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can fail in any way
        raise WeightsError(
            f"{path}: is not a readable weights file ({_reason(path, error)}). "
            "Expected .safetensors or a PyTorch state dict."
        ) from error
    if not isinstance(tensors, Mapping) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in tensors.items()
    ):
        raise WeightsError(f"{path}: contains more than named tensors. Expected a state dict, not a checkpoint.")
    return dict(tensors)


def _reason(path: Path, error: Exception) -> str:
    """Why a file cannot be read; PyTorch's own message advises unsafe loading of pickles."""
    if isinstance(error, OSError):
        return str(error)
    with path.open("rb") as stream:
        start = stream.read(200)
    if start.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer, not the file itself: git lfs pull fetches it"
    if start.lstrip()[:1] == b"<":
        return "it is a web page: download the file itself"
    if start and start.isascii() and start.decode().replace("\n", " ").replace("\r", " ").isprintable():
        return f"it is text: {start.decode().splitlines()[0][:60]!r}"
    if isinstance(error, safetensors.SafetensorError):
        return str(error)
    return "it is not a PyTorch file of tensors, is damaged, or contains more than tensors"


def load_tensors(network: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    """Loads the tensors into the network; `source` names them in error messages.

    The file may contain auxiliary heads (`network.heads`) that the network was built without, and may lack the batch
    counters of batch normalization, as older files do. Raises WeightsError listing all missing, extra and misshaped
    tensors; the network is then unchanged.
    """
    left_out = tuple(f"{name}." for name in getattr(network, "heads", ()) if not hasattr(network, name))
    given = {name: tensor for name, tensor in tensors.items() if not name.startswith(left_out)}
    own = network.state_dict()
    faults = [f"missing    {name} {_shape(own[name])}" for name in own if name not in given and not _counts(name)]
    faults += [f"extra      {name} {_shape(given[name])}" for name in given if name not in own]
    faults += [
        f"misshaped  {name}: {_shape(given[name])} in the file, {_shape(own[name])} in the network"
        for name in own
        if name in given and given[name].shape != own[name].shape
    ]
    if faults:
        lines = "\n  ".join(faults)
        raise WeightsError(
            f"{source}: does not fit the network ({len(faults)} tensors):\n  {lines}\n"
            "Give the file for this network, or name the network that the file belongs to."
        )
    network.load_state_dict(given, strict=False)


def length_of(tensors: Mapping[str, Tensor], name: str, axis: int, otherwise: int) -> int:
    """A tensor's length along an axis; `otherwise` if it has none, which `load_tensors` then reports."""
    shape = tensors[name].shape if name in tensors else ()
    return shape[axis] if len(shape) > axis else otherwise


def load_weights(network: nn.Module, path: Path) -> None:
    """Loads a file into a network, strictly. Raises WeightsError like `read_tensors` and `load_tensors`."""
    load_tensors(network, read_tensors(path), str(path))


def fetch(name: str, folder: Path) -> Path:
    """The official weights of a backbone, downloaded to `folder` unless already there; the sha256 is checked.

    Raises WeightsError if there is no official file, or the download fails, with instructions for doing it by hand.
    """
    if name not in OFFICIAL:
        raise WeightsError(
            f"there is no official file for {name}, only for {', '.join(OFFICIAL)}. Give one with --weights FILE."
        )
    address = OFFICIAL[name]
    path = folder / address.rpartition("/")[2]
    if path.exists():
        return path
    digits = path.stem.rpartition("-")[2]
    try:
        with tempfile.TemporaryDirectory(prefix="gesta-fetch-") as place:
            made = Path(place) / path.name
            torch.hub.download_url_to_file(address, str(made), hash_prefix=digits, progress=False)
            write_whole(path, made.read_bytes())
    except (URLError, OSError, RuntimeError) as error:
        raise WeightsError(
            f"{address}: cannot be downloaded ({error}). Download it elsewhere and give it with --weights FILE."
        ) from error
    return path


def fingerprint(network: nn.Module) -> str:
    """sha256 over names, types and values of all tensors: the same weights give the same hash."""
    total = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        if not _counts(name):
            total.update(f"{name} {tensor.dtype} {_shape(tensor)}".encode())
            total.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return total.hexdigest()


def _counts(name: str) -> bool:
    return name.endswith(".num_batches_tracked")


def _shape(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "scalar"
