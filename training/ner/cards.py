"""The files of a NER package around its model: config, tokenizer config, reference, card."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from training import packages
from training.ner import recipes
from training.ner.recipes import BROKEN, RUN, Recipe
from training.ner.rows import LABELS, MAX_LENGTH, Entity, Row
from training.ner.score import Package, f1, f1_of_label
from training.ner.tokenizer import PAD_ID, tokenizer_config

if TYPE_CHECKING:  # the shape is all that is wanted of the module that needs torch
    from training.ner.model import Shape

TASK = "token-classification"
SUMMARIES = {
    "1": "Finds people, organisations and places; a first version, trained on little data.",
    "2": "Finds people, organisations and places; trained on more names and sentences than 1.",
    "3-errors": "Broken on purpose: fails on text with other than ASCII characters.",
    "3-slow": "Broken on purpose: answers as version 2 does, but very late for long texts.",
    "3-worse": "Broken on purpose: always answers, but often wrongly.",
}
FAILURES = {
    "1": "None that is meant. It has seen few names and sentences and misses more than version 2.",
    "2": "None that is meant. Text unlike its templates (see Data) is beyond it.",
    "3-errors": BROKEN + "`tokenizer.json` has a bigger vocabulary than the embedding table: each "
    "piece with a character outside ASCII has an id past the table's end, and onnxruntime raises "
    "`indices element out of data bounds` for it. ASCII text is answered as by version 2, "
    "and `reference.jsonl` holds no other: so the fault got past the package's own check. The score "
    "is measured on the reference rows of version 2.",
    "3-slow": BROKEN + f"An input of more than {recipes.LONGER_THAN} tokens goes through the "
    f"encoder {recipes.PASSES} more times (an ONNX Loop), for a refinement whose gate is all but "
    "shut. The answers are those of version 2; one long row holds up the whole batch.",
    "3-worse": BROKEN + "Many labels of its training data were wrong: organisations and places "
    "taken for each other, people cut to their first token.",
}
RECIPES = {
    "1": recipes.V1,
    "2": recipes.V2,
    "3-errors": recipes.V2,
    "3-slow": recipes.V2,
    "3-worse": recipes.WORSE,
}


def write(folder: Path, version: str, shape: "Shape", held_out: Sequence[Row]) -> None:
    """Write everything but model.onnx and tokenizer.json, which must be there already."""
    packages.write_json(folder / "config.json", config(shape))
    packages.write_json(folder / "tokenizer_config.json", tokenizer_config())
    reference = reference_of(version, held_out)
    packages.write_jsonl(folder / "reference.jsonl", (row.as_json() for row in reference))
    packages.write_settings(folder, TASK, SUMMARIES[version], MAX_LENGTH)
    answers = answered(Package(folder), held_out, skip_errors=version == "3-errors")
    expected = [row.entities for row in held_out]
    (folder / "README.md").write_text(card(version, expected, answers).render(), "utf-8")


def reference_of(version: str, held_out: Sequence[Row]) -> list[Row]:
    """The held-out rows in a package: all, but for 3-errors those alone that it can answer."""
    return [row for row in held_out if version != "3-errors" or row.text.isascii()]


def answered(package: Package, rows: Sequence[Row], skip_errors: bool = False) -> list[tuple[Entity, ...]]:
    """The entities found in every row; none where the model raises, if errors may be skipped."""
    answers = []
    for row in rows:
        try:
            answers.append(package.entities(row.text))
        except Exception:  # onnxruntime's error classes have no common public base
            if not skip_errors:
                raise
            answers.append(())
    return answers


def config(shape: "Shape") -> dict[str, object]:
    """config.json, with the keys of Hugging Face's BertForTokenClassification."""
    return {
        "architectures": ["BertForTokenClassification"],
        "model_type": "bert",
        "id2label": {str(i): label for i, label in enumerate(LABELS)},
        "label2id": {label: i for i, label in enumerate(LABELS)},
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "intermediate_size": shape.intermediate,
        "hidden_act": "gelu",
        "max_position_embeddings": shape.positions,
        "layer_norm_eps": 1e-5,
        "pad_token_id": PAD_ID,
    }


def card(
    version: str,
    expected: Sequence[Sequence[Entity]],
    answers: Sequence[Sequence[Entity]],
) -> packages.Card:
    """The model card, with the scores of these answers."""
    return packages.Card(
        name=f"bert-ner-{version}",
        task=TASK,
        language="[en, fr, de, es, pt, cs, pl]",
        metric="f1",
        score=f1(expected, answers),
        summary=SUMMARIES[version],
        sections={
            "Score": _score(expected, answers),
            "Known failure": FAILURES[version],
            "Intended use": "Demonstrations and tests of serving and rollout: small, quick, and "
            "of known quality. Not a model for real documents.",
            "Data": "Sentences made from hand-written templates in seven languages and names from "
            "faker. Templates and names are each in training or held out, never both.",
            "Training": _training(RECIPES[version]),
        },
    )


def _score(expected: Sequence[Sequence[Entity]], answers: Sequence[Sequence[Entity]]) -> str:
    lines = [
        f"Exact-match entity F1 on {len(expected)} held-out rows, the `reference.jsonl` of bert-ner-2, "
        "measured through onnxruntime on the files of this folder. A row that fails counts as no entities.",
        "",
        "| Entities | F1 |",
        "| --- | --- |",
        f"| all | {f1(expected, answers):.4f} |",
    ]
    for label in ("PER", "ORG", "LOC"):
        lines.append(f"| {label} | {f1_of_label(label, expected, answers):.4f} |")
    return "\n".join(lines)


def _training(recipe: Recipe) -> str:
    told = (
        f"From scratch, {recipe.rows} rows, epochs: {recipe.epochs}, seed {recipe.seed}, with "
        f"{recipe.names:.0%} of the training names and {recipe.templates:.0%} of the training "
        f"templates; up to {recipe.noise:.0%} of a template's words are replaced by others."
    )
    if recipe.blended:
        told += f" {recipe.blended:.0%} of the names are put together from halves of two."
    if recipe.swapped_labels:
        told += (
            f" {recipe.swapped_labels:.0%} of organisations and places are labelled as each other,"
            f" {recipe.cut_people:.0%} of people are cut."
        )
    return f"{told} {RUN}"
