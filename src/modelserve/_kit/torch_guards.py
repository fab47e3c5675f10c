"""What an exported program takes for granted about the lengths of its inputs' axes: its guards.

A branch that the export did not take is not in the program, and a guard says for which lengths it was not
taken. Guards are written in Python, which is read here as data and never run: each becomes a function made of
the few operations that exports print (``torch/utils/_sympy/printers.py``, ``PythonPrinter``).
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Shapes = Sequence[Sequence[int]]
"""Of the inputs, in order; -1 is an axis of any length."""
Path = tuple[str | int, ...]
"""Where an argument stands: the name of a parameter, then keys and places in what it holds."""
MAX_TEXT, MAX_TEXTS = 100_000, 1_000_000
"""Characters of a guard, and of all guards, at most."""


class UnreadableGuard(ValueError):
    """The guard uses more than numbers, lengths and what compares them."""


@dataclass(frozen=True, slots=True)
class Places:
    """The arguments of a program: the tensors by their number among the inputs, and the constants."""

    tensors: Mapping[Path, int]
    constants: Mapping[Path, Any]


@dataclass(frozen=True, slots=True)
class Guard:
    """One condition on lengths. ``axes`` are those that it looks at: number of the input, and axis."""

    text: str
    axes: frozenset[tuple[int, int]]
    test: Callable[[Shapes], Any]

    def holds(self, shapes: Shapes) -> bool:
        """False also where it can't be computed, such as by a division by zero."""
        try:
            return bool(self.test(shapes))
        except (ArithmeticError, ValueError, TypeError, IndexError):
            return False

    def told(self, names: Sequence[str]) -> str:
        """The condition, for people, with these names of the inputs: ``x.shape[1] % 2 == 0``."""
        return _MARK.sub(lambda mark: names[int(mark[1])], self.text)


def read_guards(texts: Sequence[str], places: Places, shapes: Shapes) -> tuple[Guard, ...]:
    """The guards that are not settled by ``shapes`` already. Raises UnreadableGuard, with the guard."""
    if sum(map(len, texts)) > MAX_TEXTS:
        raise UnreadableGuard(f"{len(texts)} guards of more than {MAX_TEXTS} characters")
    guards = (_read(text, places) for text in dict.fromkeys(texts))
    return tuple(guard for guard in guards if not _is_settled(guard, shapes))


def looks_at_rows(guard: Guard, shapes: Shapes) -> bool:
    """Whether there are lengths of the other axes with which it holds for some numbers of rows (axis 0 of all
    inputs) and not for others. Found out by trying many."""
    if not any(axis == 0 for _, axis in guard.axes):
        return False
    return any(
        len({guard.holds(_with_rows(others, rows)) for rows in _ROWS}) > 1 for others in _samples(shapes)
    )


# Whether a guard has a say.

_ROWS = (*range(1, 34), 64, 65, 100, 127, 128, 1000, 1024, 2**20 + 1, 2**31)
_LENGTHS = (1, 2, 3, 5, 7, 8, 12, 16, 31, 64, 224, 2**16)


def _is_settled(guard: Guard, shapes: Shapes) -> bool:
    """Lengths that the program fixes need no second look."""
    known = all(axis < len(shapes[at]) and shapes[at][axis] >= 0 for at, axis in guard.axes)
    return known and guard.holds(shapes)


def _samples(shapes: Shapes) -> Iterator[list[list[int]]]:
    """Lengths for what the program leaves open: the same everywhere, and different ones."""
    for step in (0, 1):
        for first in range(len(_LENGTHS)):
            yield [
                [_LENGTHS[(first + step * (3 * at + axis)) % len(_LENGTHS)] if length < 0 else length
                 for axis, length in enumerate(shape)]
                for at, shape in enumerate(shapes)
            ]  # fmt: skip


def _with_rows(shapes: Shapes, rows: int) -> list[list[int]]:
    return [[rows, *shape[1:]] for shape in shapes]


# Reading.

_MARK = re.compile(r"@(\d+)@")
"""Stands for the name of an input in the text of a guard."""
_Test = Callable[[Shapes], Any]


def _power(base: Any, exponent: Any) -> Any:
    """As floats where whole numbers could grow without bounds."""
    small = isinstance(base, int) and isinstance(exponent, int) and abs(base) < 2**64 and 0 <= exponent <= 64
    return base**exponent if small else float(base) ** float(exponent)


def _bounded(join: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """No lengths make whole numbers of more than a few thousand bits: each operation may double them."""

    def joined(left: Any, right: Any) -> Any:
        made = join(left, right)
        if isinstance(made, int) and made.bit_length() > _MOST_BITS:
            raise OverflowError
        return made

    return joined


_MOST_BITS = 4096
_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: _bounded(operator.add),
    ast.Sub: _bounded(operator.sub),
    ast.Mult: _bounded(operator.mul),
    ast.FloorDiv: operator.floordiv,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
    ast.Pow: _power,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: operator.not_,
}
_COMPARING: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_ONE: dict[str, Callable[[Any], Any]] = {
    "abs": abs,
    "round": round,
    "math.floor": math.floor,
    "math.ceil": math.ceil,
    "math.trunc": math.trunc,
    "torch.sym_float": float,
    "torch._sym_sqrt": math.sqrt,
}
_SEVERAL: dict[str, Callable[..., Any]] = {"max": max, "min": min}
_INFINITE = {"math.inf": math.inf, "inf": math.inf}


