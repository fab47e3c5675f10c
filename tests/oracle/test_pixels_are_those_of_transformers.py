"""Pixels are those of transformers ..."""

import io
import json

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from PIL import Image
from transformers import AutoImageProcessor
from transformers.image_utils import load_image
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING_NAMES
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES

from modelserve.domain.inference import DataType, Signature, TensorSpec
from modelserve.domain.models import ModelPackage, Task
from modelserve.errors import InvalidPackage, ModelServeError
from modelserve.packages import open_package
from modelserve.tasks import task_for
from modelserve.tasks.preprocessing.kinds import CLASS_OF_KIND, CLASSLESS
from modelserve.tasks.preprocessing.processors import PROCESSORS

INCEPTION = {"image_mean": [0.47853944, 0.4732864, 0.47434163], "image_std": [0.229, 0.224, 0.225]}
"""By class, what is said beyond it; by default nothing."""
VARIANTS = {
    "BeitImageProcessor": [
        {},
        {"size": 224, "crop_size": 200, "do_center_crop": True, "resample": 2, "do_reduce_labels": True},
        {"size": [30, 50], "do_rescale": False},
    ],
    "BitImageProcessor": [
        {},
        {"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 200}, "resample": 3},
        {"do_center_crop": False, "size": {"height": 37, "width": 21}},
        {
            "do_pad": True,
            "do_center_crop": False,
            "do_resize": False,
            "pad_size": {"height": 300, "width": 400},
        },
    ],
    "CLIPImageProcessor": [
        {},
        {"size": 336, "crop_size": 336, "do_convert_rgb": True, "processor_class": "CLIPProcessor"},
        {"size": {"shortest_edge": 40, "longest_edge": 50}, "do_center_crop": False},
        {"size": {"max_height": 40, "max_width": 50}, "do_center_crop": False},
        {"size": 64, "default_to_square": True, "do_center_crop": False},
    ],
    "ConvNextImageProcessor": [
        {},
        {"size": {"shortest_edge": 224}, "crop_pct": 0.875, "resample": 3},
        {"size": 224, "crop_pct": 0.95},
        {"size": {"shortest_edge": 224}, "do_center_crop": True, "crop_size": 100},
        {"size": {"shortest_edge": 384}, "crop_pct": None, "do_normalize": None},
        {"do_resize": False},
    ],
    "DeiTImageProcessor": [
        {},
        {"size": 256, "crop_size": 224, "resample": 3, **INCEPTION},
        {"size": {"height": 248, "width": 248}, "do_center_crop": False, "do_rescale": False},
    ],
    "EfficientNetImageProcessor": [
        {},
        {"include_top": True, "resample": 0, "size": {"height": 224, "width": 224}, **INCEPTION},
        {"include_top": False, "rescale_offset": True, "rescale_factor": 1 / 127.5, "do_normalize": False},
        {"include_top": True, "do_normalize": False, "do_center_crop": True},
        {"rescale_offset": True, "do_rescale": False},
    ],
    "LevitImageProcessor": [
        {},
        {"size": 192, "crop_size": {"height": 160, "width": 160}, "do_center_crop": True},
        {"size": {"height": 60, "width": 50}, "do_center_crop": False},
    ],
    "MobileNetV1ImageProcessor": [{}, {"size": {"shortest_edge": 220}, "crop_size": 192}],
    "MobileNetV2ImageProcessor": [{}, {"size": {"shortest_edge": 160}, "do_center_crop": False}],
    "MobileViTImageProcessor": [
        {},
        {"size": 288, "crop_size": 256, "resample": 2, "do_flip_channel_order": True},
        {"do_flip_channel_order": False, "do_rescale": False},
    ],
    "PerceiverImageProcessor": [
        {},
        {"size": 200, "crop_size": 224},
        {"size": {"height": 64, "width": 48}, "crop_size": {"height": 70, "width": 80}},
        {"do_center_crop": False},
    ],
    "PoolFormerImageProcessor": [
        {},
        {"size": 224, "crop_pct": 0.95, "crop_size": 224, "do_resize_and_center_crop": True},
        {"size": {"height": 50, "width": 50}, "crop_pct": 0.8, "do_center_crop": None},
        {"size": {"shortest_edge": 60}, "crop_pct": None},
        {"size": {"height": 50, "width": 40}, "crop_pct": 0.8, "do_center_crop": False},
    ],
    "PvtImageProcessor": [{}, {"size": {"height": 80, "width": 60}, "resample": 1}],
    "SegformerImageProcessor": [{}, {"size": 512, "reduce_labels": True, "do_normalize": False}],
    "SiglipImageProcessor": [{}, {"size": 100}, {"size": {"height": 384, "width": 384}, "resample": 2}],
    "TextNetImageProcessor": [
        {},
        {"size": {"shortest_edge": 100}, "size_divisor": 16, "do_center_crop": True},
    ],
    "ViTImageProcessor": [
        {},
        {"size": 384, "resample": 3, "image_mean": 0.5, "image_std": 0.25},
        {"do_center_crop": True, "crop_size": 128, "rescale_factor": 1 / 128, "do_pad": True},
        {"do_pad": True, "pad_size": {"height": 250, "width": 230}},
        *({"resample": resample, "size": {"height": 50, "width": 70}} for resample in range(6)),
    ],
}
PICTURES = [(320, 213), (150, 251), (224, 224), (1, 1), (8, 25)]
"""Width and height."""


def picture(width, height):
    """Edges, a gradient and noise, so that every filter and rounding shows."""
    columns, rows = np.meshgrid(np.linspace(0, 255, width), np.linspace(255, 0, height))
    noise = np.random.default_rng(width * height).integers(0, 256, (height, width))
    pixels = np.dstack([columns, rows, noise]).astype(np.uint8)
    pixels[: height // 3, : width // 2] = 255
    return Image.fromarray(pixels)


def encoded(image, format="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def configs():
    for name, variants in VARIANTS.items():
        for index, variant in enumerate(variants):
            yield pytest.param({"image_processor_type": name, **variant}, id=f"{name}-{index}")


@pytest.fixture
def folder(tmp_path):
    def write(config):
        (tmp_path / "preprocessor_config.json").write_text(json.dumps(config))
        return tmp_path

    return write


def ours(folder, content, channels=3):
    package = ModelPackage(
        path=folder,
        digest="0" * 64,
        layout="huggingface",
        task=Task.IMAGE_CLASSIFICATION,
        model_file=folder / "model.onnx",
        signature=Signature(
            (TensorSpec("pixel_values", DataType.FP32, (-1, channels, -1, -1)),),
            (TensorSpec("logits", DataType.FP32, (-1, 2)),),
        ),
        labels=("cat", "dog"),
        logits="logits",
    )
    return task_for(package).prepare(content)[0]["pixel_values"]


def theirs(folder, image):
    return AutoImageProcessor.from_pretrained(folder, backend="pil")(image, return_tensors="np")[
        "pixel_values"
    ]


def agree(found, expected):
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_for_every_class_that_is_served():
    assert set(VARIANTS) == set(PROCESSORS)


@pytest.mark.parametrize("config", list(configs()))
def test_whatever_the_configuration(folder, config):
    written = folder(config)
    for image in (picture(*size) for size in PICTURES):
        agree(ours(written, encoded(image)), theirs(written, image))


@pytest.mark.parametrize("name", sorted(PROCESSORS))
@pytest.mark.parametrize(
    "named",
    [
        lambda name: {"feature_extractor_type": name.replace("ImageProcessor", "FeatureExtractor")},
        lambda name: {"image_processor_type": f"{name}Fast", "feature_extractor_type": "AnyFeatureExtractor"},
    ],
)
def test_under_the_names_that_a_class_had(folder, name, named):
    written, image = folder(named(name)), picture(60, 40)
    agree(ours(written, encoded(image)), theirs(written, image))


@pytest.mark.parametrize(
    "name", ["ViT", "DeiT", "Beit", "Levit", "MobileNetV2", "MobileViT", "Perceiver", "PoolFormer"]
)
def test_of_a_model_that_takes_grey(folder, name):
    written = folder(
        {"image_processor_type": f"{name}ImageProcessor", "image_mean": [0.3], "image_std": [0.4]}
    )
    image = picture(60, 40).convert("L")
    agree(ours(written, encoded(image), channels=1), theirs(written, image))


@pytest.mark.parametrize(
    ("mode", "format", "options"),
    [
        ("L", "PNG", {}), ("1", "PNG", {}), ("P", "PNG", {}), ("RGBA", "PNG", {}), ("LA", "PNG", {}),
        ("RGB", "JPEG", {}), ("L", "JPEG", {}), ("CMYK", "JPEG", {}), ("RGB", "JPEG", {"progressive": True}),
        ("RGB", "WEBP", {}), ("RGB", "WEBP", {"lossless": True}), ("RGBA", "WEBP", {"lossless": True}),
        ("RGB", "MPO", {"save_all": True, "append_images": [picture(60, 40)]}),
        ("RGB", "PNG", {"save_all": True, "append_images": [picture(60, 40).rotate(180)]}),
        ("RGB", "WEBP", {"save_all": True, "append_images": [picture(60, 40).rotate(180)]}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("orientation", [1, 6])
def test_of_files_of_every_kind(folder, tmp_path, mode, format, options, orientation):
    written = folder({"image_processor_type": "CLIPImageProcessor"})
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(picture(60, 40).convert(mode), format, exif=exif, **options)
    (tmp_path / "picture").write_bytes(content)
    agree(ours(written, content), theirs(written, load_image(str(tmp_path / "picture"))))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_of_transparency_that_its_processors_and_not_its_pipelines_lay_on_white(folder, mode):
    """Pipelines take transparency off, so that whatever was left beneath it shows."""
    written = folder({"image_processor_type": "CLIPImageProcessor", "do_convert_rgb": True})
    image = picture(60, 40).convert(mode)
    if mode == "P":
        image.info["transparency"] = 7
    else:
        image.putalpha(picture(60, 40).convert("L"))
    agree(ours(written, encoded(image)), theirs(written, image))


OLD = {"size": 56, "crop_size": 40, "do_normalize": True, "image_mean": 0.5, "image_std": 0.25}


def is_served(kind):
    return CLASS_OF_KIND[kind] in PROCESSORS


class TestOfAModelThatNamesNoClass:
    def test_whose_type_has_one_there(self):
        """Several types may share a configuration, by which transformers goes."""
        last = {config: kind for kind, config in CONFIG_MAPPING_NAMES.items()}
        found = {
            kind: IMAGE_PROCESSOR_MAPPING_NAMES.get(last[config])
            for kind, config in CONFIG_MAPPING_NAMES.items()
        }
        classes = {kind: names.get("torchvision") or names["pil"] for kind, names in found.items() if names}
        assert classes == CLASS_OF_KIND
        assert set(MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES) - set(classes) <= CLASSLESS

    @pytest.mark.parametrize("kind", sorted(kind for kind in CLASS_OF_KIND if is_served(kind)))
    @pytest.mark.parametrize("told", [OLD, {"size": {"shortest_edge": 56}}, {}], ids=["old", "edge", "none"])
    def test_whatever_is_told(self, folder, kind, told):
        """Refused is what fails there, and a switch that is on and idle."""
        written = folder(told)
        (written / "config.json").write_text(json.dumps({"model_type": kind}))
        for image in (picture(*size) for size in PICTURES):
            try:
                found = ours(written, encoded(image))
            except InvalidPackage as error:
                if "does not do that" not in error.message:
                    with pytest.raises((ValueError, AttributeError)):
                        theirs(written, image)
                continue
            agree(found, theirs(written, image))

    @pytest.mark.parametrize("kind", sorted(CLASSLESS))
    def test_fails_there_as_well_where_there_is_none(self, folder, kind):
        written = folder(OLD)
        (written / "config.json").write_text(json.dumps({"model_type": kind}))
        with pytest.raises(ValueError, match="Unrecognized image processor"):
            theirs(written, picture(60, 40))

    @pytest.mark.parametrize("kind", ["vit", "clip"])
    def test_beside_code_of_its_own(self, folder, kind):
        code = {"auto_map": {"AutoImageProcessor": "code.Mine"}}
        written = folder({**OLD, **code, "feature_extractor_type": "ConvNextFeatureExtractor"})
        (written / "config.json").write_text(json.dumps({"model_type": kind}))
        image = picture(60, 40)
        processor = AutoImageProcessor.from_pretrained(written, backend="pil", trust_remote_code=False)
        agree(ours(written, encoded(image)), processor(image, return_tensors="np")["pixel_values"])


NESTED = {"image_processor": {**OLD, "image_processor_type": "CLIPImageProcessor"}, "processor_class": "Mine"}


@pytest.mark.parametrize(
    "files",
    [
        {"preprocessor_config.json": OLD},
        {"processor_config.json": NESTED},
        {"processor_config.json": {"image_processor": OLD}},
        {"processor_config.json": NESTED, "preprocessor_config.json": {"size": 30}},
        {"processor_config.json": {"image_processor": None}, "preprocessor_config.json": OLD},
        {"processor_config.json": {"processor_class": "Mine"}, "preprocessor_config.json": OLD},
        {"processor_config.json": {"image_processor": {}}, "preprocessor_config.json": OLD},
    ],
)
def test_of_a_folder_that_is_read_whole(tmp_path, files):
    pixels = helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, ["batch", 3, "height", "width"])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", "classes"])
    node = helper.make_node("Flatten", ["pixel_values"], ["logits"])
    graph = helper.make_graph([node], "g", [pixels], [logits])
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), tmp_path / "model.onnx")
    config = {"architectures": ["ViTForImageClassification"], "model_type": "vit", "id2label": {"0": "cat"}}
    for name, content in {"config.json": config, **files}.items():
        (tmp_path / name).write_text(json.dumps(content))
    image = picture(60, 40)
    found = task_for(open_package(tmp_path)).prepare(encoded(image))[0]["pixel_values"]
    agree(found, theirs(tmp_path, image))


SIDES = st.sampled_from([1, 5, 31, 64, 100])
SIZES = st.one_of(
    SIDES,
    st.lists(SIDES, min_size=2, max_size=2),
    st.fixed_dictionaries({"height": SIDES, "width": SIDES}),
    st.fixed_dictionaries({"shortest_edge": SIDES}, optional={"longest_edge": st.none() | SIDES}),
    st.fixed_dictionaries({"max_height": SIDES, "max_width": SIDES}),
)
SWITCH = st.sampled_from([True, False, None])
NUMBERS = st.sampled_from([0.5, [0.4, 0.5, 0.6], [1, 2, 3], None])
KEYS = {
    "do_resize": SWITCH, "size": SIZES, "default_to_square": SWITCH, "resample": st.integers(0, 5),
    "do_center_crop": SWITCH, "crop_size": SIZES, "do_pad": SWITCH, "pad_size": SIZES, "do_rescale": SWITCH,
    "rescale_factor": st.sampled_from([1 / 255, 1 / 127.5, 1, None]), "do_normalize": SWITCH,
    "image_mean": NUMBERS, "image_std": NUMBERS, "do_convert_rgb": SWITCH, "include_top": SWITCH,
    "rescale_offset": SWITCH, "do_flip_channel_order": SWITCH, "size_divisor": st.sampled_from([8, 32]),
    "crop_pct": st.sampled_from([0.5, 0.875, None]),
}  # fmt: skip


@settings(max_examples=250, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(sorted(PROCESSORS)), st.fixed_dictionaries({}, optional=KEYS), st.tuples(SIDES, SIDES))
def test_or_the_configuration_is_refused(folder, name, keys, size):
    """Keys that transformers passes over in silence are refused here; never are there other pixels."""
    written, image = folder({"image_processor_type": name, **keys}), picture(*size)
    try:
        found = ours(written, encoded(image))
    except ModelServeError:
        return
    try:
        expected = theirs(written, image)
    except (ValueError, TypeError, IndexError):
        return  # a key that is not in use has a value that transformers does not understand
    agree(found, expected)
