"""Recurrent cells written for readability: the vanilla RNN, the LSTM and the GRU, one line per equation.

The RNN is Mullick 2018, section 6.2: `s_t = f(U x_t + W s_{t-1})`. The LSTM is that of the tutorial's slides (Ptucha
2019), which have no biases; the thesis (section 1.3.3) adds them, and peepholes (Gers and Schmidhuber 2000) let the
gates see the cell. The GRU is that of Cho et al. 2014 with the reset gate after the recurrent product, as libraries
compute it.

In: inputs [T, B, D]. Out: outputs [T, B, H] and the state, one tuple per layer. Parameters of a layer with biases:
RNN H(D + H + 1), LSTM 4H(D + H + 1), GRU 3H(D + H + 1) + H. Training uses the library's fused cells, which give
the same results with the same weights (`from_library`); their second bias vector per gate only adds parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

State = tuple[Tensor, ...]
"""(h,) or (h, c), each [B, H]."""


def _weights(hidden: int, inputs: int) -> nn.Parameter:
    """[H, D], uniform in +-1/sqrt(H), as in libraries."""
    return nn.Parameter(torch.empty(hidden, inputs).uniform_(-(hidden**-0.5), hidden**-0.5))


def _bias(hidden: int, used: bool) -> nn.Parameter | None:
    return nn.Parameter(torch.zeros(hidden)) if used else None


def _plus(value: Tensor, bias: Tensor | None) -> Tensor:
    return value if bias is None else value + bias


class RNNCell(nn.Module):
    """h = tanh(W_xh x + W_hh h)."""

    def __init__(self, inputs: int, hidden: int, *, bias: bool = True) -> None:
        super().__init__()
        self.hidden = hidden
        self.W_xh, self.W_hh = _weights(hidden, inputs), _weights(hidden, hidden)
        self.b_h = _bias(hidden, bias)

    def start(self, batch: int) -> State:
        return (self.W_hh.new_zeros(batch, self.hidden),)

    def forward(self, x: Tensor, state: State) -> State:
        """x [B, D], state (h [B, H],) -> the next state."""
        (h,) = state
        return (_plus(x @ self.W_xh.T + h @ self.W_hh.T, self.b_h).tanh(),)  # B H


class LSTMCell(nn.Module):
    """Input, forget and output gates and the input node g; the cell c is a sum through which gradients pass unchanged.

    `peepholes`: the gates also see the cell (i and f the old one, o the new one), with one weight per unit.
    """

    def __init__(self, inputs: int, hidden: int, *, bias: bool = True, peepholes: bool = False) -> None:
        super().__init__()
        self.hidden = hidden
        self.W_xi, self.W_hi, self.b_i = _weights(hidden, inputs), _weights(hidden, hidden), _bias(hidden, bias)
        self.W_xf, self.W_hf, self.b_f = _weights(hidden, inputs), _weights(hidden, hidden), _bias(hidden, bias)
        self.W_xg, self.W_hg, self.b_g = _weights(hidden, inputs), _weights(hidden, hidden), _bias(hidden, bias)
        self.W_xo, self.W_ho, self.b_o = _weights(hidden, inputs), _weights(hidden, hidden), _bias(hidden, bias)
        self.p_i, self.p_f, self.p_o = (_bias(hidden, peepholes) for _ in range(3))

    def start(self, batch: int) -> State:
        zeros = self.W_hi.new_zeros(batch, self.hidden)
        return zeros, zeros

    def forward(self, x: Tensor, state: State) -> State:
        """x [B, D], state (h, c), each [B, H] -> the next state."""
        h, c = state
        i = _peep(_plus(x @ self.W_xi.T + h @ self.W_hi.T, self.b_i), self.p_i, c).sigmoid()  # B H: what is written
        f = _peep(_plus(x @ self.W_xf.T + h @ self.W_hf.T, self.b_f), self.p_f, c).sigmoid()  # B H: what is kept
        g = _plus(x @ self.W_xg.T + h @ self.W_hg.T, self.b_g).tanh()  # B H: the RNN's own equation
        c = f * c + i * g  # B H
        o = _peep(_plus(x @ self.W_xo.T + h @ self.W_ho.T, self.b_o), self.p_o, c).sigmoid()  # B H: what is read
        return o * c.tanh(), c


def _peep(value: Tensor, weight: Tensor | None, c: Tensor) -> Tensor:
    return value if weight is None else value + weight * c


class GRUCell(nn.Module):
    """Reset gate r, update gate z; z = 1 keeps the old state."""

    def __init__(self, inputs: int, hidden: int, *, bias: bool = True) -> None:
        super().__init__()
        self.hidden = hidden
        self.W_xr, self.W_hr, self.b_r = _weights(hidden, inputs), _weights(hidden, hidden), _bias(hidden, bias)
        self.W_xz, self.W_hz, self.b_z = _weights(hidden, inputs), _weights(hidden, hidden), _bias(hidden, bias)
        self.W_xn, self.W_hn, self.b_n = _weights(hidden, inputs), _weights(hidden, hidden), _bias(hidden, bias)
        self.b_hn = _bias(hidden, bias)  # scaled by the reset gate, so it cannot be merged with b_n

    def start(self, batch: int) -> State:
        return (self.W_hr.new_zeros(batch, self.hidden),)

    def forward(self, x: Tensor, state: State) -> State:
        """x [B, D], state (h [B, H],) -> the next state."""
        (h,) = state
        r = _plus(x @ self.W_xr.T + h @ self.W_hr.T, self.b_r).sigmoid()  # B H
        z = _plus(x @ self.W_xz.T + h @ self.W_hz.T, self.b_z).sigmoid()  # B H
        n = (_plus(x @ self.W_xn.T, self.b_n) + r * _plus(h @ self.W_hn.T, self.b_hn)).tanh()  # B H
        return ((1 - z) * n + z * h,)


Cell = RNNCell | LSTMCell | GRUCell


class Stack(nn.Module):
    """Cells on top of each other: the outputs of one layer are the inputs of the next."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        super().__init__()
        self.cells = nn.ModuleList(cells)

    def start(self, batch: int) -> list[State]:
        return [cell.start(batch) for cell in self.cells]  # type: ignore[operator]

    def step(self, x: Tensor, states: Sequence[State]) -> tuple[Tensor, list[State]]:
        """x [B, D] and one state per layer -> the top layer's output [B, H], the next states."""
        following = []
        for cell, state in zip(self.cells, states, strict=True):
            state = cell(x, state)
            x = state[0]
            following.append(state)
        return x, following

    def forward(self, inputs: Tensor, states: Sequence[State] | None = None) -> tuple[Tensor, list[State]]:
        """inputs [T, B, D] -> outputs [T, B, H], the last states."""
        states = self.start(inputs.shape[1]) if states is None else states
        outputs = []
        for x in inputs:
            output, states = self.step(x, states)
            outputs.append(output)
        return torch.stack(outputs), list(states)


