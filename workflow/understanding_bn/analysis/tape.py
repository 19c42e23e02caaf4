"""A function's value and its derivative along a vector, with everything that the vector does not enter worked out once.

Hessian-vector products at one point repeat the same forward and backward pass for every vector. So the function
that computes value and derivative together is traced once, as a graph of tensor operations, and the graph is cut in
two: `primal` holds what does not depend on the vector, `linear` what does. A point's tape is what `primal` hands to
`linear`; a product then costs `linear` alone. This is what torch.func.linearize does too, but there each point needs a
trace of its own, which costs seconds; here one trace serves all points of the same shapes.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, fx
from torch.func import functionalize
from torch.fx.experimental.proxy_tensor import make_fx

# What tracing leaves behind where nothing is computed: names of the same tensor, and checks made while tracing.
SAME = (torch.ops.aten.alias.default, torch.ops.aten.detach.default)


@dataclass(frozen=True)
class Program:
    """A traced function: `primal(*point)` → (values, tape) and `linear(*tape, *vector)` → derivatives along vector."""

    primal: Callable[..., tuple[tuple[Tensor, ...], tuple[Tensor, ...]]]
    linear: Callable[..., tuple[Tensor, ...]]


def trace(
    function: Callable[[list[Tensor], list[Tensor]], list[Tensor]],
    point: list[Tensor],
    vector: list[Tensor],
) -> Program:
    """Trace function(point, vector) → [*values, *derivatives along vector], and cut it in two.

    There are as many derivatives as tensors in `vector`. The values must not depend on the vector; the shapes, dtypes,
    device and memory layout of `point` and `vector` are fixed from now on. In-place operations of the function, such
    as the networks' ReLUs, are made into ordinary ones, because a tape must outlive what is computed from it.

    Raises:
        ValueError: the function writes to one of its inputs, or to a tensor that is none of them.
    """
    with torch.enable_grad(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", FutureWarning)  # torch's, about itself
        # A plain function around it, because make_fx takes a method's `self` for one more argument.
        # Shapes decide all that is traced, so that nothing need be computed meanwhile: half the time.
        tracer = make_fx(lambda point, vector: functionalize(function)(point, vector), tracing_mode="fake")
        traced = tracer(point, vector)
    graph = traced.graph
    _simplify(graph)
    nodes = list(graph.nodes)
    if writing := [node for node in nodes if _writes(node)]:
        raise ValueError(f"the function changes a tensor in place that is not its own: {writing[0].target}")
    inputs = [node for node in nodes if node.op == "placeholder"]
    along = set(inputs[len(point) :])
    for node in nodes:
        if node.op != "output" and along.intersection(node.all_input_nodes):
            along.add(node)
    (output,) = (node for node in nodes if node.op == "output")
    results = list(output.args[0])
    values, derivatives = results[: -len(vector)], results[-len(vector) :]
    if along.intersection(values):
        raise ValueError("the values depend on the vector")
    crossing = [
        node for node in nodes if node not in along and (along.intersection(node.users) or node in derivatives)
    ]  # what the linear part needs of the other
    primal = _part(nodes, inputs[: len(point)], lambda node: node not in along, (tuple(values), tuple(crossing)))
    linear = _part(nodes, [*crossing, *inputs[len(point) :]], along.__contains__, tuple(derivatives))
    return Program(fx.GraphModule(traced, primal), fx.GraphModule(traced, linear))


def size(tensors: tuple[Tensor, ...]) -> int:
    """Bytes of memory that the tensors hold; what several of them share counts once."""
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}
    return sum(storages.values())


def _simplify(graph: fx.Graph) -> None:
    """Drop what nothing uses, other names of the same tensor, and repeated computations of the same thing."""
    seen: dict[object, fx.Node] = {}
    for node in list(graph.nodes):
        if node.op != "call_function":
            continue
        if node.target in SAME:
            node.replace_all_uses_with(node.args[0])
            continue
        if torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ()):
            continue  # two draws of random numbers are two
        key = (node.target, _hashable(node.args), _hashable(node.kwargs))
        if key in seen:
            node.replace_all_uses_with(seen[key])
        else:
            seen[key] = node
    for node in reversed(list(graph.nodes)):
        if node.op in ("call_function", "get_attr") and not node.users and not _writes(node):
            graph.erase_node(node)


def _hashable(value: object) -> object:
    """A key that is equal for equal arguments of operations, and tells 1, 1.0 and True apart."""
    if isinstance(value, (tuple, list)):
        return tuple(_hashable(item) for item in value)
    if isinstance(value, dict):
        return tuple((name, _hashable(item)) for name, item in value.items())
    return type(value), value


def _writes(node: fx.Node) -> bool:
    """Whether an operation changes one of its arguments."""
    schema = getattr(node.target, "_schema", None)
    return schema is not None and schema.is_mutable


def _part(nodes: list[fx.Node], inputs: list[fx.Node], inside: Callable[[fx.Node], bool], results: tuple) -> fx.Graph:
    """The graph of the operations `inside`, with these inputs and results."""
    graph, copies = fx.Graph(), {}
    for node in inputs:
        copies[node] = graph.placeholder(node.name)
    for node in nodes:
        if node.op in ("call_function", "get_attr") and node not in copies and inside(node):
            copies[node] = graph.node_copy(node, lambda used: copies[used])
    graph.output(fx.map_arg(results, lambda used: copies[used]))
    return graph
