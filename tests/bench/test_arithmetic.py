"""The arithmetic of the figures, without any load."""

import pytest

from tests.bench.arithmetic import percentile, pieces, ratios, spread


def test_a_percentile_is_a_value_that_was_measured() -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert percentile(values, 50) == 50
    assert percentile(values, 99) == 99
    assert percentile(values, 100) == 100
    assert percentile([7.0], 50) == percentile([7.0], 99) == 7.0
    assert percentile([1.0, 2.0], 50) == 1.0
    assert percentile([1.0, 2.0], 99) == 2.0


def test_a_percentile_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


def test_ratios_pair_the_rounds() -> None:
    assert ratios([2.0, 9.0], [1.0, 3.0]) == [2.0, 3.0]
    with pytest.raises(ValueError, match="longer"):
        ratios([1.0], [1.0, 2.0])


def test_the_spread_is_the_range_as_a_share_of_the_median() -> None:
    assert spread([8.0, 10.0, 12.0]) == pytest.approx(0.4)
    assert spread([5.0]) == 0
    assert spread([0.0, 0.0]) == 0


@pytest.mark.parametrize(("length", "count"), [(10, 3), (3, 10), (7, 7), (1, 1)])
def test_pieces_are_all_of_it_and_nearly_equal(length: int, count: int) -> None:
    items = list(range(length))
    cut = [items[piece] for piece in pieces(items, count)]
    assert [one for piece in cut for one in piece] == items
    assert len(cut) == min(count, length)
    assert max(map(len, cut)) - min(map(len, cut)) <= 1
