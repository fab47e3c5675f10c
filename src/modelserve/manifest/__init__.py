"""Pure: the text of a spec file to a typed spec, with errors that name the line."""

from modelserve.manifest.parsing import parse, parse_all, parse_any, parse_experiment
from modelserve.manifest.writing import dump, experiment_schema, schema, to_document

__all__ = [
    "dump",
    "experiment_schema",
    "parse",
    "parse_all",
    "parse_any",
    "parse_experiment",
    "schema",
    "to_document",
]
