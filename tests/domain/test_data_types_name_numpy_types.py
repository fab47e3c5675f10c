import numpy as np
import pytest

from modelserve.domain.inference import DataType
from modelserve.domain.latency import BOUNDS, BUCKETS, BUCKETS_PER_DOUBLING


@pytest.mark.parametrize("datatype", list(DataType))
def test_every_type_names_one_numpy_type_and_back(datatype):
    assert DataType.of(datatype.numpy) is datatype


def test_a_type_that_the_protocol_lacks_is_a_key_error():
    with pytest.raises(KeyError):
        DataType.of(np.dtype(np.complex64))


def test_latency_buckets_double_every_ten_and_leave_one_for_the_rest():
    assert len(BOUNDS) == BUCKETS - 1
    assert BOUNDS[0] == 0.00025
    for low, high in zip(BOUNDS, BOUNDS[BUCKETS_PER_DOUBLING:], strict=False):
        assert high / low == pytest.approx(2)
