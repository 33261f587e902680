"""OpenVINO shares the computer: networks of several processes do not all compute on the first core."""

import pytest

from gesta.bundle.manifest import Artifact, Tensor
from gesta.engines.openvino import batch_of, options_for


@pytest.mark.parametrize("threads", [None, 1])
def test_threads_are_not_pinned_to_cores(threads):
    ov = pytest.importorskip("openvino")
    value = ov.opset13.parameter([1, 4], ov.Type.f32)
    model = ov.Model([ov.opset13.relu(value)], [value])
    compiled = ov.Core().compile_model(model, "CPU", options_for("f32", threads))
    assert compiled.get_property("ENABLE_CPU_PINNING") is False
    assert threads is None or compiled.get_property("INFERENCE_NUM_THREADS") == threads


def step(*inputs: tuple[int, ...]) -> Artifact:
    """A step network whose last input is a state."""
    ports = tuple(Tensor(name=f"x{i}", dtype="float32", shape=shape) for i, shape in enumerate(inputs))
    return Artifact(role="step", engine="openvino", file="step.xml", sha256="", inputs=ports, states=ports[-1:])


def test_only_a_batch_is_fixed():
    """Sizes are fixed for a batch of one; a memory of any length stays free."""
    assert batch_of(step((-1, 1, 20, 4), (-1, 128, 2))) == ("x1", 0)
    assert batch_of(step((1, -1), (3, -1, 512))) == ("x1", 1)
    assert batch_of(step((1, -1), (-1, -1, 64), (3, -1, 512))) is None
    whole = step((-1, 1, 20, 4), (-1, 128, 2)).model_copy(update={"role": "whole"})
    assert batch_of(whole) is None
