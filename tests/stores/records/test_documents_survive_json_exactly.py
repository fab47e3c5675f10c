import json
import math

from hypothesis import given
from hypothesis import strategies as st

from modelserve.stores.records import codec

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text() | st.sampled_from(["$", "$$", "$x"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(VALUES)
def test_any_value_comes_back(value):
    assert codec.unescape(json.loads(codec.dumps(codec.escape(value)))) == value


def test_not_a_number_comes_back_as_itself():
    assert math.isnan(codec.unescape(json.loads(codec.dumps(codec.escape(float("nan"))))))


def test_verdicts_come_back_with_their_types(samples):
    rollout = samples.rollout()

    document = json.loads(codec.dumps(codec.to_json(rollout)))

    again = codec.from_json(codec.ROLLOUT, document)
    assert again == rollout
    assert type(again.verdict.readings) is tuple
    assert again.verdict.readings[0].harm == math.inf
    assert again.phase.done is False
