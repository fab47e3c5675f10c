from benchmarks.serving.results import Check, Result, table


def test_says_whether_a_goal_is_met() -> None:
    assert str(Check("share", 0.914, 0.9)) == "share: 0.91 (goal ≥ 0.90, met)"
    assert str(Check("share", 0.25, 0.9)) == "share: 0.25 (goal ≥ 0.90, **short**)"
    assert str(Check("added ms", 0.5, 0.2, most=True)) == "added ms: 0.50 (goal ≤ 0.20, **short**)"


def test_lines_its_columns_up() -> None:
    rows = [
        {"server": "one", "requests/s": 1234.5, "p50 ms": 1.0},
        {"server": "two", "requests/s": 9.0, "p50 ms": None},
    ]
    assert table(rows).splitlines() == [
        "| server | requests/s | p50 ms |",
        "| ------ | ---------: | -----: |",
        "| one    |      1,234 |   1.00 |",
        "| two    |       9.00 |        |",
    ]


def test_tells_checks_and_remarks_below_the_table() -> None:
    result = Result("a", "Title", [{"x": 1}], [Check("share", 1.0, 0.5)], ["a remark"])
    lines = result.markdown().splitlines()
    assert lines[0] == "## Title"
    assert lines[-2:] == ["- share: 1.00 (goal ≥ 0.50, met)", "- a remark"]
