"""A preprocessor (preprocessor_config.json) ..."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from modelserve.domain.models import Task
from modelserve.errors import InvalidPackage
from modelserve.tasks import task_for


def gradient(width, height):
    """Red grows by one with each column, green with each row."""
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    return Image.fromarray(np.dstack([columns, rows, np.zeros_like(rows)]).astype(np.uint8))


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


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (
            {"do_resize": True},
            'size: None; {"height": 224, "width": 224} or {"shortest_edge": 224} is wanted',
        ),
        ({"size": {"longest_edge": 9}}, "size: {'longest_edge': 9}; "),
        ({"size": {"height": 0, "width": 4}}, "size.height: 0; a number of pixels from 1 to 16384 is wanted"),
        ({"size": {"shortest_edge": "9"}}, "size.shortest_edge: '9'; a number of pixels"),
        ({"size": True}, "size: True; a number of pixels"),
        ({"do_center_crop": True}, 'crop_size: None; {"height": 224, "width": 224} is wanted'),
        ({"size": 4, "resample": 9}, "resample: 9; known are 0 (nearest), 1 (lanczos), 2 (bilinear)"),
        ({"rescale_factor": 0}, "rescale_factor: 0; a number above 0 is wanted"),
        ({"rescale_factor": "1/255"}, "rescale_factor: '1/255'; a number above 0"),
        ({"do_normalize": True}, "image_mean: None; 3 numbers are wanted, one per channel"),
        ({"image_mean": [0.5], "image_std": [1, 1, 1]}, "image_mean: [0.5]; 3 numbers"),
        ({"image_mean": 0.5, "image_std": [1, 0, 1]}, "image_std: [1, 0, 1]; numbers above 0 are wanted"),
        ({"size": 4, "crop_pct": 1.5}, "crop_pct: 1.5; a share in 0..1 is wanted"),
        (
            {"do_flip_channel_order": True},
            "do_flip_channel_order: True is not supported; known are do_resize",
        ),
    ],
)
def test_with_a_mistake_is_refused_with_what_is_wanted(image_package, config, said):
    with pytest.raises(InvalidPackage) as caught:
        task_for(image_package(**config))
    assert caught.value.message.startswith("preprocessor_config.json: ")
    assert said in caught.value.message


def test_with_an_unknown_switch_that_is_off_is_fine(image_package):
    assert task_for(image_package(do_pad=False, image_processor_type="ViTImageProcessor")) is not None


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