# The flavors (Karpathy 2015, as shown in the tutorial): single or repeated inputs, single or repeated outputs.


def many_to_many(network: Stack, inputs: Tensor) -> Tensor:
    """An output for every input: [T, B, D] -> [T, B, H]. For example one label per frame, or the next character."""
    return network(inputs)[0]


def many_to_one(network: Stack, inputs: Tensor) -> Tensor:
    """The last output: [T, B, D] -> [B, H]. For example one class per clip, or one vector per sentence."""
    return network(inputs)[0][-1]


def one_to_many(network: Stack, first: Tensor, steps: int, following: Callable[[Tensor], Tensor]) -> Tensor:
    """A sequence [steps, B, H] from one input [B, D]; `following` maps an output to the next input. A caption."""
    states, x, outputs = network.start(len(first)), first, []
    for _ in range(steps):
        output, states = network.step(x, states)
        outputs.append(output)
        x = following(output)
    return torch.stack(outputs)


def encode_decode(encoder: Stack, decoder: Stack, inputs: Tensor, first: Tensor, steps: int) -> Tensor:
    """Many to many with different lengths: the encoder's last states start the decoder, which is fed its own outputs.

    inputs [T, B, D], first [B, D'] -> [steps, B, D']; the decoder's width equals that of its inputs. A translation.
    """
    _, states = encoder(inputs)
    x, outputs = first, []
    for _ in range(steps):
        x, states = decoder.step(x, states)
        outputs.append(x)
    return torch.stack(outputs)


_GATES = {nn.RNN: ("h",), nn.LSTM: ("i", "f", "g", "o"), nn.GRU: ("r", "z", "n")}
_CELLS: dict[type[nn.RNNBase], type[Cell]] = {nn.RNN: RNNCell, nn.LSTM: LSTMCell, nn.GRU: GRUCell}


def from_library(network: nn.RNNBase) -> Stack:
    """A stack with the weights of `nn.RNN` (tanh), `nn.LSTM` or `nn.GRU`, which computes the same function.

    Raises ValueError for other kinds, two directions, projections, and the RNN with ReLU.
    """
    kind = type(network)
    if kind not in _CELLS or network.bidirectional or network.proj_size or network.mode == "RNN_RELU":
        raise ValueError(f"cells exist for unidirectional RNN (tanh), LSTM and GRU, not for {network}")
    cells = []
    for layer in range(network.num_layers):
        inputs = network.input_size if layer == 0 else network.hidden_size
        cell = _CELLS[kind](inputs, network.hidden_size, bias=network.bias)
        cell = cell.to(network.get_parameter("weight_hh_l0"))  # its type and device
        _copy(network, layer, cell, _GATES[kind])
        cells.append(cell)
    return Stack(cells)


@torch.no_grad()
def _copy(network: nn.RNNBase, layer: int, cell: Cell, gates: Sequence[str]) -> None:
    """Splits the weights of a layer: the library stores those of all gates in one matrix, [gates * H, D]."""

    def parts(name: str) -> tuple[Tensor, ...]:
        return getattr(network, f"{name}_l{layer}").chunk(len(gates))

    for gate, w_x, w_h in zip(gates, parts("weight_ih"), parts("weight_hh"), strict=True):
        getattr(cell, f"W_x{gate}").copy_(w_x)
        getattr(cell, f"W_h{gate}").copy_(w_h)
    if not network.bias:
        return
    for gate, b_x, b_h in zip(gates, parts("bias_ih"), parts("bias_hh"), strict=True):
        separate = isinstance(cell, GRUCell) and gate == "n"
        getattr(cell, f"b_{gate}").copy_(b_x if separate else b_x + b_h)
        if separate:
            cell.get_parameter("b_hn").copy_(b_h)
