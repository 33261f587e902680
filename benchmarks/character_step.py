"""Time to predict one character on one core, with the tutorial's network: 3 LSTM layers of 512 units, 65 characters.

    python benchmarks/character_step.py [--rounds 20]

Compares the exported step (OpenVINO: fp32, bf16, and 8-bit weights) with PyTorch in the same run: nn.LSTM with and
without oneDNN, LSTMCell, and plain matrix products; also gives the time to read the weights once at the measured
memory bandwidth. All take turns for several rounds and the best round of each counts, to reduce the effect of other
load on the machine.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import openvino as ov
import torch
from torch import Tensor, nn

from gesta.engines import convert_openvino, host
from gesta.models.language import LanguageNet
from gesta.tasks.text.network import parts

TOKENS, WIDTH, LAYERS = 65, 512, 3
ROUNDS, STEPS = 20, 20
READ_BYTES = 512 * 2**20


def by_cells(network: LanguageNet) -> Callable[[], Tensor]:
    """nn.LSTMCell for each layer."""
    cells = [nn.LSTMCell(WIDTH, WIDTH) for _ in range(LAYERS)]
    for cell, lstm in zip(cells, network.recurrent, strict=True):
        cell.load_state_dict({name.removesuffix("_l0"): value for name, value in lstm.state_dict().items()})
    states = [(torch.zeros(1, WIDTH), torch.zeros(1, WIDTH)) for _ in range(LAYERS)]

    def step() -> Tensor:
        x = network.embedding(torch.zeros(1, dtype=torch.int64))
        for layer, cell in enumerate(cells):
            states[layer] = cell(x, states[layer])
            x = states[layer][0]
        return network.log_probabilities(x)

    return step


def by_products(network: LanguageNet) -> Callable[[], Tensor]:
    """Each layer as one product of a matrix [2048, 1024] and a vector, without a library cell."""
    weights = [torch.cat([lstm.weight_ih_l0, lstm.weight_hh_l0], 1).contiguous() for lstm in network.recurrent]
    biases = [lstm.bias_ih_l0 + lstm.bias_hh_l0 for lstm in network.recurrent]
    states = [[torch.zeros(WIDTH), torch.zeros(WIDTH)] for _ in range(LAYERS)]

    def step() -> Tensor:
        x = network.embedding.weight[0]
        for state, weight, bias in zip(states, weights, biases, strict=True):
            i, f, g, o = torch.addmv(bias, weight, torch.cat([x, state[0]])).chunk(4)
            state[1] = f.sigmoid() * state[1] + i.sigmoid() * g.tanh()
            x = state[0] = o.sigmoid() * state[1].tanh()
        return network.log_probabilities(x)

    return step


def by_lstm(network: LanguageNet, onednn: bool) -> Callable[[], Tensor]:
    state = list(network.start(1))
    token = torch.zeros(1, dtype=torch.int64)

    def step() -> Tensor:
        with torch.backends.mkldnn.flags(enabled=onednn):
            logs, *state[:] = network.step(token, *state)
        return logs

    return step


def exported(network: LanguageNet, precision: str) -> Callable[[], np.ndarray]:
    """The exported step as gesta.engines.openvino runs it: on one core, with the state fed back."""
    (part,) = parts(None, network)  # type: ignore[arg-type]
    stored = precision == "8-bit weights"
    files = convert_openvino.convert_stored(part, "step") if stored else convert_openvino.convert(part, "step")
    core = ov.Core()
    model = core.read_model(files["step.xml"], files["step.bin"])
    from gesta.engines.openvino import _unpack_recurrent

    _unpack_recurrent(model)
    hint = "bf16" if precision == "bf16" else "f32"
    options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": hint}
    request = core.compile_model(model, "CPU", options).create_infer_request()
    feed = {"tokens": np.zeros((1, 1), np.int64)}
    feed |= {name: np.zeros((LAYERS, 1, WIDTH), np.float32) for name in ("h", "c")}

    def step() -> np.ndarray:
        request.infer(feed, share_inputs=True)
        for name in ("h", "c"):
            feed[name] = np.array(request.get_tensor(f"{name}_out").data)
        return np.array(request.get_tensor("log_probabilities").data)

    return step


def seconds_to_read(size: int) -> float:
    """Time to read `size` bytes of a large array once: the best of several sums."""
    held = torch.ones(READ_BYTES // 4)
    best = float("inf")
    for _ in range(5):
        before = time.perf_counter()
        held.sum()
        best = min(best, time.perf_counter() - before)
    return best * size / READ_BYTES


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    host.pin_to_one_core()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = LanguageNet(tokens=TOKENS, embedding=WIDTH, hidden=WIDTH, layers=LAYERS).eval()
    ways: dict[str, Callable[[], object]] = {
        "nn.LSTM, oneDNN": by_lstm(network, True),
        "nn.LSTM, no oneDNN": by_lstm(network, False),
        "LSTMCell": by_cells(network),
        "matrix products": by_products(network),
        "exported, fp32": exported(network, "fp32"),
        "exported, bf16": exported(network, "bf16"),
        "exported, 8-bit weights": exported(network, "8-bit weights"),
    }
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds):
        for name, step in ways.items():
            step()
            before = time.perf_counter()
            for _ in range(STEPS):
                step()
            best[name] = min(best[name], (time.perf_counter() - before) / STEPS)
    size = 4 * sum(p.numel() for p in network.parameters())
    reading = seconds_to_read(size)
    print(f"{host.text(host.describe())}\n{size:,} bytes of weights, read once in {1000 * reading:.2f} ms")
    for name, took in best.items():
        print(f"{name:<24} {1000 * took:6.2f} ms  {1 / took:6.0f} characters/s  {took / reading:5.2f} x reading time")


if __name__ == "__main__":
    main()
