"""The tables. Keys and order are columns; everything else of a record is one JSON document.

A document may gain fields that have defaults without a new version; any other change needs one.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    UniqueConstraint,
)

VERSION = 6
"""2: the model registry. 3: experiments. 4: looks. 5: predictions and labels. 6: labels of shadow pairs."""

metadata = MetaData()

schema_version = Table(
    "schema_version",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
)

services = Table(
    "services",
    metadata,
    Column("name", String, primary_key=True),
    Column("spec", JSON, nullable=False),
    Column("stable", String),
)


def _of_service() -> Column[str]:
    return Column("service", ForeignKey("services.name", ondelete="CASCADE"), nullable=False, index=True)


revisions = Table(
    "revisions",
    metadata,
    Column("name", String, primary_key=True),
    _of_service(),
    Column("number", Integer, nullable=False),
    Column("document", JSON, nullable=False),
    UniqueConstraint("service", "number"),
)

rollouts = Table(
    "rollouts",
    metadata,
    Column("id", String, primary_key=True),
    _of_service(),
    Column("started", Float(53), nullable=False),
    Column("document", JSON, nullable=False),
)

transitions = Table(
    "transitions",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("rollout", ForeignKey("rollouts.id", ondelete="CASCADE"), nullable=False),
    Column("at", Float(53), nullable=False),
    Column("before", String, nullable=False),
    Column("after", String, nullable=False),
    Column("document", JSON, nullable=False),
    UniqueConstraint("rollout", "before", "after", "at"),
)

looks = Table(
    "looks",
    metadata,
    Column("rollout", ForeignKey("rollouts.id", ondelete="CASCADE"), primary_key=True),
    Column("first", Integer, primary_key=True, autoincrement=False),  # number of the first look in the row
    Column("count", Integer, nullable=False),
    Column("lines", LargeBinary, nullable=False),  # compressed
)

registered_models = Table(
    "registered_models",
    metadata,
    Column("name", String, primary_key=True),
    Column(
        "numbered", Integer, nullable=False
    ),  # the last number given, also after all versions are gone: none is given twice
)

model_versions = Table(
    "model_versions",
    metadata,
    Column("model", ForeignKey("registered_models.name", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("document", JSON, nullable=False),
)

model_aliases = Table(
    "model_aliases",
    metadata,
    Column("model", String, primary_key=True),
    Column("alias", String, primary_key=True),
    Column("number", Integer, nullable=False),
    ForeignKeyConstraint(
        ["model", "number"], ["model_versions.model", "model_versions.number"], ondelete="CASCADE"
    ),
)

experiments = Table(
    "experiments",
    metadata,
    Column("name", String, primary_key=True),
    _of_service(),
    Column("document", JSON, nullable=False),
)


def _of_experiment() -> Column[str]:
    return Column("experiment", ForeignKey("experiments.name", ondelete="CASCADE"), nullable=False)


exposures = Table(
    "exposures",
    metadata,
    _of_experiment(),
    Column("key", String, nullable=False),
    Column("arm", String, nullable=False),
    Column("at", Float(53), nullable=False),
    Column("request", String, nullable=False),
    Column("weights", String, nullable=False),
    Column("crossed", Boolean, nullable=False),
    PrimaryKeyConstraint("experiment", "key"),
    Index("exposures_by_request", "experiment", "request"),
    Index("exposures_by_time", "experiment", "at", "key"),
)

experiment_outcomes = Table(
    "experiment_outcomes",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    _of_experiment(),
    Column("key", String, nullable=False),
    Column("metric", String, nullable=False),
    Column("value", Float(53), nullable=False),
    Column("at", Float(53), nullable=False),
    UniqueConstraint("experiment", "key", "metric"),
    Index("outcomes_in_order", "experiment", "metric", "sequence"),
)

predictions = Table(
    "predictions",
    metadata,
    Column("service", String, primary_key=True),
    Column("request_id", String, primary_key=True),
    Column("revision", String, nullable=False),
    Column("arm", String, nullable=False),
    Column("at", Float(53), nullable=False, index=True),
    Column("weight", Float(53), nullable=False),
    Column("predicted", JSON, nullable=False),
    Column("parts", JSON, nullable=False),
    Column("ambiguous", Integer, nullable=False, default=0),
)  # No foreign key: a million rows are not deleted in one step.

shadow_predictions = Table(
    "shadow_predictions",
    metadata,
    Column("service", String, primary_key=True),
    Column("request_id", String, primary_key=True),
    Column("revision", String, primary_key=True),
    Column("at", Float(53), nullable=False, index=True),
    Column("predicted", JSON, nullable=False),
)
labels = Table(
    "labels",
    metadata,
    Column("service", String, primary_key=True),
    Column("request_id", String, primary_key=True),
    Column("value", JSON, nullable=False),
    Column("known", Float(53)),
    Column("received", Float(53), nullable=False, index=True),
    Column("state", String, nullable=False, index=True),
)

label_cells = Table(
    "label_cells",
    metadata,
    Column("service", String, primary_key=True),
    Column("window", Integer, primary_key=True),
    Column("level", Integer, primary_key=True),
    Column("block", Integer, primary_key=True),
    Column("weight", Float(53), primary_key=True),
    Column("revision", String, primary_key=True),
    Column("arm", String, primary_key=True),
    Column("metric", String, primary_key=True),
    Column("part", String, primary_key=True),
    Column("n", Integer, nullable=False),
    Column("bad", Float(53), nullable=False),
)
label_pairs = Table(
    "label_pairs",
    metadata,
    Column("service", String, primary_key=True),
    Column("window", Integer, primary_key=True),
    Column("revision", String, primary_key=True),
    Column("metric", String, primary_key=True),
    Column("both_right", Float(53), nullable=False),
    Column("stable_right", Float(53), nullable=False),
    Column("candidate_right", Float(53), nullable=False),
    Column("both_wrong", Float(53), nullable=False),
)
