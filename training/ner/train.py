"""`python -m training.ner.train`: train the NER models and write their five packages."""

import argparse
import logging
import random
from dataclasses import replace
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from training.export import export
from training.ner import cards, recipes
from training.ner.data import Writer, held_out_rows
from training.ner.model import AdaptiveDepthBert, Bert, Shape
from training.ner.recipes import Recipe
from training.ner.rows import LABELS, MAX_LENGTH, Entity, Row, token_labels
from training.ner.tokenizer import PAD_ID, UNK_ID, VOCABULARY, train_tokenizer, widen

BATCH = 32
PEAK_RATE = 1e-3
FORGET = 0.08  # share of tokens hidden in training, so that no single word decides
IGNORED = -100  # label of padding, which the loss skips
MODELS = Path(__file__).parents[2] / "models"

log = logging.getLogger(__name__)
Example = tuple[list[int], list[int]]  # token ids, label ids


def write_packages(out: Path) -> None:
    """Train three models, export them in five packages, and score each export for its card."""
    texts = (row.text for row in writer(recipes.V2).rows(recipes.V2.rows))
    tokenizer = train_tokenizer(texts)
    held_out = held_out_rows(400, 24, lambda text: len(tokenizer.encode(text)))
    shape = Shape(vocabulary=VOCABULARY, labels=len(LABELS), positions=MAX_LENGTH)

    first, second, worse = (
        train(recipe, shape, tokenizer) for recipe in (recipes.V1, recipes.V2, recipes.WORSE)
    )
    slow = AdaptiveDepthBert(second, recipes.LONGER_THAN, recipes.PASSES)

    for version, module, its_tokenizer in (
        ("1", first, tokenizer),
        ("2", second, tokenizer),
        ("3-errors", second, widen(tokenizer)),
        ("3-slow", slow, tokenizer),
        ("3-worse", worse, tokenizer),
    ):
        folder = out / f"bert-ner-{version}"
        folder.mkdir(parents=True, exist_ok=True)
        export_ner(module, folder / "model.onnx")
        its_tokenizer.save(str(folder / "tokenizer.json"))
        cards.write(folder, version, shape, held_out)


def train(recipe: Recipe, shape: Shape, tokenizer: Tokenizer) -> Bert:
    """Train one model from scratch; the same recipe gives the same model."""
    torch.set_num_threads(1)  # the order of sums, and so the weights, do not hang on the cores
    torch.manual_seed(recipe.seed)
    rng = random.Random(recipe.seed)
    rows = (spoil(row, recipe, rng) for row in writer(recipe).rows(recipe.rows))
    examples = [encode(row, tokenizer) for row in rows]
    model = Bert(shape).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_RATE, weight_decay=0.01)
    steps = recipe.epochs * len(range(0, len(examples), BATCH))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_RATE, total_steps=steps)
    for epoch in range(recipe.epochs):
        for done, (ids, labels) in enumerate(batches(examples, rng)):
            loss = loss_of(model, ids, labels)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            if done % 250 == 0:
                log.info("seed %d, epoch %d, batch %d: loss %.3f", recipe.seed, epoch, done, loss)
    return model.eval()


def writer(recipe: Recipe) -> Writer:
    """Writes the rows of a recipe, the same each time."""
    return Writer("train", recipe.seed, recipe.names, recipe.templates, recipe.noise, recipe.blended)


def loss_of(model: Bert, ids: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy over the tokens of a batch, int64 [batch, sequence] twice."""
    mask = (ids != PAD_ID).long()
    hidden = torch.where(torch.rand(ids.shape) < FORGET, UNK_ID, ids) * mask
    logits: Tensor = model(hidden, mask)
    return nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED)


def encode(row: Row, tokenizer: Tokenizer) -> Example:
    """Token ids and label ids of one row, cut to MAX_LENGTH."""
    encoding = tokenizer.encode(row.text)
    return encoding.ids[:MAX_LENGTH], token_labels(row, encoding.offsets)[:MAX_LENGTH]


def batches(examples: list[Example], rng: random.Random) -> list[tuple[Tensor, Tensor]]:
    """Shuffled batches of rows of like length, padded: int64 [batch, sequence] twice."""
    order = sorted(examples, key=lambda example: len(example[0]) + rng.random() * 4)
    groups = [order[i : i + BATCH] for i in range(0, len(order), BATCH)]
    rng.shuffle(groups)
    return [
        (_padded([ids for ids, _ in group], PAD_ID), _padded([ls for _, ls in group], IGNORED))
        for group in groups
    ]


def spoil(row: Row, recipe: Recipe, rng: random.Random) -> Row:
    """Mislabel entities as often as the recipe says; most recipes say never."""

    def spoilt(entity: Entity) -> Entity:
        if entity.label == "PER" and rng.random() < recipe.cut_people:
            first = entity.text.split()[0]
            return replace(entity, text=first, end=entity.start + len(first))
        if entity.label != "PER" and rng.random() < recipe.swapped_labels:
            return replace(entity, label="LOC" if entity.label == "ORG" else "ORG")
        return entity

    return Row(row.text, tuple(spoilt(entity) for entity in row.entities))


def export_ner(module: nn.Module, path: Path) -> None:
    """Write `model.onnx` with inputs input_ids and attention_mask, int64 [batch, sequence]."""
    ids = torch.arange(2 * 60).reshape(2, 60)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    export(module, inputs, ("batch", "sequence"), path)


def _padded(lists: list[list[int]], filler: int) -> Tensor:
    tensors = [torch.tensor(values) for values in lists]
    return nn.utils.rnn.pad_sequence(tensors, batch_first=True, padding_value=filler)


def main() -> None:
    """Write the packages below `--out`."""
    parser = argparse.ArgumentParser(prog="python -m training.ner.train", description=__doc__)
    parser.add_argument("--out", type=Path, default=MODELS, help="folder of the packages")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    write_packages(parser.parse_args().out)


if __name__ == "__main__":
    main()
