"""An exported program of PyTorch as a document: what it may say, what it takes and what it gives.

PyTorch evaluates or looks up much of what such a document says, so every word is held to a list of what the
exports of programs over tensors use (``torch/_export/serde/schema.py`` names the fields).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from modelserve._kit.torch_guards import Guard, Path, Places, UnreadableGuard, read_guards


class UnfitArchive(ValueError):
    """The file can't be used; the message says why and what would be right."""


@dataclass(frozen=True, slots=True)
class Value:
    """One tensor of a program: ``kind`` is PyTorch's number of its datatype, an axis of any length is -1, and
    ``first_axis`` is the symbol that the export has for axis 0, None where that has a fixed length, or
    where some axis has a length that is known only after a run."""

    name: str
    kind: int
    shape: tuple[int, ...]
    first_axis: str | None = None


@dataclass(frozen=True, slots=True)
class Program:
    """What an exported program takes and gives, in order, and which lengths of its inputs it was made for."""

    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    fixed: Mapping[int, Any] = field(default_factory=dict)
    """The arguments that are no tensors but were constants of the export, by their places among all."""
    guards: tuple[Guard, ...] = ()
    bounds: tuple[Guard, ...] = ()
    """The least and the greatest length of axes, as the exporter gave them: any number of rows between them
    will do."""


def plain(document: dict[str, Any]) -> dict[str, Any]:
    """The document without its guards and notes, which are Python. Raises UnfitArchive for other words."""
    document["guards_code"] = []
    for place, value in _walk(document):
        if isinstance(value, dict) and "target" in value:
            value["metadata"] = {}
        _check(place, value)
    return document


def values(document: Mapping[str, Any], guards: Any = ()) -> Program:
    """What the program takes and gives, in order; ``guards`` are those that the document had, if any. Raises
    UnfitArchive."""
    try:
        module = document["graph_module"]
        program = _program(module)
        bounds = _bounds(document.get("range_constraints") or {}, module, program.inputs)
        return replace(program, guards=_guards(guards or (), module, program.inputs), bounds=bounds)
    except UnfitArchive:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, StopIteration) as error:
        raise UnfitArchive(f"has a program that can't be read ({error!r}); export it again") from error


# What a program may say.

_NAME = re.compile(r"[\w.]*")
_PART = re.compile(r"[\w. :/-]*")
_TARGET = re.compile(
    r"torch\.ops\.(?:aten|prims|quantized_decomposed|higher_order)(?:\.(?!__)\w+){1,2}"
    r"|torch\.ops\.aten\.__i?(?:and|or|xor|lshift|rshift)__\.(?:Tensor|Scalar)"
    r"|_operator\.(?:add|sub|mul|truediv|floordiv|mod|neg|pos|pow|getitem|eq|ne|lt|le|gt|ge|and_|or_|not_|xor"
    r"|lshift|rshift)"
    r"|math\.(?!__)\w+|torch\._?sym_\w+"
)
_FILE_TARGET = re.compile(r"torch\.ops\.aten\.(from_file|save)\b")
_WORD = re.compile(r"[A-Za-z_]\w*")
_SIZE_WORD = re.compile(
    r"Symbol|positive|nonnegative|integer|True|False|Integer|Rational|Max|Min|Add|Mul|Pow|Mod|Eq|Ne|Lt|Le|Gt|Ge"
    r"|And|Or|Not|Abs|floor|ceiling|FloorDiv|ModularIndexing|Where|PythonMod|CleanDiv|CeilToInt|FloorToInt"
    r"|CeilDiv|LShift|RShift|PowByNatural|FloatPow|FloatTrueDiv|IntTrueDiv|TruncToFloat|TruncToInt|RoundToInt"
    r"|RoundDecimal|ToFloat|Identity|[suz]f?\d+|zuf\d+"
    r"|Equality|Unequality|(?:Strict)?(?:Greater|Less)Than"  # Eq, Ne, Gt, Ge, Lt and Le, written out
)
_DECIMAL = re.compile(
    r"(?<![\w.'])Float\('-?\d{1,20}(?:\.\d{1,20})?(?:e[+-]?\d{1,3})?', precision=\d{1,3}\)(?![\w.'(])"
)
"""A number with a point, the only text in a size that is no name."""
_SIZE = re.compile(r"(?:[\w\s(),=+\-*/<>!&|~]|\d\.\d|'\w+')*")
_CONTAINERS = frozenset({"builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict", None})
_OF_VALUES = re.compile(r"\b(?:u|zuf)\d+\b")
"""What the export calls a size that depends on the values of tensors."""
_SYMBOL = re.compile(r"Symbol\('(\w+)'[\w\s,=]*\)")
_BY_SIZE = "range_constraints"
"""What stands under this key goes by sizes, such as 2*s44."""
_FREE_TEXT = frozenset({"as_string", "torch_version"})


