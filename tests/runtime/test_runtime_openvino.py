"""OpenVINO shares the computer: networks of several processes do not all compute on the first core."""

import pytest

from gesta.engines.openvino import options_for


@pytest.mark.parametrize("threads", [None, 1])
def test_threads_are_not_pinned_to_cores(threads):
    ov = pytest.importorskip("openvino")
    value = ov.opset13.parameter([1, 4], ov.Type.f32)
    model = ov.Model([ov.opset13.relu(value)], [value])
    compiled = ov.Core().compile_model(model, "CPU", options_for("f32", threads))
    assert compiled.get_property("ENABLE_CPU_PINNING") is False
    assert threads is None or compiled.get_property("INFERENCE_NUM_THREADS") == threads
