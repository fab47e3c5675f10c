"""Label files are read: CSV and JSON Lines, line by line, and a bad line is told with its number."""

import io

import pytest

from modelserve.cli.label_files import Format, rows
from modelserve.errors import InvalidInput


def read(text, service=None, format=None):
    return list(rows(io.StringIO(text, newline=""), format, service))


def test_a_table():
    found = read('\ufeffrequest_id,service,label,time\nr1,m,cat,\n\nr2,m,"a,\nb",12.5\n')
    assert [(row.line, row.item) for row in found] == [
        (2, {"request_id": "r1", "service": "m", "label": "cat"}),
        (5, {"request_id": "r2", "service": "m", "label": "a,\nb", "time": 12.5}),
    ]


def test_cells_that_stand_for_something_else():
    found = read(
        "request_id,label,score,correct\n"
        'r1,"[{""label"": ""PER"", ""start"": 0, ""end"": 3}]",,\n'
        "r2,,0.5,\nr3,,,Yes\nr4,,,0\nr5,,high,\nr6,,,maybe\n",
        service="m",
    )
    values = [
        {key: value for key, value in row.item.items() if key not in ("service", "request_id")}
        for row in found
    ]
    assert values == [
        {"label": [{"label": "PER", "start": 0, "end": 3}]},
        {"score": 0.5},
        {"correct": True},
        {"correct": False},
        {"score": "high"},
        {"correct": "maybe"},
    ]


def test_lines_of_json():
    found = read('\n{"request_id": "r1", "service": "x", "correct": true}\nnope\n[1]\n', service="m")
    assert found[0].item == {"request_id": "r1", "service": "x", "correct": True}
    assert [(row.line, row.problem[:10]) for row in found[1:]] == [(3, "got 'nope'"), (4, "got '[1]':")]


def test_a_line_with_too_many_cells_alone():
    found = read("request_id,service,label\nr1,m,a,b\nr2,m,a\n")
    assert [row.problem for row in found] == ["got 4 cells: the header has 3", ""]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "got the header ''"),
        ("id,label\n", "the first line names the columns"),
        ("request_id,service\n", "lacks a column label, score or correct"),
        ("request_id,label\n", "say --service NAME"),
    ],
)
def test_no_table_without_its_header(text, words):
    with pytest.raises(InvalidInput, match="line 1: ") as raised:
        read(text)
    assert words in str(raised.value)


def test_what_the_format_says_over_what_it_looks_like():
    assert read('{"request_id": 1}\n', service="m", format=Format.JSONL)[0].item is not None
    with pytest.raises(InvalidInput, match="header"):
        read('{"request_id": 1}\n', service="m", format=Format.CSV)
