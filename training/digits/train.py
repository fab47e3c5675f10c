"""`python -m training.digits.train`: train both image models and write their packages."""

import argparse
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from training import packages
from training.digits.data import Digits, load
from training.digits.model import WIDTHS, ResNet
from training.digits.score import PREPROCESSOR, Package, accuracy, encode_image, pixel_values
from training.export import export

TASK = "image-classification"
BATCH = 32
PEAK_RATE = 3e-3
MODELS = Path(__file__).parents[2] / "models"


@dataclass(frozen=True)
class Recipe:
    """One training run on the first `images` of the training images."""

    seed: int
    images: int
    epochs: int
    summary: str


RECIPES = {
    "1": Recipe(1, 150, 20, "Reads handwritten digits; a first version, trained on few images."),
    "2": Recipe(2, 1597, 10, "Reads handwritten digits; trained on ten times the images of 1."),
}


def write_packages(out: Path) -> None:
    """Train two models, export them, and score each export for its card."""
    training, held_out = load()
    for version, recipe in RECIPES.items():
        folder = out / f"resnet-digits-{version}"
        folder.mkdir(parents=True, exist_ok=True)
        sample = {"pixel_values": torch.zeros(2, 3, 32, 32)}
        export(train(recipe, training), sample, ("batch",), folder / "model.onnx")
        write_rest(folder, recipe, held_out)


def train(recipe: Recipe, digits: Digits) -> ResNet:
    """Train one model from scratch; the same recipe gives the same model."""
    torch.set_num_threads(1)  # the order of sums, and so the weights, do not hang on the cores
    torch.manual_seed(recipe.seed)
    pixels = torch.from_numpy(pixel_values(digits.images[: recipe.images]))
    labels = torch.from_numpy(digits.labels[: recipe.images])
    model = ResNet().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_RATE)
    steps = recipe.epochs * len(range(0, len(labels), BATCH))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_RATE, total_steps=steps)
    for _ in range(recipe.epochs):
        for rows in torch.randperm(len(labels)).split(BATCH):
            loss = nn.functional.cross_entropy(model(shifted(pixels[rows])), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def shifted(pixels: Tensor) -> Tensor:
    """The batch moved by up to 2 pixels each way; what comes in from the edge is black."""
    down, right = torch.randint(-2, 3, (2,)).tolist()
    return nn.functional.pad(pixels, (right, -right, down, -down), value=-1.0)


def write_rest(folder: Path, recipe: Recipe, held_out: Digits) -> None:
    """Write everything but model.onnx, which must be there already."""
    expected = [str(label) for label in held_out.labels]
    rows = zip(held_out.images, expected, strict=True)
    packages.write_json(folder / "config.json", config())
    packages.write_json(folder / "preprocessor_config.json", PREPROCESSOR)
    packages.write_settings(folder, TASK, recipe.summary, None)
    packages.write_jsonl(
        folder / "reference.jsonl",
        ({"image": encode_image(image), "label": label} for image, label in rows),
    )
    score = accuracy(expected, Package(folder).labels(held_out.images))
    (folder / "README.md").write_text(card(folder.name, recipe, score, len(expected)), "utf-8")


def config() -> dict[str, object]:
    """config.json, with the keys of Hugging Face's ResNetForImageClassification."""
    return {
        "architectures": ["ResNetForImageClassification"],
        "model_type": "resnet",
        "num_channels": 3,
        "embedding_size": WIDTHS[0],
        "hidden_sizes": list(WIDTHS),
        "depths": [1] * len(WIDTHS),
        "layer_type": "basic",
        "hidden_act": "relu",
        "id2label": {str(digit): str(digit) for digit in range(10)},
        "label2id": {str(digit): digit for digit in range(10)},
    }


def card(name: str, recipe: Recipe, score: float, held_out: int) -> str:
    """The whole model card."""
    return packages.Card(
        name=name,
        task=TASK,
        language="[]",
        metric="accuracy",
        score=score,
        summary=recipe.summary,
        sections={
            "Score": f"Accuracy {score:.4f} on the {held_out} held-out images of "
            "`reference.jsonl`, measured through onnxruntime on the files of this folder.",
            "Known failure": "None that is meant. It knows one digit that fills the image, light on dark.",
            "Intended use": "Demonstrations and tests of serving and rollout: small, quick, and "
            "of known quality. Not a model for real documents.",
            "Data": "The digits that scikit-learn ships (UCI, Optical Recognition of Handwritten "
            "Digits, 8 x 8 pixels), enlarged to 32 x 32. The split is fixed.",
            "Training": f"From scratch, {recipe.images} images, {recipe.epochs} epochs, seed "
            f"{recipe.seed}. Regenerate with `python -m training` (see `training/README.md`).",
        },
    ).render()


def main() -> None:
    """Write the packages below `--out`."""
    parser = argparse.ArgumentParser(prog="python -m training.digits.train", description=__doc__)
    parser.add_argument("--out", type=Path, default=MODELS, help="folder of the packages")
    write_packages(parser.parse_args().out)


if __name__ == "__main__":
    main()
