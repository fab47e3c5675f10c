import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelserve.domain.quantities import (
    format_bytes,
    format_duration,
    format_percent,
    parse_bytes,
    parse_duration,
    parse_percent,
)

NUMBERS = st.from_regex(r"[0-9]{1,9}(\.[0-9]{1,6})?", fullmatch=True, alphabet="0123456789.")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0s", 0.0),
        ("4ms", 0.004),
        ("1.5s", 1.5),
        ("90s", 90.0),
        ("30m", 1800.0),
        ("2h", 7200.0),
        ("1d", 86400.0),
    ],
)
def test_a_duration_is_a_number_with_its_unit(text, seconds):
    assert parse_duration(text) == pytest.approx(seconds, abs=0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0s"),
        (0.25, "250ms"),
        (0.0003, "0.3ms"),
        (1.5, "1.5s"),
        (90.0, "90s"),
        (120.0, "2m"),
        (1800.0, "30m"),
        (5400.0, "90m"),
        (86400.0, "1d"),
        (1 / 3, "0.333333s"),
    ],
)
def test_a_duration_is_written_plainly(seconds, text):
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.05, "5%"), (0.002, "0.2%"), (0.07, "7%"), (1.0, "100%"), (1.25, "125%"), (0.0, "0%")],
)
def test_a_share_is_written_plainly(share, text):
    assert format_percent(share) == text
    assert parse_percent(text) == share


@given(NUMBERS, st.sampled_from(["ms", "s", "m", "h", "d"]))
def test_every_duration_survives_writing(number, unit):
    seconds = parse_duration(number + unit)

    assert parse_duration(format_duration(seconds)) == seconds


@given(NUMBERS)
def test_every_share_survives_writing(number):
    share = parse_percent(f"{number}%")

    assert parse_percent(format_percent(share)) == share


@pytest.mark.parametrize(
    "bad", ["", "5", "5 s", "-5s", "5S", "1e3s", "5s\n", "٣s", "1" * 10 + "s", 5, 5.0, None, True]
)
def test_what_is_no_duration_is_told_how_one_looks(bad):
    with pytest.raises(ValueError, match='"250ms", "30s", "5m" or "2h"'):
        parse_duration(bad)


@pytest.mark.parametrize("bad", ["", "5", "5 %", "-5%", "5%\n", "٣%", "1" * 10 + "%", 0.05, None])
def test_what_is_no_share_is_told_how_one_looks(bad):
    with pytest.raises(ValueError, match=r'"0\.5%" or "20%"'):
        parse_percent(bad)


@pytest.mark.parametrize(
    ("text", "size"),
    [("0Ki", 0), ("1Ki", 1024), ("1536Ki", 1_572_864), ("64Mi", 67_108_864), ("2Gi", 2_147_483_648)],
)
def test_a_size_is_a_whole_number_with_its_unit(text, size):
    assert parse_bytes(text) == size
    assert format_bytes(size) == text


@pytest.mark.parametrize("value", ["64", "64MB", "1.5Gi", "-1Mi", "64 Mi", "", 64, None])
def test_another_form_of_a_size_is_refused_with_the_forms_there_are(value):
    with pytest.raises(ValueError, match='such as "512Ki", "64Mi" or "2Gi"'):
        parse_bytes(value)


@given(st.integers(0, 10**11))
def test_a_size_is_never_written_smaller_than_it_is(size):
    assert size <= parse_bytes(format_bytes(size)) < size + 1024
