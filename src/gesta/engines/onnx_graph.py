"""ONNX graphs built node by node, with loops and branches, around a previously exported network."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from onnxscript import GraphBuilder

Op = Any
"""onnxscript's OpBuilder: op.Add(a, b) adds a node and returns its value."""
Value = Any
OPSET = 20
IR_VERSION = 10
ALL = 2**62
"""The end of a slice without an upper bound."""

Shape = Sequence[int | str]
"""Sizes; a name denotes a dynamic one."""
Body = Callable[..., tuple[Sequence[Value], Sequence[Value]]]

_numbers = itertools.count()


def new_graph(name: str) -> GraphBuilder:
    """A builder with an empty graph."""
    return GraphBuilder(ir.Graph([], [], nodes=[], opset_imports={"": OPSET}, name=name))


def output(op: Op, value: Value, name: str, kind: ir.DataType, shape: Shape) -> None:
    """Adds an output of the whole graph; a name in its shape denotes a dynamic size."""
    made = op.Identity(value)
    made.name, made.type, made.shape = name, ir.TensorType(kind), ir.Shape(shape)
    op.builder.graph.outputs.append(made)


def loop(
    op: Op, count: Value, states: Sequence[Value], body: Body, stacked: Sequence[Shape] = ()
) -> tuple[list[Value], list[Value]]:
    """`body(op, i, *states) -> (next states, values to stack)`, `count` times -> (last states, stacked values).

    `stacked`: the shapes of the stacked values; a name denotes a dynamic size.
    """

    def traced(inner: Op, i: Value, go_on: Value, *inside: Value) -> list[Value]:
        following, kept = body(inner, i, *inside)
        return [go_on, *following, *kept]

    number = ir.Value(name=_name("i"), type=ir.TensorType(ir.DataType.INT64), shape=ir.Shape([]))
    going = ir.Value(name=_name("go"), type=ir.TensorType(ir.DataType.BOOL), shape=ir.Shape([]))
    inside = [ir.Value(name=_name("state"), type=value.type) for value in states]
    total = len(states) + len(stacked)
    graph = _nested(op, traced, [number, going, *inside], [None] * (1 + len(states)) + list(stacked))
    made = op.Loop(op.Squeeze(count), None, *states, body=graph, _outputs=total)
    values = [made] if total == 1 else list(made)
    for value, state in zip(values, states, strict=False):
        value.type = state.type
    return values[: len(states)], values[len(states) :]


def branch(op: Op, condition: Value, then: Callable[[Op], Value], otherwise: Callable[[Op], Value]) -> Value:
    """The value of `then` or `otherwise`; only the selected one is computed."""
    first, second = (_nested(op, lambda inner, made=made: [made(inner)], [], [None]) for made in (then, otherwise))
    return op.If(condition, then_branch=first, else_branch=second)


def constant(op: Op, values: Any, kind: Any) -> Value:
    """A constant array in the graph, with a numpy element type."""
    return op.builder.initializer(ir.tensor(np.asarray(values, kind)), _name("constant"))


def cut(op: Op, value: Value, start: Value | int, stop: Value | int = ALL, axis: int = 0) -> Value:
    """value[start:stop] along an axis; the bounds are ints or integer values of one element."""
    bounds = [[bound] if isinstance(bound, int) else op.Reshape(bound, [1]) for bound in (start, stop)]
    return op.Slice(value, *bounds, [axis])


def length(op: Op, value: Value, axis: int = 0) -> Value:
    """The size of a value along an axis, int64 [1]."""
    return op.Shape(value, start=axis, end=axis + 1)


def as_type(op: Op, value: Value, kind: ir.DataType) -> Value:
    """Cast to an element type."""
    return op.Cast(value, to=kind)


def inlined(op: Op, network: bytes, feed: Mapping[str, Value]) -> dict[str, Value]:
    """Inlines the nodes of an exported network, its inputs replaced by `feed`. Returns its outputs by name."""
    import onnx

    graph = ir.from_proto(onnx.load_model_from_string(network)).graph
    prefix = _name("net")
    for value in graph.inputs:
        ir.convenience.replace_all_uses_with(value, feed[str(value.name)])
    names = [str(value.name) for value in graph.outputs]
    outputs = list(graph.outputs)
    graph.outputs.clear()
    for name, value in list(graph.initializers.items()):
        graph.initializers.pop(name)
        value.name = f"{prefix}_{name}"
        op.builder.root.graph.register_initializer(value)
    nodes = list(graph)
    graph.remove(nodes)
    for number, node in enumerate(nodes):
        node.name = f"{prefix}_{number}"
        for place, value in enumerate(node.outputs):
            value.name = f"{prefix}_{number}_{place}"
        op.builder.graph.append(node)
    return dict(zip(names, outputs, strict=True))


def serialized(builder: GraphBuilder, notes: Mapping[str, str]) -> bytes:
    """The finished graph as an ONNX file, with `notes` as its metadata."""
    import onnx

    model = ir.Model(builder.graph, ir_version=IR_VERSION, producer_name="gesta")
    model.metadata_props.update(notes)
    proto = ir.to_proto(model)
    _without_remarks(proto.graph)
    onnx.checker.check_model(proto)
    return bytes(proto.SerializeToString())


def _without_remarks(graph: Any) -> None:
    """Removes the metadata that the builder adds to each node, including those in subgraphs."""
    for node in graph.node:
        node.ClearField("metadata_props")
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _without_remarks(attribute.g)
    del graph.value_info[:]


def _nested(op: Op, body: Callable[..., list[Value]], inputs: list[ir.Value], outputs: list[Shape | None]) -> ir.Graph:
    """A subgraph; its names are unique, since names of the enclosing graphs are visible inside it."""
    builder, scope = op.builder, _name("g")

    def traced(inner: Op, *values: Value) -> list[Value]:
        return [inner.Identity(value) for value in body(inner, *values)]

    builder.push_module(scope)
    declared = [ir.Value(name=None, shape=None if shape is None else ir.Shape(shape)) for shape in outputs]
    graph = builder.subgraph(traced, inputs, declared, name=scope)
    builder.pop_module()
    return graph


def _name(stem: str) -> str:
    return f"{stem}{next(_numbers)}"
