"""Stacked flow, fusion of two streams, and published weights as a start."""

from __future__ import annotations

import checks
import pytest
import safetensors.torch
import torch

from gesta.models.c3d import red_first
from gesta.models.catalog import build, build_backbone
from gesta.models.i3d import I3d, inflated
from gesta.models.inception_v1 import InceptionV1
from gesta.models.start import for_channels, padding_for, start_from, towers
from gesta.models.two_stream import stacked
from gesta.models.weights import WeightsError


def small(name: str = "st_resnet18", **changes) -> torch.nn.Module:
    torch.manual_seed(0)
    settings = {"classes": checks.CLASSES, "streams": 1, "channels": 5, "size": 32, "window": 8, "width": 0.125}
    return build(name, **(settings | changes))


def clips(channels: int = 5, **more) -> torch.Tensor:
    return checks.clips(streams=1, channels=channels, **more)


def test_a_stack_is_each_frame_and_those_before_it() -> None:
    clip = torch.arange(1, 5, dtype=torch.uint8).reshape(1, 1, 1, 4, 1, 1) * torch.ones(1, 1, 2, 1, 1, 1).byte()
    clip[:, :, 1] += 10
    clip = torch.cat([clip, torch.zeros_like(clip[:, :, :, :1])], 3)
    found = stacked(clip, 3)[0, 0, :, :, 0, 0].T.tolist()
    assert found == [
        [1, 11, 1, 11, 1, 11],
        [2, 12, 1, 11, 1, 11],
        [3, 13, 2, 12, 1, 11],
        [4, 14, 3, 13, 2, 12],
        [0] * 6,
    ]


@pytest.mark.parametrize("fusion", ["score", "feature"])
def test_both_networks_learn_and_save(fusion: str, tmp_path) -> None:
    network = small(fusion=fusion, stack=3)
    checks.check_gradients(network, clips())
    checks.check_saves(network, small(fusion=fusion, stack=3), clips(), tmp_path)
    checks.check_independence(network, clips(seed=1))


def test_score_fusion_is_the_mean_of_the_probabilities() -> None:
    network, clip = small(fusion="score", stack=2).eval(), clips()
    with torch.no_grad():
        seen = network.appearance(clip[:, :, :3]).softmax(-1)
        moved = network.motion.network(stacked(clip[:, :, 3:], 2)).softmax(-1)
        torch.testing.assert_close(network(clip).softmax(-1), (seen + moved) / 2)


def test_feature_fusion_is_one_linear_layer_on_both_features() -> None:
    network, clip = small(fusion="feature").eval(), clips()
    with torch.no_grad():
        features = torch.cat(
            [network.appearance.forward_features(clip[:, :, :3]), network.motion.forward_features(clip[:, :, 3:])], 1
        )
        heads = [network.appearance.network.fc, network.motion.network.network.fc]
        weight = torch.cat([head.weight for head in heads], 1)
        expected = features @ weight.T + heads[0].bias + heads[1].bias
        torch.testing.assert_close(network(clip), expected)


def test_reset_classifier_changes_the_classes() -> None:
    network = small(fusion="score", stack=2)
    network.reset_classifier(7)
    assert network(clips()).shape == (4, 7)


def test_kernels_for_other_channels_see_a_gray_picture_as_before() -> None:
    kernel, picture = torch.randn(4, 3, 7, 7), torch.randn(1, 1, 16, 16)
    before = torch.nn.functional.conv2d(picture.expand(-1, 3, -1, -1), kernel)
    other = torch.nn.functional.conv2d(picture.expand(-1, 5, -1, -1), for_channels(kernel, 5))
    torch.testing.assert_close(before, other, atol=1e-4, rtol=1e-4)
    assert for_channels(kernel, 3) is kernel


def test_image_weights_begin_both_streams(tmp_path) -> None:
    torch.manual_seed(1)
    image = build_backbone("resnet18", classes=1000)
    file = tmp_path / "resnet18.safetensors"
    safetensors.torch.save_file(image.state_dict(), file)
    network = small(width=1.0, fusion="score", stack=2)
    old = [tower.network.fc.weight.clone() for tower in towers(network)]
    start_from("st_resnet18", network, str(file), tmp_path)
    for tower, last in zip(towers(network), old, strict=True):
        torch.testing.assert_close(tower.network.layer4[1].conv2.weight, image.layer4[1].conv2.weight)
        torch.testing.assert_close(tower.network.fc.weight, last)
    torch.testing.assert_close(network.appearance.network.conv1.weight, image.conv1.weight)
    assert network.motion.network.network.conv1.weight.shape[1] == 4


def i3d_file(path, channels: int, classes: int = 400, **changes) -> str:
    """Small weights with the names of the published files; `changes`: tensors in place of those, None without."""
    torch.manual_seed(channels)
    tensors = {**I3d(classes=classes, channels=channels, width=0.0625).state_dict(), **changes}
    safetensors.torch.save_file({k: t.contiguous() for k, t in tensors.items() if t is not None}, path)
    return str(path)


