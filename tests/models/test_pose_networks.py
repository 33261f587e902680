"""Hand pose networks: counts as in the document, shapes, finite gradients, a handful learned by heart, independence."""

import pytest
import torch

from gesta.models.deep_model import DEGREES_OF_FREEDOM, HandKinematics
from gesta.models.deep_prior import DeepPrior
from gesta.models.hand_tree import LIMITS
from gesta.models.pose_catalog import POSE_MODELS, build_pose
from gesta.models.pose_fusion import FUNCTIONS, FuseNet, Interleaved, ScoreFusion
from gesta.models.pose_layers import PoseNet, joint_loss
from gesta.models.pose_prior import PosePrior

NYU = ("P1", "P2", "R1", "R2", "M1", "M2", "I1", "I2", "T1", "T2", "T3", "W1", "W2", "C")
ICVL = ("palm", *(f"{f}_{p}" for f in ("thumb", "index", "middle", "ring", "little") for p in ("root", "mid", "tip")))
LAYERS = ("conv1", "pool1", "conv4", "pool2", "conv7", "pool3", "conv9", "fc1", "fc2")
MILLIONS = {
    "net1": 151.42,
    "net2": 151.56,
    "net3": 151.60,
    "net4": 286.94,
    "net5": 151.61,
    "net6": 151.90,
    "net7": 51.05,
    "net8": 26.18,
    "net9": 51.34,
    "deep_prior": 3.18,
    "deep_model": 3.18,
    "anchors": 1.40,
    "score_fusion": 303.81,
    "fuse_net": 151.98,
}


def inputs_of(name: str) -> str:
    return "rgbd" if name in ("score_fusion", "fuse_net") else "depth"


def small(name: str, size: int = 32, **settings: object) -> PoseNet:
    torch.manual_seed(0)
    model = {"name": name, "hidden": 32, "width": 0.25, **settings}
    return build_pose(model, joint_names=NYU, inputs=inputs_of(name), size=size)


