"""Every runtime keeps to the port ..."""

import random
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pytest

from modelserve.domain.models import Runtime
from modelserve.errors import InvalidPackage, ModelFailed
from modelserve.packages import open_package
from modelserve.runtimes import runtime_for


@pytest.fixture
def model(trained, opened):
    with opened(trained.file.parent) as loaded:
        yield loaded


def asked(model, rows):
    (spec,) = model.signature.inputs
    return {spec.name: np.ascontiguousarray(rows, spec.datatype.numpy)}


def outcome(folder):
    """What opening and loading says: nothing if it goes through."""
    try:
        package = open_package(folder)
        runtime_for(package.runtime).load(package).close()
    except InvalidPackage as refused:
        return refused.message
    return ""


def test_it_answers_what_the_library_answers_that_trained_the_model(model, trained):
    answers = model.predict(asked(model, trained.rows))
    assert answers.keys() == trained.answers.keys()
    for name, known in trained.answers.items():
        np.testing.assert_allclose(answers[name], known, rtol=1e-4, atol=1e-6)


def test_it_answers_as_its_signature_says(model, trained):
    answers = model.predict(asked(model, trained.rows[:3]))
    for spec in model.signature.outputs:
        assert answers[spec.name].dtype == spec.datatype.numpy
        assert answers[spec.name].shape == (3, *spec.shape[1:])


def test_it_answers_only_what_is_asked_for(model, trained):
    last = model.signature.outputs[-1].name
    assert list(model.predict(asked(model, trained.rows), [last])) == [last]


@pytest.mark.parametrize("rows", [17, 1, 2])
def test_it_takes_batches_of_any_size(model, trained, rows):
    whole = model.predict(asked(model, trained.rows))
    part = model.predict(asked(model, trained.rows[:rows]))
    for name in whole:
        np.testing.assert_allclose(part[name], whole[name][:rows], rtol=1e-4, atol=1e-6)


def test_it_is_shared_by_threads(model, trained):
    name = model.signature.outputs[-1].name
    start = threading.Barrier(4)

    def work(row):
        start.wait()
        given = asked(model, trained.rows[row : row + 1])
        return [model.predict(given)[name] for _ in range(20)]

    with ThreadPoolExecutor(4) as pool:
        for row, answers in enumerate(pool.map(work, range(4))):
            known = trained.answers[name][row : row + 1]
            for answer in answers:
                np.testing.assert_allclose(answer, known, rtol=1e-4, atol=1e-6)


def test_it_starts_no_threads_for_a_run(model, trained):
    """A run has one core: threads of its own would take those of the other runs."""
    given = asked(model, np.tile(trained.rows, (50, 1)))

    def started():
        before = psutil.Process().num_threads()
        model.predict(given)
        return psutil.Process().num_threads() - before

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(started).result() <= 0


def test_it_fails_on_another_number_of_features_and_works_on(model, trained):
    (spec,) = model.signature.inputs
    with pytest.raises(ModelFailed) as caught:
        model.predict({spec.name: np.ones((2, 9), np.float32)})
    assert "\n" not in caught.value.message
    assert model.predict(asked(model, trained.rows[:1]))


def test_it_fails_once_it_is_closed(model, trained):
    model.close()
    model.close()
    with pytest.raises(ModelFailed, match="the model has been closed"):
        model.predict(asked(model, trained.rows))


def test_it_says_which_runtime_it_is_and_takes_no_other(trained):
    package = open_package(trained.file.parent)
    assert open_package(trained.file.parent, runtime=package.runtime).runtime is package.runtime
    other = next(runtime for runtime in Runtime if runtime is not package.runtime)
    with pytest.raises(InvalidPackage, match=f"asks for runtime {other}, but this is a model for"):
        open_package(trained.file.parent, runtime=other)


@pytest.fixture
def damaged(trained, tmp_path):
    """The package with other bytes in its model file; says how it is refused."""
    folder = shutil.copytree(trained.file.parent, tmp_path / "damaged")

    def by(content):
        (folder / trained.file.name).write_bytes(content)
        message = outcome(folder)
        (folder / trained.file.name).write_bytes(trained.file.read_bytes())
        return message

    return by


def test_a_file_cut_short_anywhere_is_refused(damaged, trained):
    whole = trained.file.read_bytes()
    cuts = {*range(300, len(whole), max(1, len(whole) // 25)), len(whole) - 20}
    assert [cut for cut in cuts if not damaged(whole[:cut])] == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"tree\n",
        b"PK\x03\x04",
        bytes(range(256)) * 8,
        b"<!doctype html><p>404",
        b"version https://git-lfs",
    ],
    ids=["empty", "json", "text", "zip", "bytes", "page", "pointer"],
)
def test_something_else_is_refused(damaged, content):
    assert damaged(content)


def test_a_file_with_a_wrong_byte_is_refused_or_served_and_never_breaks(damaged, trained):
    whole, dice = trained.file.read_bytes(), random.Random(1)
    for _ in range(15):
        changed = bytearray(whole)
        changed[dice.randrange(len(whole))] ^= dice.randrange(1, 256)
        message = damaged(bytes(changed))
        assert "\n" not in message
        assert str(trained.file.parent) not in message
