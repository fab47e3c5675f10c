"""What every package folder has, whatever the model: settings, reference rows, a model card.

Needs neither torch nor onnx, so that the tests read packages with the same code.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CARD = """---
license: mit
language: {language}
library_name: onnx
pipeline_tag: {task}
tags: [onnx, modelserve]
metrics: [{metric}]
model-index:
  - name: {name}
    results:
      - task: {{type: {task}}}
        dataset: {{type: reference.jsonl, name: held-out rows}}
        metrics:
          - type: {metric}
            value: {score:.4f}
---

# {name}

{summary}

{body}
## Licence

MIT. The data is made by scripts or shipped by a library; no person's text or image is in it.
"""


@dataclass(frozen=True)
class Card:
    """A model card: what the front matter repeats, then Markdown sections by title."""

    name: str
    task: str
    language: str
    metric: str
    score: float
    summary: str
    sections: dict[str, str]

    def render(self) -> str:
        """The whole README.md."""
        body = "".join(f"## {title}\n\n{text}\n\n" for title, text in self.sections.items())
        facts = {**vars(self), "body": body.rstrip("\n") + "\n"}
        return CARD.format(**facts)


def stated_score(package: Path) -> float:
    """The score in a card's front matter; raises ValueError when there is none."""
    found = re.search(r"^ +value: ([0-9.]+)$", (package / "README.md").read_text("utf-8"), re.M)
    if not found:
        raise ValueError(f"{package / 'README.md'} states no score")
    return float(found.group(1))


def write_json(path: Path, value: Any) -> None:
    """Write one indented JSON document."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", "utf-8")


def write_settings(package: Path, task: str, description: str, max_length: int | None) -> None:
    """Write `modelserve.yaml`; `max_length` is in tokens."""
    quoted = json.dumps(description)  # a JSON string is a YAML string, whatever signs are in it
    lines = [f"task: {task}", f"description: {quoted}", "reference: reference.jsonl"]
    if max_length is not None:
        lines += ["limits:", f"  maxLength: {max_length}"]
    (package / "modelserve.yaml").write_text("\n".join(lines) + "\n", "utf-8")


def write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write one JSON object a line."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Read one JSON object a line."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
