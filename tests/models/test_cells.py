"""The readable cells: equal to the library's, right through time, stacked, in every flavor."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gesta.models.cells import (
    Cell,
    GRUCell,
    LSTMCell,
    RNNCell,
    Stack,
    encode_decode,
    from_library,
    many_to_many,
    many_to_one,
    one_to_many,
)

KINDS = [nn.RNN, nn.LSTM, nn.GRU]
CELLS: list[Cell] = [
    RNNCell(3, 4),
    LSTMCell(3, 4),
    LSTMCell(3, 4, bias=False),
    LSTMCell(3, 4, peepholes=True),
    GRUCell(3, 4),
]


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(3)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_librarys_cell_with_the_same_weights(kind: type[nn.RNNBase], layers: int, bias: bool) -> None:
    library = kind(5, 7, layers, bias=bias).double()
    ours = from_library(library).double()
    inputs = torch.randn(6, 2, 5, dtype=torch.float64)
    expected, state = library(inputs)
    outputs, states = ours(inputs)
    torch.testing.assert_close(outputs, expected, rtol=0, atol=1e-12)
    last = state if isinstance(state, tuple) else (state,)
    for layer, got in enumerate(states):
        for mine, theirs in zip(got, last, strict=True):
            torch.testing.assert_close(mine, theirs[layer], rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_equal_the_librarys(kind: type[nn.RNNBase]) -> None:
    library = kind(3, 4, bias=False).double()
    ours = from_library(library).double()
    inputs = torch.randn(5, 2, 3, dtype=torch.float64)
    for network in (library, ours):
        network(inputs)[0].square().sum().backward()
    gates = {nn.RNN: "h", nn.LSTM: "ifgo", nn.GRU: "rzn"}[kind]
    for name, weight in (("W_x", library.weight_ih_l0), ("W_h", library.weight_hh_l0)):
        mine = torch.cat([getattr(ours.cells[0], f"{name}{gate}").grad for gate in gates])
        torch.testing.assert_close(mine, weight.grad, rtol=0, atol=1e-10)


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: type(cell).__name__)
def test_gradients_through_time_equal_finite_differences(cell: Cell) -> None:
    network = Stack([cell]).double()
    inputs = torch.randn(6, 2, 3, dtype=torch.float64)

    def loss() -> Tensor:
        return network(inputs)[0].square().sum()

    loss().backward()
    for name, parameter in network.named_parameters():
        for index in ((0,) * parameter.dim(), (-1,) * parameter.dim()):
            with torch.no_grad():
                value = parameter[index].item()
                around = []
                for step in (1e-6, -1e-6):
                    parameter[index] = value + step
                    around.append(loss().item())
                parameter[index] = value
            assert parameter.grad is not None
            assert parameter.grad[index].item() == pytest.approx((around[0] - around[1]) / 2e-6, abs=1e-6), name


def thesis_gradients(u: Tensor, w: Tensor, v: Tensor, inputs: Tensor, truth: Tensor) -> tuple[Tensor, ...]:
    """Mullick 2018, equations 6.12 to 6.19, for one sequence: sums over t and k written out, f = tanh.

    ds_k/dW is the direct part only; the product of Jacobians ds_j/ds_{j-1} carries it from k to t (6.21).
    """
    states, s = [], torch.zeros(len(w), dtype=w.dtype)
    for x in inputs:
        s = torch.tanh(u @ x + w @ s)
        states.append(s)
    du, dw, dv = torch.zeros_like(u), torch.zeros_like(w), torch.zeros_like(v)
    for t, s_t in enumerate(states):
        error = torch.softmax(v @ s_t, 0) - nn.functional.one_hot(truth[t], len(v))  # o_t - z_t
        dv += torch.outer(error, s_t)  # 6.15
        for k in range(t + 1):
            jacobian = torch.eye(len(w), dtype=w.dtype)  # ds_t/ds_k
            for j in range(k + 1, t + 1):
                jacobian = (torch.diag(1 - states[j] ** 2) @ w) @ jacobian
            at_k = (error @ v @ jacobian) * (1 - states[k] ** 2)
            before = states[k - 1] if k else torch.zeros_like(s)
            dw += torch.outer(at_k, before)
            du += torch.outer(at_k, inputs[k])
    return du, dw, dv


def test_gradients_equal_the_derivation_of_the_thesis() -> None:
    cell = RNNCell(3, 4, bias=False).double()
    v = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    inputs, truth = torch.randn(6, 3, dtype=torch.float64), torch.randint(0, 5, (6,))
    outputs = many_to_many(Stack([cell]), inputs.unsqueeze(1))[:, 0]  # T H
    nn.functional.cross_entropy(outputs @ v.T, truth, reduction="sum").backward()
    expected = thesis_gradients(cell.W_xh.detach(), cell.W_hh.detach(), v.detach(), inputs, truth)
    for mine, theirs in zip((cell.W_xh.grad, cell.W_hh.grad, v.grad), expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-12)


def test_lstm_of_the_slides_worked_by_hand() -> None:
    cell = LSTMCell(1, 1, bias=False)
    for name, parameter in cell.named_parameters():
        nn.init.constant_(parameter, {"W_xi": 1.0, "W_xf": 2.0, "W_xg": 0.5, "W_xo": -1.0}.get(name, 0.0))
    h, c = cell(torch.tensor([[1.0]]), (torch.tensor([[9.0]]), torch.tensor([[0.5]])))
    # i = s(1) = .7311, f = s(2) = .8808, g = tanh(.5) = .4621, o = s(-1) = .2689
    assert c.item() == pytest.approx(0.8808 * 0.5 + 0.7311 * 0.4621, abs=1e-4)
    assert h.item() == pytest.approx(0.2689 * 0.6517, abs=1e-4)  # tanh(.7782)


def test_peepholes_let_the_gates_see_the_cell() -> None:
    plain, seeing = LSTMCell(1, 1, bias=False), LSTMCell(1, 1, bias=False, peepholes=True)
    seeing.load_state_dict(plain.state_dict(), strict=False)
    x, state = torch.ones(1, 1), (torch.zeros(1, 1), torch.full((1, 1), 2.0))
    torch.testing.assert_close(plain(x, state), seeing(x, state))  # peepholes start at zero
    nn.init.constant_(seeing.p_f, 50.0)  # type: ignore[arg-type]
    nn.init.constant_(seeing.p_i, -50.0)  # type: ignore[arg-type]
    assert seeing(x, state)[1].item() == pytest.approx(2.0)  # all is kept, nothing written


def test_flavors() -> None:
    network, inputs = Stack([LSTMCell(4, 4), LSTMCell(4, 4)]), torch.randn(5, 2, 4)
    outputs = many_to_many(network, inputs)
    assert outputs.shape == (5, 2, 4)
    torch.testing.assert_close(many_to_one(network, inputs), outputs[-1])
    chain = one_to_many(network, inputs[0], 3, lambda output: 2 * output)
    again = many_to_many(network, torch.stack([inputs[0], 2 * chain[0], 2 * chain[1]]))
    torch.testing.assert_close(chain, again)
    decoder = Stack([LSTMCell(4, 4), LSTMCell(4, 4)])
    sentence = encode_decode(network, decoder, inputs, inputs[0], 3)
    _, states = network(inputs)
    torch.testing.assert_close(sentence, decoder(torch.stack([inputs[0], *sentence[:2]]), states)[0])


def test_cells_that_do_not_exist_are_refused() -> None:
    for library in (nn.LSTM(3, 4, bidirectional=True), nn.RNN(3, 4, nonlinearity="relu"), nn.LSTM(3, 4, proj_size=2)):
        with pytest.raises(ValueError, match="cells exist for"):
            from_library(library)
