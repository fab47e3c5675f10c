"""Labels are those of transformers ..."""

import io
import warnings

import numpy as np
import pytest
import torch
import transformers as hf
from PIL import Image

from modelserve.domain.models import Runtime
from modelserve.packages import open_package
from modelserve.runtimes import runtime_for
from modelserve.tasks import task_for

SMALL = {
    "image_size": 32,
    "patch_size": 8,
    "hidden_size": 16,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}
SWIN = {
    "image_size": 32,
    "patch_size": 4,
    "embed_dim": 8,
    "depths": [1, 1],
    "num_heads": [1, 2],
    "window_size": 4,
}
STAGES = {"hidden_sizes": [8, 16], "depths": [1, 1]}
SIZE = {"height": 32, "width": 32}
KINDS = {
    "vit": (hf.ViTConfig, SMALL | {"num_hidden_layers": 2}, hf.ViTImageProcessorPil, {"size": SIZE}),
    "deit": (
        hf.DeiTConfig,
        SMALL | {"num_hidden_layers": 1},
        hf.DeiTImageProcessorPil,
        {"size": 36, "crop_size": 32},
    ),
    "beit": (hf.BeitConfig, SMALL | {"num_hidden_layers": 1}, hf.BeitImageProcessorPil, {"size": SIZE}),
    "dinov2": (
        hf.Dinov2Config,
        {"image_size": 32, "patch_size": 8, "hidden_size": 16, "num_attention_heads": 2}
        | {"num_hidden_layers": 1},
        hf.BitImageProcessorPil,
        {"size": {"shortest_edge": 40}, "crop_size": SIZE},
    ),
    "swin": (hf.SwinConfig, SWIN, hf.ViTImageProcessorPil, {"size": SIZE}),
    "resnet": (
        hf.ResNetConfig,
        STAGES | {"embedding_size": 8, "layer_type": "basic"},
        hf.ConvNextImageProcessorPil,
        {"size": {"shortest_edge": 32}},
    ),
    "convnext": (
        hf.ConvNextConfig,
        STAGES | {"num_stages": 2},
        hf.ConvNextImageProcessorPil,
        {"size": {"shortest_edge": 32}, "crop_pct": 0.9},
    ),
    "efficientnet": (
        hf.EfficientNetConfig,
        {"image_size": 32, "width_coefficient": 0.1, "depth_coefficient": 0.1, "hidden_dim": 128},
        hf.EfficientNetImageProcessorPil,
        {"size": SIZE},
    ),
    "poolformer": (
        hf.PoolFormerConfig,
        {"hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1]},
        hf.PoolFormerImageProcessorPil,
        {"size": {"shortest_edge": 32}, "crop_size": SIZE},
    ),
}
PROBLEMS = {
    "none": {"num_labels": 7},
    "two labels": {"num_labels": 2},
    "named": {"id2label": {0: "cat", 1: "dog", 2: "car"}},
    "one label": {"num_labels": 1},
    "single": {"num_labels": 4, "problem_type": "single_label_classification"},
    "multi": {"num_labels": 6, "problem_type": "multi_label_classification"},
    "regression": {"num_labels": 1, "problem_type": "regression"},
    "regressions": {"num_labels": 3, "problem_type": "regression"},
    "function": {"num_labels": 3, "function_to_apply": "sigmoid"},
}


class Logits(torch.nn.Module):
    """The one answer that a graph for image classification gives."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, pixel_values):
        return self.model(pixel_values=pixel_values).logits


def trained(config):
    """Random weights, large enough that scores differ."""
    torch.manual_seed(0)
    model = hf.AutoModelForImageClassification.from_config(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


def export(model, folder):
    """As optimum does it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Logits(model).eval(),
            (torch.zeros(1, 3, 32, 32),),
            str(folder / "model.onnx"),
            input_names=["pixel_values"],
            output_names=["logits"],
            dynamic_axes={"pixel_values": {0: "batch"}, "logits": {0: "batch"}},
            dynamo=False,
        )


@pytest.fixture
def pair(tmp_path):
    """A pipeline of transformers, and the folder that it and ModelServe read."""

    def make(kind, problem):
        config, sizes, processor, told = KINDS[kind]
        architecture = config.__name__.replace("Config", "ForImageClassification")
        model = trained(config(**sizes, **problem, architectures=[architecture]))
        model.config.save_pretrained(tmp_path)
        processor(**told).save_pretrained(tmp_path)
        export(model, tmp_path)
        images = hf.AutoImageProcessor.from_pretrained(tmp_path, backend="pil")
        return hf.pipeline(
            "image-classification", model=model, image_processor=images, device="cpu"
        ), tmp_path

    return make


def pictures():
    for seed, size in enumerate([(48, 36), (30, 50), (32, 32), (5, 9)]):
        noise = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
        yield Image.fromarray(noise)
        yield Image.fromarray(np.sort(noise, axis=0))


def labelled(folder, images):
    package = open_package(folder)
    task, model = task_for(package), runtime_for(Runtime.ONNX).load(package)
    for image in images:
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        tensors, context = task.prepare(buffer.getvalue())
        yield task.finish(model.predict(tensors), context)


def agree(pipe, folder):
    for expected, found in zip(pipe(list(pictures())), labelled(folder, pictures()), strict=True):
        assert [label.label for label in found] == [label["label"] for label in expected]
        np.testing.assert_allclose(
            [label.score for label in found], [label["score"] for label in expected], atol=1e-3
        )


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_the_model(pair, kind):
    agree(*pair(kind, {"num_labels": 7}))


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
def test_whatever_the_problem(pair, problem):
    agree(*pair("resnet", problem))


def test_of_one_label_that_is_told_from_no_other():
    with pytest.raises(ValueError, match="single_label_classification"):
        hf.ResNetConfig(num_labels=1, problem_type="single_label_classification")
