"""Writes the tables of inputs and outputs into the modules' READMEs, from their variables.tf and outputs.tf.

python terraform/readmes.py            write
python terraform/readmes.py --check    say what is not current, and exit with 1
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

MODULES = Path(__file__).parent / "modules"
MARK = "<!-- written by readmes.py -->"
_BLOCK = re.compile(r'^(variable|output) "(\w+)" \{\n(.*?)^\}', re.DOTALL | re.MULTILINE)


def _field(body: str, name: str) -> str:
    found = re.search(rf"^  {name}\s*= (.+)$", body, re.MULTILINE)
    return found[1].strip() if found else ""


def _description(body: str) -> str:
    text = _field(body, "description").strip('"').replace('\\"', '"')
    return text.replace("|", "\\|")


def _default(body: str) -> str:
    value = _field(body, "default")
    if not value:
        return "required"
    return "see variables.tf" if value.endswith(("{", "[")) and value not in ("{}", "[]") else f"`{value}`"


def tables(module: Path) -> str:
    inputs = _BLOCK.findall((module / "variables.tf").read_text())
    outputs = _BLOCK.findall((module / "outputs.tf").read_text())
    lines = ["## Inputs", "", "| name | what it is | default |", "| --- | --- | --- |"]
    lines += [f"| `{name}` | {_description(body)} | {_default(body)} |" for _, name, body in inputs]
    lines += ["", "## Outputs", "", "| name | what it is |", "| --- | --- |"]
    lines += [f"| `{name}` | {_description(body)} |" for _, name, body in outputs]
    return "\n".join(lines) + "\n"


def current(module: Path) -> str:
    readme = (module / "README.md").read_text()
    return readme.partition(MARK)[0] + f"{MARK}\n\n{tables(module)}"


def main() -> int:
    stale = []
    for module in sorted(path for path in MODULES.iterdir() if path.is_dir()):
        page, text = module / "README.md", current(module)
        if page.read_text() != text:
            stale.append(module.name)
            if "--check" not in sys.argv:
                page.write_text(text)
    if stale and "--check" in sys.argv:
        print(f"not current: {', '.join(stale)}; run python terraform/readmes.py")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
