"""A guard of an exported program is read as data, and tells which lengths the program was made for."""

import pytest

from modelserve._kit.torch_guards import MAX_TEXT, Places, UnreadableGuard, looks_at_rows, read_guards

PLACES = Places({("x",): 0, ("args_1", "ids"): 1, ("flat_args", 0): 0}, {("scale",): 2.0, ("mode",): "full"})
OPEN = [(-1, -1), (-1, -1, 4)]


def read(text):
    (guard,) = read_guards([text], PLACES, OPEN)
    return guard


def holds(text, *x, ids=(3, 5, 4)):
    return read(text).holds([x, ids])


@pytest.mark.parametrize(
    ("text", "right", "wrong"),
    [
        ("(L['x'].size()[1] % 2) == 0", (1, 4), (1, 3)),
        ("L['flat_args'][0].size()[1] >= 3", (1, 3), (1, 2)),
        ("L['x'].size()[1] > L['args'][1]['ids'].size()[1]", (1, 6), (1, 5)),
        ("1 + (((-3) + L['x'].size()[1]) // 2) != 1 and L['x'].size()[0] < 9", (1, 5), (1, 4)),
        ("2 <= L['x'].size()[1] <= 4 or not (L['x'].size()[0] != 7)", (1, 4), (1, 5)),
        ("math.trunc(torch.sym_float(L['x'].size()[1]) ** 0.5) == 2", (1, 8), (1, 9)),
        ("L['x'].size()[1] != max(1, L['x'].size()[1] // 2)", (1, 2), (1, 1)),
        ("(L['x'].size()[1] / 2) > 1.5 and L['scale'] == 2.0 and L['mode'] == 'full'", (1, 4), (1, 3)),
        ("round(0.5*torch.sym_float(L['x'].size()[1])) == 3", (1, 6), (1, 8)),
        ("(L['x'].size()[1] if L['x'].size()[0] > 1 else 4) == 4", (1, 9), (2, 9)),
        ("(8 % L['x'].size()[1]) == 0", (1, 4), (1, 0)),
        ("L['x'].size()[1] < math.inf and L['x'].size()[1] ** 2 < 10", (1, 3), (1, 4)),
    ],
)
def test_of_lengths_holds_for_those_that_it_was_written_for(text, right, wrong):
    assert holds(text, *right)
    assert not holds(text, *wrong)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "L['x'].size()[1].__class__ == 1",
        "L['x'].stride()[0] == 1",
        "L['x'].size(1)[0] == 1",
        "L['x'].size()[-1] == 1",
        "L['y'].size()[0] == 1",
        "G['x'].size()[0] == 1",
        "L['x'] == 1",
        "[L['x'].size()[0] for _ in (1,)]",
        "(lambda: 1)()",
        "'a' * L['x'].size()[0] == 'a'",
        "L['mode'] * L['x'].size()[0] == 'a'",
        "1 << L['x'].size()[0] > 1",
        "round(L['x'].size()[0], -99) == 1",
        "abs(L['x'].size()[0], 1) == 1",
        "max(L['x'].size()[0], key=abs) == 1",
        "max(*L['x'].size()) == 1",
        "size > 1",
        "1 +",
        "(" * 1000,
        "1 < 2" + " " * MAX_TEXT,
        "L['x'].size()[0] == 1 or '@9@' == 'x'",
    ],
)
def test_of_other_words_can_not_be_read(text):
    with pytest.raises(UnreadableGuard):
        read_guards([text], PLACES, OPEN)


def test_of_more_text_than_is_read_is_refused():
    with pytest.raises(UnreadableGuard, match="11 guards of more than 1000000 characters"):
        read_guards([f"{at} < 99" + " " * (MAX_TEXT - 10) for at in range(11)], PLACES, OPEN)


def test_can_not_make_numbers_grow_without_bounds():
    power = "L['x'].size()[1]" + " ** L['x'].size()[1]" * 3 + " == 1"
    assert not holds(power, 1, 9)
    product = "*".join(["L['x'].size()[1]**64"] * 99)
    assert holds(f"{product} == {product}", 1, 2) is False
    assert holds("0.0 < 9 ** (0 - L['x'].size()[1])", 1, 400) is False


def test_is_told_in_the_names_of_the_inputs():
    guard = read("(L['x'].size()[1]) > L['args'][1]['ids'].size()[0]*2")
    assert guard.told(["pixels", "words"]) == "pixels.shape[1] > words.shape[0] * 2"


def test_that_lengths_in_the_program_settle_is_left_out():
    settled = "L['args'][1]['ids'].size()[2] == 4"
    assert read_guards([settled, settled], PLACES, OPEN) == ()
    assert len(read_guards(["L['args'][1]['ids'].size()[2] == 5"], PLACES, OPEN)) == 1


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("L['x'].size()[1] == 4", False),
        ("L['x'].size()[0] == L['args'][1]['ids'].size()[0]", False),
        ("(L['x'].size()[0]*L['x'].size()[1]) % L['x'].size()[0] == 0", False),
        ("L['x'].size()[0] >= 1", False),
        ("(L['x'].size()[0] % 2) == 0", True),
        ("L['x'].size()[0] > L['x'].size()[1]", True),
        ("L['x'].size()[0]*L['x'].size()[1] < 2147483648", True),
    ],
)
def test_looks_at_rows_where_it_holds_for_some_numbers_of_them_alone(text, rows):
    assert looks_at_rows(read(text), OPEN) is rows
