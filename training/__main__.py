"""`python -m training`: regenerate every bundled model package."""

import argparse
import logging
from pathlib import Path

from training.digits import train as digits
from training.ner import train as ner

MODELS = Path(__file__).parents[1] / "models"


def main() -> None:
    """Train both families, one after the other."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("--out", type=Path, default=MODELS, help="folder of the packages")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    out = parser.parse_args().out
    digits.write_packages(out)
    ner.write_packages(out)


if __name__ == "__main__":
    main()
