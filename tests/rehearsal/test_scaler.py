"""The autoscaler's formula: what it asks for, and how it keeps calm."""

import itertools
from typing import Final

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.deploy.conftest import DEPLOY
from tests.rehearsal.scaler import Direction, Past, Scaling, decide, wanted

SCALING: Final = Scaling(
    least=2,
    most=10,
    target=70,
    up=Direction(window=0, period=30, pods=2, percent=100),
    down=Direction(window=300, period=60, pods=1),
)


def run(usages: list[float], *, begin: int = 2, every: float = 15.0, scaling: Scaling = SCALING) -> list[int]:
    """Let time pass with these usages, each of all replicas; returns the numbers that came of it."""
    number, past, numbers = begin, Past(), []
    for step, usage in enumerate(usages):
        number, past = decide(scaling, past, step * every, [usage] * number)
        numbers.append(number)
    return numbers


@pytest.mark.parametrize(
    ("usages", "number"),
    [
        ([70.0, 70.0], 2),
        ([76.0, 76.0], 2),  # within the tolerance
        ([78.0, 78.0], 3),
        ([140.0, 140.0], 4),
        ([20.0, 20.0, 20.0, 20.0], 2),
        ([64.0, 64.0, 64.0], 3),
        ([0.0, 0.0], 0),
        ([140.0, 140.0, None, None], 4),  # two are coming: as if they were idle, the four are enough
        ([210.0, 210.0, None], 6),
        ([80.0, None], 2),  # the one that comes would turn it round
        ([35.0, None], 1),
        ([None, None], 2),
    ],
)
def test_the_formula_is_the_documented_one(usages: list[float | None], number: int) -> None:
    assert wanted(usages, 70, 0.1) == number


def test_it_goes_up_at_once_and_no_faster_than_the_policies() -> None:
    assert run([300.0] * 5) == [4, 4, 8, 8, 10]  # twice as many within thirty seconds


def test_it_goes_down_after_a_quiet_window_one_by_one() -> None:
    numbers = run([150.0, 70.0, *[10.0] * 40], begin=4)

    assert max(numbers) == 8
    assert numbers[:21] == [8] * 21  # five minutes after the last time that eight were asked for
    assert numbers[21:27] == [7, 7, 7, 7, 6, 6]
    steps = [earlier - later for earlier, later in itertools.pairwise(numbers)]
    assert max(steps) == 1
    assert all(sum(steps[at : at + 4]) <= 1 for at in range(len(steps)))


def test_a_short_lull_takes_nobody_away() -> None:
    assert run([70.0, *[10.0] * 15, *[70.0] * 10], begin=6) == [6] * 26


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=60), st.integers(2, 10))
def test_there_are_never_too_few_nor_too_many(usages: list[float], begin: int) -> None:
    assert set(run(usages, begin=begin)) <= set(range(2, 11))


def test_the_settings_are_those_of_the_chart_in_quicker_time() -> None:
    values = yaml.safe_load((DEPLOY / "helm" / "dragoman" / "values.yaml").read_text(encoding="utf-8"))
    scaling = Scaling.read(values["defaults"]["autoscaling"], most=4, times=10)

    assert (scaling.least, scaling.most, scaling.target) == (2, 4, 70)
    assert scaling.up == Direction(window=0, period=3, pods=2, percent=100)
    assert scaling.down == Direction(window=30, period=6, pods=1)
