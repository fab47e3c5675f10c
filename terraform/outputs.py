"""From Terraform's outputs to what the manifests in k8s/ read, so that nobody copies an address by hand.

    terraform output -json | python terraform/outputs.py > k8s/overlays/dev/platform.env

One NAME=value a line, as kustomize's configMapGenerator takes it with `envs:`. No secret is among it: their
ARNs are, for the External Secrets operator.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any


def lines(outputs: Mapping[str, Any]) -> Iterator[str]:
    """Raises KeyError where the outputs are not those of an environment."""
    for path, value in sorted(_leaves("", outputs["platform"]["value"])):
        yield f"{path}={value}"
    yield f"CLUSTER={outputs['cluster']['value']['name']}"


def _leaves(path: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(f"{path}_{name}" if path else name, inner)
    elif value is not None:
        yield re.sub(r"[^A-Z0-9]+", "_", path.upper()), str(value)


def main() -> int:
    try:
        print("\n".join(lines(json.load(sys.stdin))))
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        print(f"not the outputs of an environment ({error!r}): run `terraform output -json`", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
