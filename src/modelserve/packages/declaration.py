"""The declaration: what ``modelserve.yaml`` in a package folder says beyond the layout's own files.

::

    task: token-classification        # overrides what the layout implies
    description: finds people and places
    reference: reference.jsonl        # rows with known answers, inside the folder
    deterministic: false              # equal inputs may get different outputs: no answer is given again
    batching: none                    # every request runs alone and whole; true: rows are independent
    warmUp: skip                      # no made-up input can be right: serve the model without a run before
    limits: {maxLength: 256, maxPixels: 4000000}
    signature:                        # checked against the graph; may state what the graph leaves open
      inputs: [{name: x, datatype: FP32, shape: [-1, 4]}]     # nullable: true, optional: true: see TensorSpec
      outputs: [{name: y, datatype: FP32, shape: [-1, 3]}]
    python: {class: "model:Model"}    # answers with code of its own; requirements: [scipy] must be installed
"""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from modelserve.domain.inference import DataType, TensorSpec
from modelserve.domain.models import Task
from modelserve.errors import InvalidPackage
from modelserve.packages.reading import inside, read_text

FILE_NAME = "modelserve.yaml"
MAX_BYTES = 64 * 1024

Axis = Annotated[int, Strict(), Field(ge=-1)]
Bound = Annotated[int, Strict(), Field(ge=1)]


def _none(value: Any) -> Any:
    """YAML has no word "none": it is text there."""
    if value not in ("none", True, False, None):
        raise PydanticCustomError("batching", "none or true is wanted")
    return False if value == "none" else value


OwnersBatching = Annotated[Annotated[bool, Strict()] | None, BeforeValidator(_none)]
"""``none`` (or false): every request runs alone; true: rows do not depend on each other; None: not said."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel)


class DeclaredLimits(_Section):
    max_length: Bound | None = None
    max_pixels: Bound | None = None


class DeclaredTensor(_Section):
    name: Annotated[str, Field(min_length=1)]
    datatype: DataType
    shape: Annotated[tuple[Axis, ...], Field(min_length=1)]
    nullable: Annotated[bool, Strict()] = False
    optional: Annotated[bool, Strict()] = False

    @model_validator(mode="after")
    def _holds_what_is_missing(self) -> Self:
        if not (self.nullable or self.optional):
            return self
        if not self.datatype.startswith("FP"):
            raise ValueError(
                f"NaN stands for what is missing, and {self.datatype} has none; use FP32 or FP64"
            )
        if self.optional and -1 in self.shape[1:]:
            raise ValueError("an optional input needs a known length for every axis but the first")
        return self

    def spec(self) -> TensorSpec:
        """The tensor as a model's signature has it."""
        nullable = self.nullable or self.optional
        return TensorSpec(self.name, self.datatype, self.shape, nullable=nullable, optional=self.optional)


class DeclaredSignature(_Section):
    inputs: tuple[DeclaredTensor, ...] = ()
    outputs: tuple[DeclaredTensor, ...] = ()

    @field_validator("outputs")
    @classmethod
    def _are_always_there(cls, outputs: tuple[DeclaredTensor, ...]) -> tuple[DeclaredTensor, ...]:
        strange = next((tensor for tensor in outputs if tensor.nullable or tensor.optional), None)
        if strange is not None:
            raise ValueError(f"{strange.name!r} is an output; nullable and optional are for inputs")
        return outputs

    def place(self, side: str, index: int | None = None) -> str:
        """Where a side, or one tensor of it, stands: the file and the key, for an error."""
        return f"{FILE_NAME}: {key_of(side, index)}"


def key_of(side: str, index: int | None = None) -> str:
    return f"signature.{side}" if index is None else f"signature.{side}[{index}]"


class DeclaredPython(_Section):
    entry: Annotated[str, Field(alias="class", pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")] = "model:Model"
    requirements: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9]")], ...] = ()


class Declaration(_Section):
    task: Task | None = None
    description: str = ""
    deterministic: Annotated[bool, Strict()] | None = None
    batching: OwnersBatching = None
    warm_up: Literal["skip"] | None = None
    reference: str | None = None
    limits: DeclaredLimits = DeclaredLimits()
    signature: DeclaredSignature = DeclaredSignature()
    python: DeclaredPython | None = None


_SECTIONS: dict[str, type[_Section]] = {
    "": Declaration,
    "limits": DeclaredLimits,
    "python": DeclaredPython,
    "signature": DeclaredSignature,
    "inputs": DeclaredTensor,
    "outputs": DeclaredTensor,
}


def read_declaration(folder: Path) -> Declaration:
    """The folder's declaration; an empty one if there is no such file. Raises InvalidPackage."""
    path = folder / FILE_NAME
    if not path.is_file():
        return Declaration()
    value = _parse(read_text(path, MAX_BYTES))
    if not isinstance(value, dict | None):
        raise InvalidPackage(f"{FILE_NAME}: holds {_shown(value)}; keys with values are wanted")
    try:
        return Declaration.model_validate(value or {})
    except ValidationError as error:
        faults = [_explain(fault) for fault in error.errors(include_url=False)[:5]]
        raise InvalidPackage("; ".join(f"{FILE_NAME}: {fault}" for fault in faults)) from error


def reference_of(folder: Path, declaration: Declaration) -> Path | None:
    """The reference file, if one is declared. Raises InvalidPackage if it is missing or elsewhere."""
    name = declaration.reference
    if name is None:
        return None
    found = inside(folder, name)
    if found is None:
        raise InvalidPackage(
            f"{FILE_NAME}: reference: {name!r} is no file inside the package; "
            f"put it there and give its relative path, such as 'reference.jsonl'"
        )
    return found


class _UniqueKeys(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice instead of taking the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                problem = f"{key.value!r} is given twice; keep one"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _parse(text: str) -> Any:
    try:
        return yaml.load(text, _UniqueKeys)  # noqa: S506 - a SafeLoader, only stricter
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" at line {mark.line + 1} column {mark.column + 1}" if mark else ""
        advice = "; put text with a colon in quotes" if "mapping values" in str(error.problem) else ""
        raise InvalidPackage(f"{FILE_NAME}: not YAML{where}: {error.problem}{advice}") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        first = (str(error).splitlines() or ["?"])[0]
        raise InvalidPackage(f"{FILE_NAME}: not YAML: {first}") from error


def _explain(fault: Any) -> str:
    place: Sequence[str | int] = fault["loc"]
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".")
    if fault["type"] == "extra_forbidden":
        return f"{key}: unknown key; {_suggest(place)}"
    if fault["type"] == "missing":
        return f"{key}: is missing"
    return f"{key}: {_shown(fault['input'])}: {said(fault)}"


def said(fault: Any) -> str:
    """What pydantic says of a fault, as the end of a sentence."""
    message: str = fault["msg"]
    ours = message.removeprefix("Value error, ")
    return ours if ours != message else message[0].lower() + message[1:]


def _suggest(place: Sequence[str | int]) -> str:
    section = next((part for part in reversed(place[:-1]) if isinstance(part, str)), "")
    known = [str(field.alias) for field in _SECTIONS[section].model_fields.values()]
    near = difflib.get_close_matches(str(place[-1]), known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"


def _shown(value: Any) -> str:
    return reprlib.repr(value)
