"""A Hugging Face folder ..."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from modelserve.domain.inference import DataType, TensorSpec
from modelserve.domain.models import PackageLimits, Scores, Task
from modelserve.errors import InvalidPackage
from modelserve.packages import digest, open_package


def refusal(path, task=None):
    with pytest.raises(InvalidPackage) as caught:
        open_package(path, task)
    return caught.value.message


def test_is_read_whole(text_folder):
    folder = text_folder()
    package = open_package(folder)
    assert package.layout == "huggingface"
    assert package.task is Task.TOKEN_CLASSIFICATION
    assert package.labels == ("O", "B-PER", "I-PER")
    assert package.model_file == folder / "model.onnx"
    assert package.digest == digest(folder)
    assert package.limits == PackageLimits()
    assert package.signature.inputs == (
        TensorSpec("input_ids", DataType.INT64, (-1, -1), pad=7),
        TensorSpec("attention_mask", DataType.INT64, (-1, -1), pad=0),
    )
    assert package.signature.outputs == (TensorSpec("logits", DataType.FP32, (-1, -1, 3)),)


def test_may_keep_its_model_in_the_onnx_folder(text_folder):
    assert open_package(text_folder(model_file="onnx/model.onnx")).model_file.parent.name == "onnx"


def test_says_how_to_get_a_model_when_it_has_none(text_folder):
    folder = text_folder()
    (folder / "model.onnx").unlink()
    assert "no model.onnx or onnx/model.onnx; export it with `optimum-cli" in refusal(folder)


def test_says_which_model_file_to_rename(text_folder):
    folder = text_folder(model_file="onnx/model_quantized.onnx")
    assert "found onnx/model_quantized.onnx; rename the one to serve" in refusal(folder)


def test_is_an_image_classifier_by_its_architecture(image_folder):
    package = open_package(image_folder())
    assert package.task is Task.IMAGE_CLASSIFICATION
    assert package.labels == ("cat", "dog")
    assert package.signature.inputs == (TensorSpec("pixel_values", DataType.FP32, (-1, 3, 8, 8)),)


@pytest.mark.parametrize(
    "name",
    [
        "DeiTForImageClassificationWithTeacher",
        "LevitForImageClassificationWithTeacher",
        "PerceiverForImageClassificationConvProcessing",
        "PerceiverForImageClassificationFourier",
        "PerceiverForImageClassificationLearned",
    ],
)
def test_is_an_image_classifier_by_a_name_that_ends_otherwise(image_folder, name):
    package = open_package(image_folder(architectures=[name]))
    assert (package.task, package.logits) == (Task.IMAGE_CLASSIFICATION, "logits")


def test_must_state_a_task_that_is_served(text_folder):
    folder = text_folder({"architectures": ["BertModel"]})
    message = refusal(folder)
    assert "config.json: architectures: ['BertModel']" in message
    for task in Task:
        assert f"`task: {task.value}`" in message
    assert open_package(folder, Task.TENSOR).task is Task.TENSOR


def test_takes_its_task_from_the_declaration(text_folder):
    folder = text_folder({"architectures": None})
    (folder / "modelserve.yaml").write_text("task: token-classification\n")
    assert open_package(folder).task is Task.TOKEN_CLASSIFICATION


def test_can_be_asked_for_plain_tensors_instead(text_folder):
    package = open_package(text_folder(), Task.TENSOR)
    assert package.task is Task.TENSOR
    assert package.labels == ()


def test_can_not_be_asked_for_what_it_is_not(text_folder):
    message = refusal(text_folder(), Task.IMAGE_CLASSIFICATION)
    assert "means token-classification, but the spec asks for task image-classification" in message


class TestLabels:
    @pytest.mark.parametrize(
        ("id2label", "said"),
        [
            ({}, "id2label: {}; an object such as"),
            (["O"], "id2label: ['O']; an object such as"),
            ({"0": "O", "2": "B-PER", "3": "I-PER"}, "id2label: '3' is out of place among 3 labels"),
            ({"0": "O", "1": 5, "2": "I-PER"}, "id2label: '1': 5; a label is text"),
            ({"0": "O", "1": "B-PER"}, "has 2 labels, but output 'logits' of model.onnx has 3"),
        ],
    )
    def test_that_do_not_fit_are_refused(self, text_folder, id2label, said):
        assert said in refusal(text_folder({"id2label": id2label}))

    def test_are_ordered_by_index_and_not_by_place(self, text_folder):
        folder = text_folder({"id2label": {"2": "c", "0": "a", "1": "b"}})
        assert open_package(folder).labels == ("a", "b", "c")

    def test_are_made_up_where_they_are_left_out(self, text_folder):
        """transformers does not write its LABEL_0, LABEL_1 ... down."""
        folder = text_folder({"id2label": None, "num_labels": 3})
        assert open_package(folder).labels == ("LABEL_0", "LABEL_1", "LABEL_2")

    def test_are_counted_by_the_configuration_where_the_graph_is_open(self, image_folder):
        pixels = ("batch", 3, "height", "width")
        message = refusal(image_folder(pixels, classes="classes", id2label=None))
        assert "id2label: left out, and the graph tells no number of classes; an object" in message
        folder = image_folder(pixels, classes="classes", id2label=None, num_labels=2)
        assert open_package(folder).labels == ("LABEL_0", "LABEL_1")

    @pytest.mark.parametrize(
        ("told", "said"),
        [
            (2, "num_labels: 2, but output 'logits' has 3 classes"),
            (0, "num_labels: 0; a number above 0 is wanted"),
            ("3", "num_labels: '3'; a number above 0 is wanted"),
        ],
    )
    def test_that_are_left_out_must_be_as_many_as_the_graph_gives(self, text_folder, told, said):
        assert said in refusal(text_folder({"id2label": None, "num_labels": told}))

    @pytest.mark.parametrize("told", [2, "3", True])
    def test_must_be_as_many_as_are_told_beside_them(self, text_folder, told):
        message = refusal(text_folder({"num_labels": told}))
        assert f"config.json: num_labels: {told!r}, but id2label has 3 labels" in message
        assert len(open_package(text_folder({"num_labels": 3})).labels) == 3

    def test_are_not_made_up_by_the_million(self, image_folder):
        pixels = ("batch", 3, "height", "width")
        folder = image_folder(pixels, classes="classes", id2label=None, num_labels=10**9)
        assert "id2label: left out, and the model has 1000000000 classes" in refusal(folder)

    def test_sort_ten_after_nine(self, text_folder):
        labels = {str(i): f"L{i}" for i in reversed(range(12))}
        package = open_package(text_folder({"id2label": labels}, classes=12))
        assert package.labels[-2:] == ("L10", "L11")


def with_outputs(folder, *names):
    """The folder, whose graph gives these: logits under any name, and other shapes that are made of them."""
    model = onnx.load(folder / "model.onnx")
    first = model.graph.output[0]
    axes = [axis.dim_param or axis.dim_value for axis in first.type.tensor_type.shape.dim]
    told = {
        "hidden": (
            helper.make_node("Concat", ["logits"] * 4, ["hidden"], axis=-1),
            [*axes[:-1], 4 * axes[-1]],
        ),
        "deep": (helper.make_node("Unsqueeze", ["logits", "at"], ["deep"]), [*axes, 1]),
        "whole": (helper.make_node("Cast", ["logits"], ["whole"], to=TensorProto.INT64), axes),
    }
    model.graph.initializer.append(numpy_helper.from_array(np.array([-1]), "at"))
    del model.graph.output[:]
    for name in names:
        same = helper.make_node("Identity", ["logits"], [name]), axes
        node, shape = told.get(name, same)
        kind = TensorProto.INT64 if name == "whole" else TensorProto.FLOAT
        model.graph.node.extend([node] if name != "logits" else [])
        model.graph.output.append(helper.make_tensor_value_info(name, kind, shape))
    onnx.save(model, folder / "model.onnx")
    return folder


class TestLogits:
    @pytest.fixture(params=["text", "image"])
    def folder(self, request, text_folder, image_folder):
        return text_folder() if request.param == "text" else image_folder()

    @pytest.mark.parametrize(
        ("outputs", "logits"),
        [
            (["logits"], "logits"),
            (["scores"], "scores"),
            (["hidden", "logits"], "logits"),
            (["scores", "logits", "hidden"], "logits"),
            (["hidden", "deep", "whole", "scores"], "scores"),
        ],
    )
    def test_are_known_by_their_name_else_by_their_shape(self, folder, outputs, logits):
        package = open_package(with_outputs(folder, *outputs))
        assert package.logits == logits
        assert [spec.name for spec in package.signature.outputs] == outputs

    def test_are_refused_where_several_outputs_may_be_meant(self, folder):
        with_outputs(folder, "hidden", "left", "other")
        assert (
            "model.onnx: outputs 'left', 'other' may each hold the logits; call one 'logits', or declare it "
            "alone under signature.outputs in modelserve.yaml"
        ) in refusal(folder)

    def test_are_those_that_are_declared_alone(self, text_folder):
        folder = with_outputs(text_folder(), "left", "other")
        declared = "signature: {outputs: [{name: other, datatype: FP32, shape: [-1, -1, 3]}]}"
        (folder / "modelserve.yaml").write_text(declared)
        assert open_package(folder).logits == "other"

    def test_are_refused_where_no_output_has_their_shape(self, folder):
        with_outputs(folder, "hidden", "deep")
        assert "give one label per class" in refusal(folder)

    def test_without_labels_are_as_many_as_told(self, image_folder):
        folder = with_outputs(image_folder(id2label=None, num_labels=2), "hidden", "scores")
        assert open_package(folder).logits == "scores"
        folder = with_outputs(image_folder(id2label=None), "hidden", "scores")
        assert "outputs 'hidden', 'scores' may each hold the logits" in refusal(folder)

    def test_are_nothing_where_tensors_are_asked_for(self, text_folder):
        package = open_package(with_outputs(text_folder(), "left", "other"), Task.TENSOR)
        assert package.logits == ""


class TestScores:
    @pytest.mark.parametrize(
        ("problem", "scores"),
        [
            (None, Scores.SOFTMAX),
            ("single_label_classification", Scores.SOFTMAX),
            ("multi_label_classification", Scores.SIGMOID),
            ("regression", Scores.VALUES),
        ],
    )
    def test_of_an_image_follow_the_problem(self, image_folder, problem, scores):
        folder = image_folder(problem_type=problem, function_to_apply="none")
        assert open_package(folder).scores is scores

    def test_of_one_label_alone_are_probabilities_of_that(self, image_folder):
        assert open_package(image_folder(id2label={"0": "cat"}, classes=1)).scores is Scores.SIGMOID
        folder = image_folder(id2label={"0": "age"}, classes=1, problem_type="regression")
        assert open_package(folder).scores is Scores.VALUES

    @pytest.mark.parametrize("problem", ["multi_label", "softmax", "", 3, ["regression"], False])
    def test_of_a_problem_that_is_not_known_are_refused(self, image_folder, problem):
        message = refusal(image_folder(problem_type=problem))
        assert (
            f"config.json: problem_type: {problem!r}; known are single_label_classification, multi" in message
        )

    def test_of_one_label_can_not_be_told_from_others(self, image_folder):
        folder = image_folder(id2label={"0": "cat"}, classes=1, problem_type="single_label_classification")
        assert "problem_type: 'single_label_classification' needs two labels, but the model" in refusal(
            folder
        )


class TestPadding:
    def test_is_not_allowed_without_a_mask_to_hide_it(self, text_folder):
        package = open_package(text_folder(inputs=("input_ids",)))
        assert package.signature.inputs[0].pad is None

    def test_is_not_allowed_on_a_fixed_axis(self, text_folder):
        package = open_package(text_folder(tokens=12))
        assert [spec.pad for spec in package.signature.inputs] == [None, None]

    def test_is_zero_where_the_config_names_no_token(self, text_folder):
        folder = text_folder({"pad_token_id": None}, inputs=("input_ids", "attention_mask", "token_type_ids"))
        assert [spec.pad for spec in open_package(folder).signature.inputs] == [0, 0, 0]


class TestLimits:
    def test_end_where_the_model_has_no_more_positions(self, text_folder):
        assert open_package(text_folder({"max_position_embeddings": 64})).limits.max_length == 64

    def test_end_at_a_fixed_axis(self, text_folder):
        assert open_package(text_folder(tokens=12)).limits.max_length == 12

    def test_may_be_declared_lower(self, text_folder):
        folder = text_folder({"max_position_embeddings": 64})
        (folder / "modelserve.yaml").write_text("limits: {maxLength: 32, maxPixels: 9}")
        assert open_package(folder).limits == PackageLimits(32, 9)

    def test_can_not_be_declared_above_the_model(self, text_folder):
        folder = text_folder({"max_position_embeddings": 64})
        (folder / "modelserve.yaml").write_text("limits: {maxLength: 65}")
        assert "limits.maxLength: 65 is above the 64 tokens" in refusal(folder)


class TestItsFiles:
    def test_must_include_a_tokenizer_for_text(self, text_folder):
        folder = text_folder()
        (folder / "tokenizer.json").unlink()
        assert "no tokenizer.json, which token-classification needs" in refusal(folder)

    def test_must_include_a_preprocessor_for_images(self, image_folder):
        folder = image_folder()
        (folder / "preprocessor_config.json").unlink()
        assert "no preprocessor_config.json, which image-classification needs" in refusal(folder)

    def test_may_describe_images_in_a_file_of_all_processors(self, image_folder):
        folder = image_folder()
        (folder / "preprocessor_config.json").unlink()
        nested = {"processor_class": "Mine", "image_processor": {"image_processor_type": "ViTImageProcessor"}}
        (folder / "processor_config.json").write_text(json.dumps(nested))
        assert open_package(folder).task is Task.IMAGE_CLASSIFICATION
        (folder / "processor_config.json").write_text('{"processor_class": "Mine"}')
        assert "no preprocessor_config.json, which image-classification needs" in refusal(folder)
        (folder / "processor_config.json").write_text("[1]")
        assert "processor_config.json: holds a JSON list; an object {...} is wanted" in refusal(folder)

    def test_must_not_describe_images_elsewhere(self, image_folder, tmp_path):
        folder = image_folder()
        (tmp_path / "elsewhere.json").write_text('{"image_processor": {"size": 4}}')
        (folder / "processor_config.json").symlink_to(tmp_path / "elsewhere.json")
        assert "processor_config.json: is a link that leaves the folder" in refusal(folder)

    @pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
    def test_that_are_not_json_are_named_with_line_and_column(self, text_folder, name):
        folder = text_folder()
        (folder / name).write_text('{\n  "a": 1,\n  oops\n}')
        assert refusal(folder).startswith(f"{name}: not JSON at line 3 column 3")

    def test_that_hold_another_json_are_refused(self, text_folder):
        folder = text_folder()
        (folder / "config.json").write_text("[1]")
        assert "config.json: holds a JSON list; an object {...} is wanted" in refusal(folder)

    def test_that_are_not_text_are_refused(self, text_folder):
        folder = text_folder()
        (folder / "config.json").write_bytes(b'{"a": "\xff"}')
        assert "config.json: byte 7 is not UTF-8" in refusal(folder)

    def test_that_nest_without_end_are_refused(self, text_folder):
        folder = text_folder()
        (folder / "config.json").write_text("[" * 100_000)
        assert "config.json: not usable JSON" in refusal(folder)

    def test_that_are_lfs_pointers_are_recognised(self, text_folder):
        folder = text_folder()
        (folder / "tokenizer.json").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
        assert "tokenizer.json: is a Git LFS pointer" in refusal(folder)

    def test_may_start_with_a_byte_order_mark(self, text_folder):
        folder = text_folder()
        text = (folder / "config.json").read_text()
        (folder / "config.json").write_text(text, "utf-8-sig")
        assert open_package(folder).labels


class TestItsGraph:
    def test_must_take_token_ids(self, text_folder):
        folder = text_folder(inputs=("input_ids", "position_ids"))
        assert "takes 'input_ids', 'position_ids'; a token-classification model takes" in refusal(folder)

    def test_must_take_images_as_channels_first(self, image_folder):
        message = refusal(image_folder(shape=("batch", 8, 8, 3)))
        assert "input 'pixel_values' has 8 channels in axis 1" in message

    def test_must_take_images_of_rank_four(self, image_folder):
        message = refusal(image_folder(shape=("batch", 64)))
        assert "has shape [-1, 64]; [batch, channels, height, width] is wanted" in message

    def test_must_take_images_as_reals(self, image_folder):
        message = refusal(image_folder(kind=TensorProto.UINT8))
        assert "input 'pixel_values' is UINT8; FP32 or FP16 is wanted" in message

    def test_must_not_fix_the_batch(self, image_folder):
        message = refusal(image_folder(shape=(4, 3, 8, 8)))
        assert "has its batch axis fixed at 4; export it with a dynamic batch axis" in message

    def test_may_fix_the_batch_at_one(self, image_folder):
        assert open_package(image_folder(shape=(1, 3, 8, 8))).signature.inputs[0].shape[0] == 1


def test_lends_no_file_from_outside(text_folder, tmp_path):
    folder = text_folder()
    (folder / "model.onnx").rename(tmp_path / "elsewhere.onnx")
    (folder / "model.onnx").symlink_to(tmp_path / "elsewhere.onnx")
    assert "model.onnx: is a link that leaves the folder; copy it with `cp -rL`" in refusal(folder)


def test_opens_the_same_from_a_copy(text_folder, tmp_path):
    folder = text_folder()
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in sorted(folder.iterdir(), reverse=True):
        (copy / file.name).write_bytes(file.read_bytes())
    assert open_package(copy).digest == open_package(folder).digest
    config = json.loads((copy / "config.json").read_text()) | {"pad_token_id": 8}
    (copy / "config.json").write_text(json.dumps(config))
    assert open_package(copy).digest != open_package(folder).digest