def _read(text: str, places: Places) -> Guard:
    reader = _Reader(places)
    try:
        if len(text) > MAX_TEXT or "@" in text:  # no export prints it, and it marks the inputs here
            raise UnreadableGuard
        tree = reader.visit(ast.parse(text.strip(), mode="eval")).body
        return Guard(ast.unparse(tree), frozenset(reader.lengths.values()), reader.test(tree))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UnreadableGuard(text) from error


class _Reader(ast.NodeTransformer):
    """First puts a name for each length and the value for each constant (``visit``), then makes a function
    of what is left (``test``)."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self.lengths: dict[str, tuple[int, int]] = {}

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        """``L['x'].size()[1]``, or ``L['x']``, which must be a constant."""
        call = node.value
        if not isinstance(call, ast.Call):
            return ast.Constant(self._argument(_path(node)))
        if not isinstance(call.func, ast.Attribute) or call.func.attr != "size" or call.args or call.keywords:
            raise UnreadableGuard
        number, axis = self._tensor(_path(call.func.value)), _key(node)
        if not isinstance(axis, int) or axis < 0:
            raise UnreadableGuard
        name = f"@{number}@.shape[{axis}]"
        self.lengths[name] = (number, axis)
        return ast.Name(name, ast.Load())

    def _tensor(self, path: Path) -> int:
        found = next(
            (at for each in _spellings(path) if (at := self._places.tensors.get(each)) is not None), None
        )
        if found is None:
            raise UnreadableGuard
        return found

    def _argument(self, path: Path) -> Any:
        found = next((each for each in _spellings(path) if each in self._places.constants), None)
        if found is None:
            raise UnreadableGuard
        return self._places.constants[found]

    def test(self, node: ast.expr) -> _Test:
        """Raises UnreadableGuard."""
        made: _Test = _known(_MAKERS, type(node))(self, node)
        return made

    def _name(self, node: ast.Name) -> _Test:
        if node.id in self.lengths:
            number, axis = self.lengths[node.id]
            return lambda shapes: shapes[number][axis]
        return _always(_known(_INFINITE, node.id))

    def _attribute(self, node: ast.Attribute) -> _Test:
        return _always(_known(_INFINITE, ast.unparse(node)))

    def _constant(self, node: ast.Constant) -> _Test:
        """No text: an operator may make much out of it."""
        if not isinstance(node.value, int | float):
            raise UnreadableGuard
        return _always(node.value)

    def _operation(self, node: ast.BinOp) -> _Test:
        join, left, right = _known(_BINARY, type(node.op)), self.test(node.left), self.test(node.right)
        return lambda shapes: join(left(shapes), right(shapes))

    def _sign(self, node: ast.UnaryOp) -> _Test:
        change, inner = _known(_UNARY, type(node.op)), self.test(node.operand)
        return lambda shapes: change(inner(shapes))

    def _junction(self, node: ast.BoolOp) -> _Test:
        parts, settle = (
            [self.test(value) for value in node.values],
            all if isinstance(node.op, ast.And) else any,
        )
        return lambda shapes: settle(part(shapes) for part in parts)

    def _choice(self, node: ast.IfExp) -> _Test:
        test, yes, no = self.test(node.test), self.test(node.body), self.test(node.orelse)
        return lambda shapes: yes(shapes) if test(shapes) else no(shapes)

    def _comparison(self, node: ast.Compare) -> _Test:
        sides = [self._side(side) for side in (node.left, *node.comparators)]
        ways = [_known(_COMPARING, type(way)) for way in node.ops]
        steps = list(zip(ways, sides, sides[1:], strict=False))
        return lambda shapes: all(way(left(shapes), right(shapes)) for way, left, right in steps)

    def _side(self, node: ast.expr) -> _Test:
        """Of a comparison, which may be one of texts."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return _always(node.value)
        return self.test(node)

    def _call(self, node: ast.Call) -> _Test:
        name, parts = ast.unparse(node.func), [self.test(part) for part in node.args]
        if node.keywords or (len(parts) == 1) is not (name in _ONE):
            raise UnreadableGuard
        if name in _ONE:
            act, (only,) = _ONE[name], parts
            return lambda shapes: act(only(shapes))
        choose = _known(_SEVERAL, name)
        return lambda shapes: choose(*(part(shapes) for part in parts))


_MAKERS: dict[type[ast.expr], Callable[[_Reader, Any], _Test]] = {
    ast.Name: _Reader._name,
    ast.Attribute: _Reader._attribute,
    ast.Constant: _Reader._constant,
    ast.BinOp: _Reader._operation,
    ast.UnaryOp: _Reader._sign,
    ast.BoolOp: _Reader._junction,
    ast.IfExp: _Reader._choice,
    ast.Compare: _Reader._comparison,
    ast.Call: _Reader._call,
}


def _always(value: Any) -> _Test:
    return lambda shapes: value


def _known(table: Mapping[Any, Any], key: Any) -> Any:
    if key not in table:
        raise UnreadableGuard
    return table[key]


def _path(node: ast.expr) -> Path:
    """The keys behind ``L``."""
    keys: list[str | int] = []
    while isinstance(node, ast.Subscript):
        keys.append(_key(node))
        node = node.value
    if not keys or not isinstance(node, ast.Name) or node.id != "L":
        raise UnreadableGuard
    return tuple(reversed(keys))


def _key(node: ast.Subscript) -> str | int:
    if not isinstance(node.slice, ast.Constant) or not isinstance(node.slice.value, str | int):
        raise UnreadableGuard
    return node.slice.value


def _spellings(path: Path) -> Iterator[Path]:
    """As it stands; ``args_0`` for place 0 of ``*args``; without the name of ``**kwargs``."""
    yield path
    if len(path) > 1:
        yield (f"{path[0]}_{path[1]}", *path[2:])
        yield path[1:]
