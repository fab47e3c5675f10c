"""Two answers to one request, side by side, for people.

What differs stands in brackets as well as in colour: nothing is lost where there are no colours.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

View = Mapping[str, Any]

COLOURS = {"boundary": "yellow", "type": "magenta", "missing": "red", "extra": "red"}
MOST_ELEMENTS = 5
"""Elements of tensors, or items, shown of one pair."""
_PICTURES = {code: chr(0x2400 + code) for code in range(32)} | {0x7F: "\u2421"}
_PICTURES |= dict.fromkeys(
    (*range(0x80, 0xA0), 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A)), "\ufffd"
)


def printable(text: str) -> str:
    """A client's text, of as many letters, that can't steer the terminal."""
    return text.translate(_PICTURES)


def summary(totals: View) -> str:
    """``"41 of 300 pairs disagree (boundary 22, type 9); 2 unmatched"``: what is 0 is left out."""
    said = f"{totals.get('disagreements', 0)} of {totals.get('pairs', 0)} pairs disagree"
    kinds = [(name[5:], n) for name, n in totals.items() if name.startswith("kind_") and n]
    if kinds:
        ordered = sorted(kinds, key=lambda item: (-item[1], item[0]))
        said += f" ({', '.join(f'{kind} {number}' for kind, number in ordered)})"
    return "; ".join((said, *_asides(totals)))


def _asides(totals: View) -> Iterator[str]:
    if totals.get("repeats"):
        yield f"stable differs from itself in {totals.get('noise', 0)} of {totals['repeats']}"
    if totals.get("late"):
        yield f"{totals['late']} late"
    if totals.get("unmatched"):
        yield f"{totals['unmatched']} without a partner"
    compared = totals.get("pairs", 0) + totals.get("unmatched", 0)
    if (missing := totals.get("sampled", 0) - compared) > 0:
        yield f"{missing} copies not answered, or not yet"


def report(found: View) -> RenderableType:
    """All of it."""
    against = found["stable"] or "nothing"
    head = Text.assemble((found["candidate"], "bold"), f" against {against}: {summary(found['totals'])}")
    if not found["differences"]:
        return Group(head, Text("nothing that differs is in the controller's memory", "dim"))
    pairs = (_pair(number, one) for number, one in enumerate(found["differences"], 1))
    hint = [] if found["inputs"] else [Text("what was asked is not kept: shadow.keepInputs is false", "dim")]
    return Group(head, *(line for lines in pairs for line in lines), *hint)


def _pair(number: int, one: View) -> Iterator[Text]:
    at = datetime.datetime.fromtimestamp(one["at"]).astimezone().strftime("%H:%M:%S")
    kinds = ", ".join(f"{kind} {count}" for kind, count in one["kinds"].items())
    noisy = "; stable differs from itself, too" if one["noisy"] else ""
    yield Text()
    yield Text.assemble((f"{number}. {kinds}", "bold"), (f"  {at}  {printable(one['id'])}{noisy}", "dim"))
    if one["candidate"] is None:
        yield from _asked(one["input"])
        yield _line("candidate", Text(f"failed with status {one['status']}", "red"))
    elif one["parts"] is not None:
        yield from _entities(one)
    else:
        yield from _asked(one["input"])
        yield from _rows(one)


def _line(who: str, what: Text) -> Text:
    return Text.assemble((f"   {who:<10} ", "dim"), what)


def _asked(asked: View | None) -> Iterator[Text]:
    if asked is None:
        return
    if asked["kind"] == "texts":
        yield from (_line("asked", Text(printable(text))) for text in asked["items"][:MOST_ELEMENTS])
    elif asked["kind"] == "images":
        for image in asked["items"][:MOST_ELEMENTS]:
            yield _line("asked", Text(f"an image of {image['bytes']:,} bytes, digest {image['digest']}"))
    else:
        for name, tensor in asked["inputs"].items():
            shape = "x".join(map(str, tensor["shape"]))
            told = f"{printable(name)}: {tensor['datatype']} {shape}, digest {tensor['digest']}"
            yield _line("asked", Text(told))


def _entities(one: View) -> Iterator[Text]:
    texts = one["input"]["items"] if one["input"] and one["input"]["kind"] == "texts" else []
    for item in dict.fromkeys(part["item"] for part in one["parts"] if part["kinds"]):
        parts = [part for part in one["parts"] if part["item"] == item]
        text = texts[item] if item < len(texts) else None
        for who in ("stable", "candidate"):
            spans = [(part[who], part["kinds"]) for part in parts if part[who]]
            yield _line(who, _marked(text, spans) if text is not None else _listed(spans))


def _marked(text: str, spans: Sequence[tuple[Sequence[Any], Sequence[str]]]) -> Text:
    """``[Angela Merkel PER] visited [Paris LOC]``; what lies beyond the text that was kept is left out."""
    told, reached = Text(), 0
    for (label, start, end), kinds in sorted(spans, key=lambda span: span[0][1]):
        if end > len(text):
            break
        start = max(start, reached)
        told.append(printable(text[reached:start]))
        told.append(f"[{printable(text[start:end])} {printable(label)}]", _style(kinds))
        reached = max(end, reached)
    told.append(printable(text[reached:]))
    return told


def _listed(spans: Sequence[tuple[Sequence[Any], Sequence[str]]]) -> Text:
    """``[PER 0-13]`` where the text was not kept."""
    if not spans:
        return Text("nothing", "dim")
    marks = [(f"[{printable(label)} {start}-{end}]", _style(kinds)) for (label, start, end), kinds in spans]
    return Text(" ").join(Text(mark, style) for mark, style in marks)


def _style(kinds: Sequence[str]) -> str:
    return f"bold {COLOURS[kinds[0]]}" if kinds else "green"


def _rows(one: View) -> Iterator[Text]:
    for who in ("stable", "candidate"):
        other = one["candidate" if who == "stable" else "stable"]
        yield _line(who, _values(one[who], other))


def _values(answer: View, other: View) -> Text:
    """Of labels and tensors the first few parts, those that differ in colour."""
    if answer["kind"] == "entities":
        spans = [(span, ()) for item in answer["items"] for span in item]
        return _listed(spans[:MOST_ELEMENTS])
    mine, theirs = _flat(answer), _flat(other)
    differing = [name for name in mine if theirs.get(name) != mine[name]]
    shown = [(f"{name}{mine[name]}", "bold yellow") for name in differing[:MOST_ELEMENTS]]
    rest = len(differing) - len(shown)
    marks = [Text(printable(mark), style) for mark, style in shown]
    return Text("  ").join([*marks, Text(f"and {rest:,} more", "dim")] if rest > 0 else marks)


def _flat(answer: View) -> dict[str, str]:
    """Its parts by where they stand; a single label by itself."""
    if answer["kind"] == "labels":
        scores = answer.get("scores") or [None] * len(answer["items"])
        many = len(answer["items"]) > 1
        pairs = enumerate(zip(answer["items"], scores, strict=True))
        return {f"{n}: " if many else "": _label(label, score) for n, (label, score) in pairs}
    if answer["kind"] == "tensors":
        return {
            f"{name}[{n}] = ": f"{value:.6g}" if isinstance(value, float) else str(value)
            for name, tensor in answer["outputs"].items()
            for n, value in enumerate(tensor["data"])
        }
    return {"": str(answer["items"])}


def _label(label: str, score: float | None) -> str:
    return label if score is None else f"{label} ({score:.2f})"
