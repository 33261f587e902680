"""The networks on skeletons in OpenVINO's format: the same answers, for clips of any length and frame by frame."""

from __future__ import annotations

import numpy as np
import openvino as ov
import pytest
import torch

from gesta.bundle.manifest import Tensor
from gesta.engines.convert_openvino import convert
from gesta.engines.part import Part
from gesta.models.catalog import SKELETON_MODELS, build_skeleton

JOINTS, CLASSES = 20, 5
EDGES = [(i, i + 1) for i in range(JOINTS - 1)]
SKELETON = Tensor(name="skeleton", dtype="float32", shape=(-1, -1, JOINTS, 3))
MASK = Tensor(name="mask", dtype="bool", shape=(-1, -1, JOINTS))
LOGITS = Tensor(name="logits", dtype="float32", shape=(-1, CLASSES))


class Step(torch.nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, skeleton, mask, *states):
        return self.network.step(skeleton, mask, *states)


def network(name):
    torch.manual_seed(0)
    return build_skeleton(name, classes=CLASSES, joints=JOINTS, edges=EDGES).eval()


def compiled(part, folder):
    files = convert(part, "net")
    for name, content in files.items():
        (folder / name).write_bytes(content)
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    return ov.Core().compile_model(folder / "net.xml", "CPU", settings)


def clip(batch, frames, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, frames, JOINTS, 3, generator=generator), torch.rand(
        batch, frames, JOINTS, generator=generator
    ) > 0.1


@pytest.mark.integration
@pytest.mark.parametrize("name", SKELETON_MODELS)
def test_whole_clips_of_any_length(name, tmp_path):
    model = network(name)
    lengths = Tensor(name="lengths", dtype="int64", shape=(-1,))
    example = (*clip(2, 40), torch.tensor([40, 31]))
    exported = compiled(Part("whole", model, example, (SKELETON, MASK, lengths), (LOGITS,)), tmp_path)
    for batch, frames in ((2, 40), (1, 77), (3, 5)):
        feed = (*clip(batch, frames, seed=frames), torch.tensor([frames, frames - 2, 3][:batch]))
        with torch.no_grad():
            wanted = model(*feed)
        found = next(iter(exported([x.numpy() for x in feed]).values()))
        np.testing.assert_allclose(found, wanted.numpy(), atol=1e-4)


def test_step_with_named_state(tmp_path):
    model = network("tcn")
    states = tuple(Tensor(name=k, dtype="float32", shape=s) for k, s in model.state_shapes.items())
    later = tuple(s.model_copy(update={"name": f"{s.name}_out"}) for s in states)
    start = [torch.zeros([1 if n == -1 else n for n in s.shape]) for s in states]
    example = (*clip(1, 1), *start)
    exported = compiled(
        Part("step", Step(model), example, (SKELETON, MASK, *states), (LOGITS, *later), states), tmp_path
    )
    skeleton, mask = clip(1, 70)
    state = {s.name: value.numpy() for s, value in zip(states, start, strict=True)}
    with torch.no_grad():
        whole = model.forward_steps(skeleton, mask)[0].numpy()
    for frame in range(70):
        now = {"skeleton": skeleton[:, frame : frame + 1].numpy(), "mask": mask[:, frame : frame + 1].numpy()}
        found = exported({**now, **state})
        state = {s.name: found[f"{s.name}_out"] for s in states}
        np.testing.assert_allclose(found["logits"][0], whole[frame], atol=1e-4)