def hands(name: str, count: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(count, 4 if inputs_of(name) == "rgbd" else 1, 32, 32, generator=generator) * 2 - 1


def parameters(network: torch.nn.Module) -> float:
    return sum(p.numel() for p in network.parameters()) / 1e6


@pytest.mark.parametrize("name", POSE_MODELS)
def test_parameter_counts_at_full_size(name: str) -> None:
    hidden = 1024 if name.startswith("deep_") else 4096
    with torch.device("meta"):
        model = {"name": name, "hidden": hidden}
        network = build_pose(model, joint_names=NYU, inputs=inputs_of(name), size=128)
    assert parameters(network) == pytest.approx(MILLIONS[name], abs=0.005)


def test_color_networks_have_as_many_but_for_the_first_layer() -> None:
    with torch.device("meta"):
        counts = [
            sum(p.numel() for p in build_pose({"name": "net6"}, joint_names=NYU, inputs=i, size=128).parameters())
            for i in ("depth", "rgb", "rgbd")
        ]
    assert [count - counts[0] for count in counts] == [0, 2 * 32 * 9, 3 * 32 * 9]


@pytest.mark.parametrize("name", POSE_MODELS)
def test_every_network_keeps_the_contract(name: str) -> None:
    network, images = small(name), hands(name)
    truth = torch.rand(3, 14, 3, generator=torch.Generator().manual_seed(2)) - 0.5
    network.start_from(truth)
    found, loss = network.learn(images, truth)
    assert found.shape == (3, 14, 3) and loss.ndim == 0
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    network.eval()
    with torch.inference_mode():
        whole, alone = network(images), network(images[1:2])
    torch.testing.assert_close(whole[1:2], alone, rtol=1e-4, atol=1e-5)  # frames do not see each other
    other = small(name)
    other.load_state_dict(network.state_dict())
    with torch.inference_mode():
        assert torch.equal(other.eval()(images), whole)


@pytest.mark.integration
@pytest.mark.parametrize("name", ["net6", "fuse_net", "deep_prior", "deep_model", "anchors"])
def test_a_handful_is_learned_by_heart(name: str) -> None:
    network, images = small(name, size=16, dropout=0.0), hands(name, 4)[..., :16, :16]
    generator = torch.Generator().manual_seed(3)
    kinematics = HandKinematics(NYU)
    freedom = torch.randn(4, DEGREES_OF_FREEDOM, generator=generator) * 0.3  # poses that a hand can take
    truth = kinematics(freedom).detach()
    network.start_from(truth)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    losses = []
    for _ in range(80):
        found, loss = network.learn(images, truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(joint_loss(found.detach(), truth)))
        if max(losses[-10:]) < 0.2 * losses[0]:
            break
    assert min(losses[-10:]) < 0.2 * losses[0]


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("after", LAYERS)
def test_streams_join_behind_any_layer(function: str, after: str) -> None:
    torch.manual_seed(0)
    network = FuseNet(joints=14, size=16, hidden=16, dropout=0.0, function=function, after=after)
    images = torch.rand(2, 4, 16, 16)
    assert network(images).shape == (2, 14, 3)
    changed = images.clone()
    changed[:, 1:] *= -2
    assert not torch.equal(network(images), network(changed))  # both streams are heard


def test_streams_join_behind_several_layers() -> None:
    torch.manual_seed(0)
    plain = {"joints": 14, "size": 16, "hidden": 16, "dropout": 0.0, "function": "sum"}
    network = FuseNet(**plain, after=["conv2", "conv4"])
    images = torch.rand(2, 4, 16, 16)
    once = FuseNet(**plain, after="conv4")
    once.load_state_dict(network.state_dict())  # sums have no weights
    color = dict(network.color.items())
    depth, colors = images[:, :1], images[:, 1:]
    for name, layer in network.depth.items():
        depth, colors = layer(depth), color[name](colors)
        depth = depth + colors if name in ("conv2", "conv4") else depth
    for layer in network.rest.values():
        depth = layer(depth)
    torch.testing.assert_close(network(images), torch.tanh(depth).unflatten(1, (14, 3)))
    assert not torch.equal(network(images), once(images))


@pytest.mark.parametrize("function", ["gated", "attention"])
@pytest.mark.parametrize("shape", [(2, 8, 4, 4), (2, 8)])
def test_gates_and_attention_begin_as_the_mean_and_learn_to_choose(function: str, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    a, b = torch.randn(shape), torch.randn(shape)
    join = FUNCTIONS[function](8, len(shape) == 2)
    torch.testing.assert_close(join(a, b), (a + b) / 2)
    optimizer = torch.optim.Adam(join.parameters(), lr=0.1)
    for _ in range(60):
        loss = (join(a, b) - b).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05 * (a - b).square().mean().item() / 4


def test_the_prior_asks_for_usual_poses() -> None:
    generator = torch.Generator().manual_seed(0)
    directions = torch.randn(2, 12, generator=generator)
    poses = (torch.randn(50, 2, generator=generator) @ directions + 0.3).unflatten(1, (4, 3))  # a plane of poses
    prior = PosePrior(poses)
    assert prior.components.shape == (2, 12)
    assert prior(poses).item() < 1e-10
    off = torch.randn(1, 12, generator=generator)
    off -= off @ prior.components.T @ prior.components
    moved = poses[:1] + off.unflatten(1, (4, 3))
    assert prior(moved).item() == pytest.approx(off.square().sum().item() / 8, rel=1e-4)  # 1 / (2J), J = 4


def test_interleaved_channels() -> None:
    a, b = torch.arange(3.0).reshape(1, 3, 1, 1), 10 + torch.arange(3.0).reshape(1, 3, 1, 1)
    assert Interleaved()(a, b).flatten().tolist() == [0, 10, 1, 11, 2, 12]


def test_the_documents_loss_by_hand() -> None:
    found, truth = torch.zeros(2, 2, 3), torch.zeros(2, 2, 3)
    found[0, 0, 0], found[1, 1, 2] = 1.0, 3.0
    assert joint_loss(found, truth).item() == pytest.approx((1 / 4 + 9 / 4) / 2)  # 1 / (2J) * squared error, J = 2


def test_weights_of_the_outputs_follow_their_validation_errors() -> None:
    torch.manual_seed(0)
    fusion = ScoreFusion(joints=2, size=16, hidden=4, dropout=0.0, weights="per_output").eval()
    images = torch.rand(3, 4, 16, 16)
    depth, _ = fusion.streams(images)
    truth = depth.detach().clone()
    truth[:, 0] += 5.0  # joint 0: both wrong alike; joint 1: depth is right
    fusion.calibrate([(images[:2], truth[:2]), (images[2:], truth[2:])])
    assert fusion.share[0].tolist() == pytest.approx([0.5] * 3, abs=0.02)
    assert fusion.share[1].tolist() == pytest.approx([1.0] * 3, abs=1e-4)


def test_parts_of_a_score_fusion_are_trained_by_themselves() -> None:
    torch.manual_seed(0)
    images, truth = torch.randn(3, 4, 16, 16), torch.randn(3, 2, 3) / 3
    fusion = ScoreFusion(joints=2, size=16, hidden=4, dropout=0.5, weights="learned")
    moved = {}
    for name, part in fusion.parts():
        fusion.zero_grad()
        found, loss = part.train().learn(images, truth)
        loss.backward()
        moved[name] = {
            key.split(".")[0] for key, p in fusion.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0
        }
        if name == "weights":  # on what the networks say without dropout
            torch.testing.assert_close(found, fusion.eval()(images))
    assert moved == {"depth": {"depth"}, "color": {"color"}, "weights": {"logit"}}
    assert all(p.requires_grad for p in fusion.parameters())
    alone = dict(fusion.parts())
    torch.testing.assert_close(alone["depth"](images), fusion.depth(images[:, :1]))
    torch.testing.assert_close(alone["color"](images), fusion.color(images[:, 1:]))
    fixed = ScoreFusion(joints=2, size=16, hidden=4, dropout=0.0)
    assert [name for name, _ in fixed.parts()] == ["depth", "color"]


def test_prior_starts_from_the_principal_components() -> None:
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(3, 42, generator=generator)
    poses = (torch.randn(50, 3, generator=generator) @ mixing + 1).unflatten(1, (14, 3))  # of three dimensions
    network = DeepPrior(joints=14, channels=1, size=32, hidden=8, dropout=0.0, bottleneck=5)
    network.start_from(poses)
    flat = poses.flatten(1) - network.components.bias
    basis = network.components.weight[:, :3]
    torch.testing.assert_close(flat @ basis @ basis.T, flat, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("names", [NYU, ICVL], ids=["nyu", "icvl"])
def test_bones_keep_their_lengths_whatever_the_angles(names: tuple[str, ...]) -> None:
    hand = HandKinematics(names)
    freedom = torch.randn(5, DEGREES_OF_FREEDOM, generator=torch.Generator().manual_seed(0))
    joints = hand(freedom)
    assert joints.shape == (5, len(names), 3)
    if names is NYU:
        thumb = (joints[:, 8] - joints[:, 9]).norm(dim=1)  # T1 - T2
        torch.testing.assert_close(thumb, hand.bones[0, 2].expand(5))
    moved = freedom.clone()
    moved[:, :3] += 0.25
    torch.testing.assert_close(hand(moved), joints + 0.25)


def test_angles_within_their_limits_cost_nothing() -> None:
    hand, freedom = HandKinematics(NYU), torch.zeros(1, DEGREES_OF_FREEDOM)
    assert hand.beyond(freedom).item() == 0
    freedom[0, 6] = LIMITS[0][1] + 0.5
    assert hand.beyond(freedom).item() == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("model", "inputs", "words"),
    [
        ({"name": "net10"}, "depth", ("net10", "net1", "anchors")),
        ({"name": "fuse_net"}, "depth", ("rgbd",)),
        ({"name": "fuse_net", "after": "conv12"}, "rgbd", ("conv12", "pool3")),
        ({"name": "fuse_net", "function": "mean"}, "rgbd", ("mean", "max")),
        ({"name": "fuse_net", "after": ["conv4", "conv2"]}, "rgbd", ("conv4, conv2", "follow one another")),
        ({"name": "fuse_net", "after": ["conv2", "conv4"], "function": "concatenation"}, "rgbd", ("one layer",)),
        ({"name": "score_fusion", "weights": "best"}, "rgbd", ("best", "per_output")),
    ],
)
def test_what_does_not_fit_is_said(model: dict[str, str], inputs: str, words: tuple[str, ...]) -> None:
    with torch.device("meta"), pytest.raises(ValueError) as caught:
        build_pose(model, joint_names=NYU, inputs=inputs, size=128)
    assert all(word in str(caught.value) for word in words)


def test_sizes_and_joints_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="multiple of 16"):
        build_pose({"name": "anchors"}, joint_names=NYU, inputs="depth", size=40)
    with pytest.raises(ValueError, match="elbow"):
        build_pose({"name": "deep_model", "hidden": 8}, joint_names=("C", "elbow"), inputs="depth", size=32)