def test_each_stream_of_i3d_begins_with_a_file_of_its_own(tmp_path) -> None:
    rgb, flow = i3d_file(tmp_path / "rgb.safetensors", 3), i3d_file(tmp_path / "flow.safetensors", 2)
    settings = {"width": 0.0625, "fusion": "score", "stack": 1}
    network = small("i3d", **settings, weights=rgb, motion_weights=flow)
    heads = [tower.logits.conv3d.weight.clone() for tower in towers(network)]
    start_from("i3d", network, rgb, tmp_path, flow)
    for tower, file, head in zip(towers(network), (rgb, flow), heads, strict=True):
        torch.testing.assert_close(tower.logits.conv3d.weight, head)
        expected = safetensors.torch.load_file(file)
        for name, tensor in tower.state_dict().items():
            if not name.startswith("logits."):
                torch.testing.assert_close(tensor, expected[name])
    alone = small("i3d", **settings)
    untouched = alone.appearance.Conv3d_1a_7x7.conv3d.weight.clone()
    start_from("i3d", alone, None, tmp_path, flow)
    torch.testing.assert_close(alone.appearance.Conv3d_1a_7x7.conv3d.weight, untouched)
    began = alone.motion.network.Mixed_3b.b0.conv3d.weight
    torch.testing.assert_close(began, expected["Mixed_3b.b0.conv3d.weight"])


def test_what_does_not_fit_is_named_for_both_files_at_once(tmp_path) -> None:
    rgb = i3d_file(tmp_path / "rgb.safetensors", 3, **{"Mixed_3b.b0.bn.bias": None})
    changes = {"Mixed_4f.b2b.conv3d.weight": torch.zeros(2, 2), "strange.weight": torch.zeros(1)}
    flow = i3d_file(tmp_path / "flow.safetensors", 2, **changes)
    network = small("i3d", width=0.0625, fusion="score")
    with pytest.raises(WeightsError) as error:
        start_from("i3d", network, rgb, tmp_path, flow)
    told = str(error.value)
    assert f"{rgb}: does not fit the network (1 tensors)" in told and f"{flow}: does not fit the network (2" in told
    assert "missing    Mixed_3b.b0.bn.bias" in told and "extra      strange.weight" in told
    assert "misshaped  Mixed_4f.b2b.conv3d.weight" in told
    with pytest.raises(WeightsError, match=r"flow2\.pt: no such weights file"):
        start_from("i3d", network, i3d_file(tmp_path / "rgb.safetensors", 3), tmp_path, str(tmp_path / "flow2.pt"))


def test_kernels_of_flow_are_repeated_for_stacked_frames() -> None:
    kernel, flow = torch.randn(4, 2, 3, 3), torch.randn(1, 2, 8, 8)
    before = torch.nn.functional.conv2d(flow, kernel)
    after = torch.nn.functional.conv2d(flow.repeat(1, 5, 1, 1), for_channels(kernel, 10))  # five equal frames
    torch.testing.assert_close(before, after, atol=1e-5, rtol=1e-4)


def test_a_flow_file_of_c3d_has_no_order_of_colors() -> None:
    kernel = torch.arange(2.0).reshape(1, 2, 1, 1, 1)
    assert torch.equal(red_first({"conv1.weight": kernel})["conv1.weight"], kernel)
    colors = torch.arange(3.0).reshape(1, 3, 1, 1, 1)
    assert red_first({"conv1.weight": colors})["conv1.weight"].flatten().tolist() == [2, 1, 0]


def test_inception_v1_begins_i3d_inflated(tmp_path) -> None:
    torch.manual_seed(1)
    image = InceptionV1(classes=9, auxiliary=True)
    file = tmp_path / "inception.safetensors"
    safetensors.torch.save_file({k: v.contiguous() for k, v in image.state_dict().items()}, file)
    padding = padding_for("i3d", str(file), tmp_path)
    network = small("i3d", channels=3, width=1.0, padding=padding)
    start_from("i3d", network, str(file), tmp_path)
    expected = inflated(image).state_dict()
    for name, tensor in network.state_dict().items():
        if not name.startswith("logits."):
            torch.testing.assert_close(tensor, expected[name])
    picture = clips(3, batch=2, frames=1, size=64).float()
    with torch.no_grad():
        features = image.eval().forward_features(picture[:, 0, :, 0])
        repeated = network.eval().forward_features(picture.expand(-1, -1, -1, 16, -1, -1))
    assert features.std() > 0.01
    torch.testing.assert_close(repeated, features, rtol=0, atol=1e-4)


def test_weights_that_do_not_fit_are_all_named(tmp_path) -> None:
    file = tmp_path / "resnet18.safetensors"
    safetensors.torch.save_file(build_backbone("resnet18", classes=5, width=0.25).state_dict(), file)
    with pytest.raises(WeightsError, match=r"misshaped  layer4\.1\.conv2\.weight"):
        start_from("st_resnet18", small(width=0.125, channels=3), str(file), tmp_path)
    with pytest.raises(WeightsError, match="no official file for c3d"):
        start_from("c3d", small(), "official", tmp_path)
    with pytest.raises(WeightsError, match="tensors that Inception-v1 does not have"):
        tensors = {**safetensors.torch.load_file(file), "conv1.conv.weight": torch.zeros(1)}
        safetensors.torch.save_file(tensors, file)
        start_from("i3d", small("i3d", channels=3), str(file), tmp_path)
    for name, tensor in (("c3d", "conv1.weight"), ("i3d", "Conv3d_1a_7x7.conv3d.weight"), ("i3d", "conv1.conv.weight")):
        safetensors.torch.save_file({tensor: torch.zeros(1)}, file)
        with pytest.raises(WeightsError, match=r"misshaped  .*conv.*\.weight: 1 in the file"):
            start_from(name, small(name, channels=3, window=16), str(file), tmp_path)
