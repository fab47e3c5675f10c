"""What values of the inputs decide for all rows of a run at once: a length, a branch, a number of rounds.

A row's answer depends on its company then, whatever a few runs show: the longest row decides for all. And
what a run costs can't be told from its size. Lengths that are computed from lengths alone, as in most graphs,
decide nothing of that kind. So names are followed through the graph from its inputs on: what is computed from
*values* is told from what is computed from shapes and weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from modelserve.packages.operators.reading import Function, Graph, Node, read_model

_LENGTH, _BRANCH, _ROUNDS, _SCALE, _BOUND = (
    "a length", "a branch", "the number of rounds", "a scale", "a bound"
)  # fmt: skip
_DECIDING: Mapping[str, tuple[str, tuple[int, ...]]] = {
    "AffineGrid": (_LENGTH, (1,)),
    "BlackmanWindow": (_LENGTH, (0,)),
    "CenterCropPad": (_LENGTH, (1,)),
    "Clip": (_BOUND, (1, 2)),
    "Col2Im": (_LENGTH, (1, 2)),
    "ConstantOfShape": (_LENGTH, (0,)),
    "DFT": (_LENGTH, (1,)),
    "DequantizeLinear": (_SCALE, (1, 2)),
    "Expand": (_LENGTH, (1,)),
    "HammingWindow": (_LENGTH, (0,)),
    "HannWindow": (_LENGTH, (0,)),
    "If": (_BRANCH, (0,)),
    "Loop": (_ROUNDS, (0, 1)),
    "MaxUnpool": (_LENGTH, (2,)),
    "MelWeightMatrix": (_LENGTH, (0, 1, 2, 3, 4)),
    "OneHot": (_LENGTH, (1,)),
    "Pad": (_LENGTH, (1,)),
    "QuantizeLinear": (_SCALE, (1, 2)),
    "Range": (_LENGTH, (0, 1, 2)),
    "Reshape": (_LENGTH, (1,)),
    "Resize": (_LENGTH, (1, 2, 3)),
    "STFT": (_LENGTH, (1, 3)),
    "Slice": (_LENGTH, (1, 2, 4)),
    "Split": (_LENGTH, (1,)),
    "SplitToSequence": (_LENGTH, (1,)),
    "Tile": (_LENGTH, (1,)),
    "TopK": (_LENGTH, (1,)),
    "Trilu": (_BOUND, (1,)),
    "Upsample": (_LENGTH, (1,)),
}
"""By operator: what some of its inputs decide for all rows, and which inputs these are."""
_Names = tuple[frozenset[str], frozenset[str]]
_NONE: _Names = frozenset(), frozenset()
_MOST_CALLS = 10_000
"""Of functions with other inputs, before a graph is given up."""
_MEASURING = frozenset({"Shape", "Size"})
_FILLING = frozenset({"ScatterElements", "ScatterND"})
"""As long as their first input, whatever the others are."""


def decision(model_file: Path) -> str:
    """What values of the inputs decide for all rows of a run of this ONNX file, in words with the operator's
    name; empty if nothing, and for other files. Raises OSError."""
    model = read_model(model_file)
    flow, lengths = _Flow(model.functions), set[str]()
    try:
        flow.follow(model.graph.nodes, set(model.graph.inputs), lengths)
    except RecursionError:
        return "its functions are nested too deeply, or too much, to be followed"
    if flow.found is None and lengths.isdisjoint(model.graph.outputs):
        return ""
    what, operator = flow.found or (_LENGTH, "NonZero")
    return f"values of its inputs decide {what} for all rows of a run (operator {operator})"


class _Flow:
    """Names of tensors are in ``values`` where they depend on values of the inputs, and in ``lengths`` where
    their shape does."""

    def __init__(self, functions: Mapping[Function, Graph]) -> None:
        self._functions = functions
        self.found: tuple[str, str] | None = None
        """What is decided, and by which operator."""
        self._called: dict[tuple[Function, frozenset[str], frozenset[str]], _Names] = {}
        """Names inside of each function, by the inputs that depend on values and whose shapes do."""
        self._nested = False

    def follow(self, nodes: Sequence[Node], values: set[str], lengths: set[str]) -> None:
        """Add the names that these nodes compute."""
        for node in nodes:
            for names in (values, lengths):
                names.discard("")  # what is absent is called so
            if node.function in self._functions:
                self._call(self._functions[node.function], node, values, lengths)
                continue
            self._decide(node, values)
            if node.bodies:
                self._nest(node, values, lengths)
            else:
                _pass_on(node, values, lengths)

    def _decide(self, node: Node, values: set[str]) -> None:
        what, places = _DECIDING.get(node.operator, ("", ()))
        if not self.found and any(name in values for name in _at(node.inputs, places)):
            self.found = what, node.operator

    def _call(self, body: Graph, node: Node, values: set[str], lengths: set[str]) -> None:
        """A function has names of its own. What it does with its inputs is found out once."""
        pairs = list(zip(body.inputs, node.inputs, strict=False))
        of_values, of_lengths = (
            frozenset(own for own, name in pairs if name in names) for names in (values, lengths)
        )
        key = node.function, of_values, of_lengths
        if len(self._called) > _MOST_CALLS:
            raise RecursionError
        if key not in self._called:
            self._called[key] = _NONE  # one that calls itself, which no engine serves, ends here
            self._called[key] = self._inside(body, set(of_values), set(of_lengths))
        for own, names in zip(self._called[key], (values, lengths), strict=True):
            names.update(name for at, name in zip(body.outputs, node.outputs, strict=False) if at in own)

    def _inside(self, body: Graph, values: set[str], lengths: set[str]) -> _Names:
        nested, self._nested = self._nested, False
        self.follow(body.nodes, values, lengths)
        self._nested = nested
        return frozenset(values), frozenset(lengths)

    def _nest(self, node: Node, values: set[str], lengths: set[str]) -> None:
        """Bodies see the names around them. What a round of a loop leaves goes into the next one, so the
        outermost is followed until there are no new names."""
        outermost, self._nested = not self._nested, True
        before = -1
        while before != (before := len(values) + len(lengths)):
            for body in node.bodies:
                self._enter(node, body, values, lengths)
            if not outermost:
                break
        self._nested = not outermost
        again = node.bodies[0].outputs[:1] if node.operator == "Loop" else ()
        if not self.found and not values.isdisjoint(again):
            self.found = _ROUNDS, node.operator

    def _enter(self, node: Node, body: Graph, values: set[str], lengths: set[str]) -> None:
        loop = node.operator == "Loop"  # its body also takes and gives whether to go on, and counts
        carried, given = (body.inputs[2:], body.outputs[1:]) if loop else (body.inputs, body.outputs)
        for names in (values, lengths):
            names.update(_same(body.inputs, node.inputs, names))
            names.update(_same(carried, given, names))
        self.follow(body.nodes, values, lengths)
        for names in (values, lengths):
            names.update(_same(node.outputs, given, names))
        if node.operator == "Scan" and not lengths.isdisjoint(node.inputs):
            lengths.update(node.outputs)  # a row for each of what is gone through


def _pass_on(node: Node, values: set[str], lengths: set[str]) -> None:
    if node.operator in _MEASURING:
        if not lengths.isdisjoint(node.inputs):
            values.update(node.outputs)
        return
    if not values.isdisjoint(node.inputs):
        values.update(node.outputs)
        if node.operator == "NonZero":
            lengths.update(node.outputs)
    if not lengths.isdisjoint(node.inputs[:1] if node.operator in _FILLING else node.inputs):
        lengths.update(node.outputs)


def _same(to: Sequence[str], of: Sequence[str], names: set[str]) -> Iterator[str]:
    """What is in the place of one of the names."""
    return (new for new, old in list(zip(to, of, strict=False)) if old in names and new)


def _at(inputs: Sequence[str], places: Sequence[int]) -> Iterator[str]:
    return (inputs[place] for place in places if place < len(inputs))