def _walk(value: Any, place: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Every value of the document with the key that it stands under; a list's items stand under its key."""
    if depth > 100:
        raise UnfitArchive("has a program nested deeper than 100 levels")
    yield place, value
    if isinstance(value, dict):
        for key, inner in value.items():
            _check("expr_str" if place == _BY_SIZE else "name", key)
            yield from _walk(inner, key, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _walk(inner, place, depth + 1)


def _check(place: str, value: Any) -> None:
    if not isinstance(value, str) or place in _FREE_TEXT:
        return
    fits = _CHECKS.get(place, _is_name)
    if not fits(value):
        raise UnfitArchive(
            f"says {place}: {value[:80]!r}, which no export of a program over tensors says; it is not loaded"
        )


def _is_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None


def _is_target(text: str) -> bool:
    return _TARGET.fullmatch(text) is not None and _FILE_TARGET.match(text) is None


def _is_size(text: str) -> bool:
    if len(text) > 1000:
        return False
    text = _DECIMAL.sub(" 0 ", text)
    if _SIZE.fullmatch(text) is None:
        return False
    return all(_SIZE_WORD.fullmatch(word) for word in _WORD.findall(text))


def _is_tree(text: str) -> bool:
    """How inputs or outputs are nested: in lists, tuples and dictionaries with plain keys."""
    try:
        _, tree = json.loads(text)
        return _is_container(tree, 0)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return False


def _is_container(tree: Mapping[str, Any], depth: int) -> bool:
    context = json.loads(tree["context"]) if tree["context"] else None
    keys = context or []
    plain = isinstance(keys, list) and all(map(_is_plain_key, keys))
    plain = plain and len(keys) in (0, len(tree["children_spec"]))
    inner = all(_is_container(child, depth + 1) for child in tree["children_spec"])
    return depth < 20 and tree["type"] in _CONTAINERS and plain and inner


def _is_plain_key(key: Any) -> bool:
    return type(key) is int or (isinstance(key, str) and _is_part(key))


def _is_call(text: str) -> bool:
    """How arguments are nested. PyTorch writes their names into the head of a function whose text it runs."""
    if not _is_tree(text):
        return False
    by_name = json.loads(text)[1]["children_spec"][1:2]
    names = [key for tree in by_name for key in json.loads(tree["context"] or "[]") or []]
    return all(isinstance(name, str) and name.isascii() and name.isidentifier() for name in names)


def _is_device(text: str) -> bool:
    return re.fullmatch(r"[a-z]+(:\d+)?", text) is not None


def _is_part(text: str) -> bool:
    """A weight, or what holds it. PyTorch puts it between quotes in Python, which nothing here could end."""
    return _PART.fullmatch(text) is not None


def _is_number(text: str) -> bool:
    return text in ("Infinity", "-Infinity", "NaN")


_CHECKS = {
    "as_float": _is_number,
    "as_floats": _is_number,
    "as_float_lists": _is_number,
    "fqn": _is_part,
    "parameter_name": _is_part,
    "buffer_name": _is_part,
    "tensor_constant_name": _is_part,
    "target": _is_target,
    "expr_str": _is_size,
    "in_spec": _is_call,
    "out_spec": _is_tree,
    "type": _is_device,
}


# What a program takes and gives.


def _program(module: Mapping[str, Any]) -> Program:
    tensors, signature = module["graph"]["tensor_values"], module["signature"]
    arguments = _arguments(signature)
    inputs = [spec["user_input"]["arg"] for spec in arguments if "user_input" in spec]
    outputs = [spec["user_output"]["arg"] for spec in signature["output_specs"] if "user_output" in spec]
    there = [argument for argument in outputs if "as_none" not in argument]
    for role, values in (("input", inputs), ("output", there)):
        if not values or any("as_tensor" not in argument for argument in values):
            raise UnfitArchive(f"has an {role} that is no tensor; export a program over tensors")
    names = _output_names(json.loads(_top(module)["out_spec"])[1], outputs)
    takes = [_value(argument["as_tensor"]["name"], argument, tensors) for argument in inputs]
    gives = [_value(name, argument, tensors) for name, argument in zip(names, there, strict=True)]
    fixed = {at: _constant(spec) for at, spec in enumerate(arguments) if "constant_input" in spec}
    return Program(tuple(takes), tuple(gives), fixed)


def _top(module: Mapping[str, Any]) -> Mapping[str, Any]:
    """How the arguments and results of the whole program are nested."""
    signature: Mapping[str, Any] = next(entry for entry in module["module_call_graph"] if entry["fqn"] == "")[
        "signature"
    ]
    return signature


def _arguments(signature: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Those of ``forward``, in order; a program's other inputs are its weights."""
    return [spec for spec in signature["input_specs"] if spec.keys() & {"user_input", "constant_input"}]


def _constant(spec: Mapping[str, Any]) -> Any:
    """What the export had for an argument; JSON has no infinity, and says it in words."""
    ((kind, value),) = spec["constant_input"]["value"].items()
    if kind == "as_none":
        return None
    if kind not in ("as_int", "as_float", "as_bool", "as_string"):
        raise UnfitArchive(
            f"has the constant input {spec['constant_input']['name']!r}, which is no plain value"
        )
    return float(value) if kind == "as_float" else value


def _output_names(tree: Mapping[str, Any], outputs: Sequence[Mapping[str, Any]]) -> list[str]:
    """A dictionary's keys, else ``output``, or ``output_0`` and on: a graph's own names mean nothing. Of the
    tensors: a place may also hold None."""
    if tree["type"] in ("builtins.dict", "collections.OrderedDict"):
        keys = [str(key) for key in json.loads(tree["context"])]
        if len(keys) == len(outputs):
            return [key for key, output in zip(keys, outputs, strict=True) if "as_none" not in output]
    count = sum("as_none" not in output for output in outputs)
    return ["output"] if count == 1 else [f"output_{index}" for index in range(count)]


def _value(name: str, argument: Mapping[str, Any], tensors: Mapping[str, Any]) -> Value:
    meta = tensors[argument["as_tensor"]["name"]]
    sizes = meta["sizes"]
    shape = tuple(size.get("as_int", -1) for size in sizes)
    return Value(name, int(meta["dtype"]), shape, _first_axis(sizes))


def _first_axis(sizes: Sequence[Mapping[str, Any]]) -> str | None:
    """The symbol, or expression of symbols, that the export has for axis 0.

    None where the length of any axis is known only after a run: all rows of it have a say in that.
    """
    if any(_OF_VALUES.search(str(size.get("as_expr", ""))) for size in sizes):
        return None
    expression = sizes[0].get("as_expr") if sizes else None
    return expression.get("expr_str") if isinstance(expression, Mapping) else None


# What a program takes for granted.


def _guards(texts: Any, module: Mapping[str, Any], inputs: Sequence[Value]) -> tuple[Guard, ...]:
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("guards_code")
    if not texts:
        return ()
    try:
        return read_guards(texts, _places(module), [value.shape for value in inputs])
    except UnreadableGuard as error:
        raise UnfitArchive(
            f"was exported under a condition that can't be checked here: {str(error)[:200]!r}; give the axes "
            f"that it speaks of a fixed length, or leave out the branch in the program that goes by it"
        ) from error


def _bounds(
    ranges: Mapping[str, Any], module: Mapping[str, Any], inputs: Sequence[Value]
) -> tuple[Guard, ...]:
    tensors = module["graph"]["tensor_values"]
    texts = [
        f"L['flat_args'][{number}].size()[{axis}] {bound}"
        for number, value in enumerate(inputs)
        for axis, size in enumerate(tensors[value.name]["sizes"])
        for bound in _range(ranges, size.get("as_expr"))
    ]
    places = Places({("flat_args", number): number for number in range(len(inputs))}, {})
    return read_guards(texts, places, [value.shape for value in inputs])


def _range(ranges: Mapping[str, Any], expression: Mapping[str, Any] | None) -> Iterator[str]:
    """As ``_check_symint`` of ``torch/_export/utils.py`` has it: an export tells nothing of 0, 1 and 2."""
    symbol = _SYMBOL.fullmatch(expression["expr_str"]) if expression else None
    told = ranges.get(symbol[1]) if symbol else None
    if told is not None:
        least, most = told["min_val"], told["max_val"]
        yield from [f">= {least}"] if isinstance(least, int) and least > 2 else []
        yield from [f"<= {most}"] if isinstance(most, int) else []


def _places(module: Mapping[str, Any]) -> Places:
    """By the names of the parameters, and by ``flat_args``, as exports in strict mode have it."""
    tensors: dict[Path, int] = {}
    constants: dict[Path, Any] = {}
    count = 0
    for at, (path, spec) in enumerate(zip(_paths(module), _arguments(module["signature"]), strict=True)):
        if "user_input" in spec:
            tensors[path] = tensors["flat_args", at] = count
            count += 1
        else:
            constants[path] = constants["flat_args", at] = _constant(spec)
    return Places(tensors, constants)


def _paths(module: Mapping[str, Any]) -> Iterator[Path]:
    """Where each argument stands among those of ``forward``, in order."""
    top = _top(module)
    by_place, by_name = json.loads(top["in_spec"])[1]["children_spec"]
    names = top.get("forward_arg_names") or []
    for at, argument in enumerate(by_place["children_spec"]):
        yield from _below(argument, (names[at] if at < len(names) else f"args_{at}",))
    for name, argument in zip(json.loads(by_name["context"]), by_name["children_spec"], strict=True):
        yield from _below(argument, (name,))


def _below(tree: Mapping[str, Any], path: Path) -> Iterator[Path]:
    if tree["type"] is None:
        yield path
        return
    keys = json.loads(tree["context"]) if tree["context"] else None
    for key, inner in zip(keys or range(len(tree["children_spec"])), tree["children_spec"], strict=True):
        yield from _below(inner, (*path, key))
