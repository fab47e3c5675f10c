"""A preprocessor (preprocessor_config.json) ..."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from modelserve.domain.models import Task
from modelserve.errors import InvalidInput, InvalidPackage
from modelserve.tasks import task_for


def gradient(width, height):
    """Red grows by one with each column, green with each row."""
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    return Image.fromarray(np.dstack([columns, rows, np.zeros_like(rows)]).astype(np.uint8))


def encode(image):
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


class TestComputes:
    def test_nothing_but_the_range_by_default(self, pixels_of):
        pixels = pixels_of(gradient(6, 4))
        np.testing.assert_allclose(pixels[0, 0], np.arange(6) / 255, rtol=1e-6)

    def test_rescale_and_normalize_as_the_formula_says(self, pixels_of):
        mean, std, factor = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225], 1 / 127.5
        image = gradient(50, 40)
        pixels = pixels_of(
            image, do_rescale=True, rescale_factor=factor, do_normalize=True, image_mean=mean, image_std=std
        )
        expected = (np.asarray(image) * factor - np.array(mean)) / np.array(std)
        np.testing.assert_allclose(pixels, expected.transpose(2, 0, 1), atol=1e-6)

    def test_normalize_alone_on_the_raw_range(self, pixels_of):
        pixels = pixels_of(gradient(4, 4), do_rescale=False, do_normalize=True, image_mean=1, image_std=2)
        assert pixels[0, 0].tolist() == [-0.5, 0, 0.5, 1]

    def test_no_normalization_that_is_switched_off(self, pixels_of):
        config = {"do_rescale": False, "do_normalize": False, "image_mean": [9, 9, 9], "image_std": [9, 9, 9]}
        assert pixels_of(gradient(4, 4), **config)[0, 0].tolist() == [0, 1, 2, 3]

    @pytest.mark.parametrize("resample", list(Image.Resampling))
    def test_resize_with_the_filter_that_is_named(self, pixels_of, resample):
        image = gradient(40, 30)
        size = {"height": 12, "width": 10}
        pixels = pixels_of(image, do_rescale=False, do_resize=True, size=size, resample=int(resample))
        expected = np.asarray(image.resize((10, 12), resample), np.float32)
        np.testing.assert_array_equal(pixels, expected.transpose(2, 0, 1))

    @pytest.mark.parametrize(
        ("given", "config", "expected"),
        [
            ((40, 20), {"size": {"height": 8, "width": 6}}, (8, 6)),
            ((40, 20), {"size": 8}, (8, 8)),
            ((40, 20), {"size": {"shortest_edge": 10}}, (10, 20)),
            ((20, 41), {"size": {"shortest_edge": 10}}, (20, 10)),
            ((20, 20), {"size": {"shortest_edge": 10}}, (10, 10)),
            ((40, 20), {"size": {"shortest_edge": 10}, "do_center_crop": True, "crop_size": 8}, (8, 8)),
            (
                (40, 20),
                {"size": 10, "do_center_crop": True, "crop_size": {"height": 9, "width": 12}},
                (9, 12),
            ),
            ((40, 20), {"size": {"shortest_edge": 10}, "do_center_crop": False, "crop_size": 8}, (10, 20)),
            ((40, 20), {"size": 10, "do_resize": False}, (20, 40)),
            ((40, 20), {"size": 14, "crop_pct": 0.875}, (14, 14)),
            ((40, 20), {"size": {"shortest_edge": 384}, "crop_pct": 0.875}, (384, 384)),
        ],
    )
    def test_sizes(self, pixels_of, given, config, expected):
        assert pixels_of(gradient(*given), **config).shape == (3, *expected)

    def test_a_crop_of_the_middle(self, pixels_of):
        pixels = pixels_of(gradient(9, 6), do_rescale=False, do_center_crop=True, crop_size=4)
        assert pixels[0, 0].tolist() == [2, 3, 4, 5]
        assert pixels[1, :, 0].tolist() == [1, 2, 3, 4]

    def test_black_around_an_image_that_is_smaller_than_the_crop(self, pixels_of):
        pixels = pixels_of(
            Image.new("RGB", (2, 2), "white"), do_rescale=False, do_center_crop=True, crop_size=4
        )
        assert pixels[0].tolist() == [[0, 0, 0, 0], [0, 255, 255, 0], [0, 255, 255, 0], [0, 0, 0, 0]]


IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}


class TestOfAClass:
    """Values that transformers gave; tests/oracle asks it about every class."""

    def test_efficientnet_divides_by_the_deviation_twice(self, pixels_of):
        config = {"size": {"height": 224, "width": 224}, "resample": 0, "include_top": True,
                  **IMAGENET, "image_std": [0.47853944, 0.4732864, 0.47434163]}  # fmt: skip
        white = Image.new("RGB", (300, 200), "white")
        for named in ({"image_processor_type": "EfficientNetImageProcessor"}, {}):
            assert pixels_of(white, **config, **named).mean() == pytest.approx(2.439, abs=1e-3)
        config |= {"include_top": False}
        assert pixels_of(white, **config).mean() == pytest.approx(1.159, abs=1e-3)

    def test_efficientnet_shifts_by_one(self, pixels_of):
        config = {"rescale_offset": True, "rescale_factor": 1 / 127.5, "do_normalize": False}
        pixels = pixels_of(Image.new("RGB", (4, 4), "white"), size=4, **config)
        np.testing.assert_allclose(pixels, 1.0, atol=1e-6)

    def test_levit_enlarges_the_shorter_side_before_the_crop(self, pixels_of):
        image = Image.new("RGB", (500, 500), "white")
        image.paste((0, 0, 0), (25, 25, 475, 475))
        config = {"size": {"shortest_edge": 224}, "crop_size": 224, "do_center_crop": True, "resample": 2}
        pixels = pixels_of(image, image_processor_type="LevitImageProcessor", **config, **IMAGENET)
        assert pixels.mean() == pytest.approx(-1.986, abs=2e-3)
        assert pixels_of(image, **config, **IMAGENET).mean() == pytest.approx(-1.146, abs=2e-3)

    def test_mobilevit_turns_rgb_into_bgr(self, pixels_of):
        image = Image.new("RGB", (4, 4), (10, 20, 30))
        config = {"do_center_crop": False, "do_rescale": False, "size": 4}
        pixels = pixels_of(image, image_processor_type="MobileViTFeatureExtractor", **config)
        assert pixels[:, 0, 0].tolist() == [30, 20, 10]

    @pytest.mark.parametrize(
        ("name", "given", "config", "expected"),
        [
            ("ViTImageProcessor", (40, 20), {}, (224, 224)),
            ("DeiTFeatureExtractor", (40, 20), {"size": 256, "crop_size": 192}, (192, 192)),
            ("CLIPImageProcessorFast", (40, 20), {"size": 10, "do_center_crop": False}, (10, 20)),
            ("CLIPImageProcessor", (40, 20), {"size": 10, "do_center_crop": False, "default_to_square": True},
             (10, 10)),
            ("BitImageProcessorPil", (40, 20),
             {"size": {"shortest_edge": 10, "longest_edge": 15}, "do_center_crop": False}, (8, 15)),
            ("BitImageProcessor", (40, 20),
             {"size": {"max_height": 30, "max_width": 30}, "do_center_crop": False}, (15, 30)),
            ("BitImageProcessor", (5000, 1),
             {"size": {"max_height": 30, "max_width": 30}, "do_center_crop": False}, (1, 30)),
            ("ViTImageProcessor", (40, 20), {"size": [8, 6]}, (8, 6)),
            ("ViTImageProcessor", (40, 20),
             {"size": 8, "do_pad": True, "pad_size": {"height": 9, "width": 12}}, (9, 12)),
            ("ViTImageProcessor", (40, 20), {"size": 8, "do_pad": True}, (8, 8)),
            ("TextNetImageProcessor", (40, 20), {"size": 20, "size_divisor": 16}, (32, 48)),
            ("PerceiverImageProcessor", (40, 20), {"size": 10, "crop_size": 16}, (10, 10)),
            ("PoolFormerImageProcessor", (40, 20),
             {"size": 9, "crop_pct": 0.9, "do_center_crop": False}, (10, 20)),
            ("ConvNextImageProcessor", (40, 20), {"size": 9, "crop_pct": None, "do_resize": None}, (20, 40)),
        ],
    )  # fmt: skip
    def test_gives_sizes(self, pixels_of, name, given, config, expected):
        assert pixels_of(gradient(*given), image_processor_type=name, **config).shape == (3, *expected)

    def test_pads_with_zeros_after_it_has_normalized(self, pixels_of):
        config = {"size": 2, "do_pad": True, "pad_size": {"height": 3, "width": 4}, "do_rescale": False}
        pixels = pixels_of(Image.new("RGB", (2, 2), "white"), image_mean=5, image_std=1, **config)
        assert pixels[0].tolist() == [[250, 250, 0, 0], [250, 250, 0, 0], [0, 0, 0, 0]]

    def test_refuses_an_image_that_is_larger_than_its_padding(self, pixels_of):
        config = {"do_resize": False, "do_pad": True, "pad_size": {"height": 8, "width": 8}}
        with pytest.raises(
            InvalidInput, match="has 9 x 4 pixels before it is padded; this model takes at most 8 x 8"
        ):
            pixels_of(gradient(9, 4), image_processor_type="ViTImageProcessor", **config)

    def test_takes_grey_where_the_model_does(self, pixels_of):
        grey = {"shape": (-1, 1, -1, -1), "size": 2, "image_processor_type": "ViTImageProcessor"}
        pixels = pixels_of(Image.new("L", (2, 2), 255), image_mean=[0.5], image_std=[0.25], **grey)
        assert pixels.tolist() == [[[2, 2], [2, 2]]]
        with pytest.raises(InvalidPackage, match=r"image_mean: \[0.5, 0.5, 0.5\]; 1 numbers are wanted"):
            pixels_of(Image.new("L", (2, 2), 255), **grey)
        with pytest.raises(InvalidPackage, match="do_convert_rgb: true; the model takes one channel"):
            pixels_of(Image.new("L", (2, 2), 255), image_mean=0.5, image_std=1, do_convert_rgb=True, **grey)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (
            {"do_resize": True},
            'size: is missing or null; {"height": 224, "width": 224} or {"shortest_edge": 224} is wanted',
        ),
        ({"size": {"longest_edge": 9}}, 'size: {"longest_edge": 9}; '),
        ({"size": {"height": 0, "width": 4}}, "size.height: 0; a number of pixels from 1 to 16384 is wanted"),
        ({"size": {"shortest_edge": "9"}}, 'size.shortest_edge: "9"; a number of pixels'),
        ({"size": True}, "size: true; a number of pixels"),
        ({"do_center_crop": True}, 'crop_size: is missing or null; {"height": 224, "width": 224} is wanted'),
        ({"size": 4, "resample": 9}, "resample: 9; known are 0 (nearest), 1 (lanczos), 2 (bilinear)"),
        ({"rescale_factor": 0}, "rescale_factor: 0; a number above 0 is wanted"),
        ({"rescale_factor": "1/255"}, 'rescale_factor: "1/255"; a number above 0'),
        ({"do_normalize": True}, "image_mean: is missing or null; 3 numbers are wanted, one per channel"),
        ({"image_mean": [0.5], "image_std": [1, 1, 1]}, "image_mean: [0.5]; 3 numbers"),
        ({"image_mean": 0.5, "image_std": [1, 0, 1]}, "image_std: [1, 0, 1]; numbers above 0 are wanted"),
        ({"size": 4, "crop_pct": 1.5}, "crop_pct: 1.5; a share in 0..1 is wanted"),
        ({"do_resize": "no", "size": 4}, 'do_resize: "no"; true or false is wanted'),
        ({"size": {"longest_edge": 9, "shortest_edge": 0}}, "size.shortest_edge: 0; a number of pixels"),
        ({"size": {"height": 4, "width": 4, "depth": 4}}, 'size: {"height": 4, "width": 4, "depth": 4}; '),
        ({"include_top": True}, "image_std: is missing or null; 3 numbers are wanted"),
        ({"image_processor_type": "ConvNextImageProcessor", "size": {"height": 9, "width": 9}},
         'size: {"height": 9, "width": 9}; {"shortest_edge": 224} is wanted'),
        ({"image_processor_type": "TextNetImageProcessor", "size_divisor": 0}, "size_divisor: 0; a number"),
        ({"size": 9, "do_pad": True, "pad_size": {"height": 8, "width": 9}},
         'pad_size: {"height": 8, "width": 9}; at least the [9, 9] that images have before is wanted'),
    ],
)  # fmt: skip
def test_with_a_mistake_is_refused_with_what_is_wanted(image_package, config, said):
    with pytest.raises(InvalidPackage) as caught:
        task_for(image_package(**config))
    assert caught.value.message.startswith("preprocessor_config.json: ")
    assert said in caught.value.message


VIT = {"image_processor_type": "ViTImageProcessor"}


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({**VIT, "resize_mode": "letterbox"}, 'resize_mode: "letterbox"; the key is not known in ViTImage'),
        ({"resize_mode": "letterbox"}, "is not known without a class in image_processor_type; remove it if"),
        ({"antialias": False}, "antialias: false; the key is not known"),
        ({"do_flip_channel_order": True}, "do_flip_channel_order: true; the key is not known without"),
        ({**VIT, "do_flip_channel_order": True}, "do_flip_channel_order: true; the key is not known in"),
        ({**VIT, "include_top": True}, "include_top: true; the key is not known in ViTImageProcessor"),
        ({**VIT, "crop_pct": 0.9}, "crop_pct: 0.9; the key is not known"),
        ({**VIT, "size_divisor": 32}, "size_divisor: 32; the key is not known"),
        ({**VIT, "do_thumbnail": True}, "do_thumbnail: true; the key is not known"),
        ({**VIT, "data_format": "channels_last"}, 'data_format: "channels_last"; channels_first is wanted'),
        ({**VIT, "input_data_format": "none"}, 'input_data_format: "none"; channels_first or channels_last'),
        ({"image_processor": {"size": 8}}, 'image_processor: {"size": 8}; the key is not known'),
        ({"auto_map": {"AutoImageProcessor": "code.Mine"}}, "code of the model's own is not run"),
        ({"image_processor_type": "MobileViTImageProcessor", "do_normalize": True},
         "do_normalize: true; MobileViTImageProcessor does not do that"),
        ({"image_processor_type": "SegformerImageProcessor", "do_center_crop": True}, "does not do that"),
        ({"image_processor_type": "PoolFormerImageProcessor", "do_resize_and_center_crop": False},
         "do_resize_and_center_crop: false; set do_resize and do_center_crop to false in its place"),
        ({"image_processor_type": "ConvNextImageProcessor", "do_pad": True}, "do_pad: true; ConvNextImage"),
    ],
)  # fmt: skip
def test_with_a_key_that_is_not_followed_is_refused_by_name(image_package, config, said):
    with pytest.raises(InvalidPackage) as caught:
        task_for(image_package(**config))
    assert said in caught.value.message


@pytest.mark.parametrize(
    "name",
    [
        "ImageGPTImageProcessor", "DonutImageProcessor", "Siglip2ImageProcessor",
        "DINOv3ViTImageProcessorFast", "PPLCNetImageProcessor", "TimmWrapperImageProcessor",
        "DetrFeatureExtractor", "Mine", "", 7,
    ],
)  # fmt: skip
@pytest.mark.parametrize("key", ["image_processor_type", "feature_extractor_type"])
def test_of_a_class_with_rules_that_are_not_known_is_refused_by_name(image_package, key, name):
    with pytest.raises(InvalidPackage) as caught:
        task_for(image_package(**{key: name}))
    assert f"{key}: {json.dumps(name)}; its rules are not known here" in caught.value.message


OLD = {"do_normalize": True, "do_resize": True, "size": 224, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}


class TestWithoutAClass:
    """... follows the rules of the class that transformers takes for the type of the model."""

    @pytest.fixture
    def taken(self, image_package):
        def read(model, **config):
            package = image_package(**config)
            (package.path / "config.json").write_text(json.dumps(model))
            return task_for(package)

        return read

    @pytest.mark.parametrize(
        ("kind", "mean"),
        [("convnext", -0.71429), ("dinov2", -0.5), ("clip", -0.5), ("beit", -0.24990), ("vit", -0.25026)],
    )
    def test_of_a_type_that_has_one(self, taken, kind, mean):
        """Values of transformers for a black picture with a white frame: crops and filters show."""
        image = Image.new("RGB", (300, 200), "white")
        image.paste((0, 0, 0), (25, 25, 275, 175))
        pixels = taken({"model_type": kind}, **OLD).prepare(encode(image))[0]["pixel_values"]
        assert pixels.shape == (1, 3, 224, 224)
        assert pixels.mean() == pytest.approx(mean, abs=5e-5)

    def test_fills_in_what_is_left_out(self, taken):
        white = encode(Image.new("RGB", (9, 4), "white"))
        pixels = taken({"model_type": "mobilenet_v2"}, size=9, crop_size=8).prepare(white)[0]["pixel_values"]
        np.testing.assert_allclose(pixels, np.ones((1, 3, 8, 8)), rtol=1e-6)
        black = encode(Image.new("RGB", (9, 4)))
        pixels = taken({"model_type": "vit"}, size=8).prepare(black)[0]["pixel_values"]
        np.testing.assert_allclose(pixels, -np.ones((1, 3, 8, 8)), rtol=1e-6)

    def test_refuses_keys_that_the_class_does_not_know(self, taken):
        with pytest.raises(InvalidPackage, match=r"crop_pct: 0.9; the key is not known in ViTImageProcessor"):
            taken({"model_type": "vit"}, crop_pct=0.9)

    def test_is_told_which_class_was_taken_where_that_can_not_be_followed(self, taken):
        size = {"height": 8, "width": 8}
        with pytest.raises(InvalidPackage) as caught:
            taken({"model_type": "resnet"}, size=size)
        assert caught.value.message == (
            'preprocessor_config.json: size: {"height": 8, "width": 8}; {"shortest_edge": 224} is wanted '
            '(in ConvNextImageProcessor, for model_type is "resnet" and no class is named)'
        )
        assert taken({"model_type": "resnet"}, size=size, **VIT) is not None

    @pytest.mark.parametrize(
        ("model", "said"),
        [
            ({"model_type": "detr"}, '"detr" needs DetrImageProcessor, whose rules are not known here'),
            ({"model_type": "imagegpt"}, '"imagegpt" needs ImageGPTImageProcessor, whose rules'),
            ({"pretrained_cfg": {"mean": 0.5}}, '"timm_wrapper" needs TimmWrapperImageProcessor'),
            ({"model_type": "van"}, '"van" has no class of its own: name the one that is meant'),
        ],
    )
    def test_is_refused_where_the_rules_are_not_known(self, taken, model, said):
        with pytest.raises(InvalidPackage) as caught:
            taken(model, **OLD)
        lacks = "preprocessor_config.json: image_processor_type: is missing; model_type "
        assert lacks + said in caught.value.message
        assert taken(model, **VIT) is not None

    @pytest.mark.parametrize("model", [{}, {"model_type": None}, {"model_type": "mine"}, {"model_type": 7}])
    def test_does_what_keys_say_for_a_type_that_is_nobodys(self, taken, model):
        black = encode(Image.new("RGB", (9, 4)))
        pixels = taken(model, size=8).prepare(black)[0]["pixel_values"]
        np.testing.assert_array_equal(pixels, np.zeros((1, 3, 8, 8)))

    def test_beside_code_of_its_own(self, taken):
        code, black = {"auto_map": {"AutoImageProcessor": "code.Mine"}}, encode(Image.new("RGB", (9, 4)))
        told = {"feature_extractor_type": "CLIPFeatureExtractor", "size": 8, **code}
        assert taken({"model_type": "vit"}, **told).prepare(black)[0]["pixel_values"].shape == (1, 3, 8, 8)
        assert taken({"model_type": "vit", **code}, size=8) is not None
        with pytest.raises(InvalidPackage, match=r"auto_map of config.json: .* is not run; name a class"):
            taken({"model_type": "mine", **code}, size=8)


def test_of_a_class_that_the_model_names_follows_its_rules(image_package):
    package = image_package(size=8, crop_size=8)
    (package.path / "config.json").write_text('{"image_processor_type": "CLIPImageProcessor"}')
    assert task_for(package).prepare(encode(gradient(9, 30)))[0]["pixel_values"].shape == (1, 3, 8, 8)
    (package.path / "config.json").write_text('{"image_processor_type": "Mine"}')
    with pytest.raises(InvalidPackage, match='image_processor_type: "Mine"; its rules are not known'):
        task_for(package)


HUB = {
    "vit": {"do_normalize": True, "do_resize": True, "feature_extractor_type": "ViTFeatureExtractor",
            "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "resample": 2, "size": 224},
    "vit, saved anew": {
        "crop_size": None, "data_format": "channels_first", "default_to_square": True, "device": None,
        "disable_grouping": None, "do_center_crop": None, "do_convert_rgb": None, "do_normalize": True,
        "do_pad": None, "do_rescale": True, "do_resize": True, "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3, "image_processor_type": "ViTImageProcessorFast", "image_seq_length": None,
        "input_data_format": None, "pad_size": None, "resample": 2, "rescale_factor": 1 / 255,
        "return_tensors": None,
        "size": {"height": 224, "width": 224}},
    "resnet": {"crop_pct": 0.875, "do_normalize": True, "do_resize": True, "size": 224, "resample": 3,
               "feature_extractor_type": "ConvNextFeatureExtractor", **IMAGENET},
    "beit": {"crop_size": 224, "do_center_crop": False, "do_normalize": True, "do_resize": True, "size": 224,
             "feature_extractor_type": "BeitFeatureExtractor", "resample": 2, "reduce_labels": False},
    "poolformer": {"crop_pct": 0.9, "do_normalize": True, "do_resize_and_center_crop": True, "size": 224,
                   "feature_extractor_type": "PoolFormerFeatureExtractor", "resample": 3, **IMAGENET},
    "clip": {"crop_size": 224, "do_center_crop": True, "do_normalize": True, "do_resize": True, "size": 224,
             "feature_extractor_type": "CLIPFeatureExtractor", "processor_class": "CLIPProcessor"},
    "perceiver": {"crop_size": 256, "do_center_crop": True, "do_normalize": True, "do_resize": True,
                  "feature_extractor_type": "PerceiverFeatureExtractor", "resample": 3, "size": 224},
}  # fmt: skip
"""Files as they lie on the hub."""


@pytest.mark.parametrize("config", HUB.values(), ids=HUB)
def test_as_it_is_often_written_gives_what_the_model_takes(image_package, config):
    task = task_for(image_package(shape=(-1, 3, 224, 224), **config))
    pixels = task.prepare(encode(gradient(300, 200)))[0]["pixel_values"]
    assert pixels.shape == (1, 3, 224, 224)
    assert np.isfinite(pixels).all()


@pytest.mark.parametrize(
    "config",
    [
        {**VIT, "do_pad": None, "do_thumbnail": False, "include_top": False, "antialias": None},
        {**VIT, "processor_class": "CLIPProcessor", "_valid_processor_keys": [], "do_reduce_labels": True},
        {**VIT, "auto_map": {"AutoImageProcessor": "code.Mine"}, "data_format": "channels_first"},
        {"auto_map": {"AutoModel": "code.Mine"}, "size": 4, "input_data_format": "channels_last"},
        {**VIT, "feature_extractor_type": "Mine", "device": "cuda", "return_tensors": "pt", "use_fast": True},
    ],
)  # fmt: skip
def test_with_keys_that_no_pixel_depends_on_is_fine(image_package, config):
    assert task_for(image_package(**config)) is not None


def test_stands_in_processor_config_where_that_has_one(image_package):
    package = image_package(size=4)
    nested = {"processor_class": "Mine", "image_processor": {"size": 6}}
    (package.path / "processor_config.json").write_text(json.dumps(nested))
    content = encode(gradient(9, 9))
    assert task_for(package).prepare(content)[0]["pixel_values"].shape == (1, 3, 6, 6)
    (package.path / "processor_config.json").write_text('{"image_processor": {"sise": 6}}')
    with pytest.raises(InvalidPackage, match=r"processor_config.json: image_processor: sise: 6; "):
        task_for(package)
    (package.path / "processor_config.json").write_text('{"image_processor": "Mine"}')
    with pytest.raises(InvalidPackage, match=r'processor_config.json: image_processor: "Mine"; an object'):
        task_for(package)
    (package.path / "processor_config.json").write_text('{"processor_class": "Mine"}')
    assert task_for(package).prepare(content)[0]["pixel_values"].shape == (1, 3, 4, 4)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"size": 16}, "images come out with height and width [16, 16], but the model takes [8, 8]"),
        ({"size": {"shortest_edge": 8}}, "images keep their own proportions, but the model takes"),
        ({}, "images keep their own proportions, but the model takes"),
    ],
)
def test_must_make_images_of_the_size_that_the_model_takes(image_package, config, said):
    with pytest.raises(InvalidPackage) as caught:
        task_for(image_package(shape=(-1, 3, 8, 8), **config))
    assert said in caught.value.message


def test_is_not_asked_for_plain_tensors(image_package):
    assert task_for(replace(image_package(), task=Task.TENSOR)) is None
