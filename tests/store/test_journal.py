"""What turns keep: the journal of dear steps, named values, and what is remembered of people."""

from typing import TYPE_CHECKING, Any

import pytest

from dragoman.store.base import Done, Fresh, InDoubt, Memory

if TYPE_CHECKING:
    from tests.store.conftest import Line


async def test_a_step_that_was_never_begun_is_fresh(line: "Line") -> None:
    assert await line.store.once("t1", "pay", "[1]") == Fresh()


@pytest.mark.parametrize("result", [None, 0, "", "paid", {"id": 7, "items": [1, None]}])
async def test_a_step_that_was_done_gives_its_result_again(line: "Line", result: Any) -> None:
    await line.store.once("t1", "pay", "[1]")
    await line.store.done("t1", "pay", result)
    await line.crash()

    assert await line.store.once("t1", "pay", "[1]") == Done(result=result)


async def test_a_step_that_was_under_way_when_the_process_died_is_in_doubt(line: "Line") -> None:
    await line.store.once("t1", "pay", "[1]")
    await line.crash()

    assert await line.store.once("t1", "pay", "[1]") == InDoubt()


async def test_a_step_with_other_arguments_is_another_one(line: "Line") -> None:
    await line.store.once("t1", "pay", "[1]")
    await line.store.done("t1", "pay", "one")

    assert await line.store.once("t1", "pay", "[2]") == Fresh()
    assert await line.store.once("t1", "pay", "[2]") == InDoubt()


async def test_steps_are_told_apart_by_turn_and_name(line: "Line") -> None:
    await line.store.once("t1", "pay", "[1]")

    assert await line.store.once("t1", "write", "[1]") == Fresh()
    assert await line.store.once("t2", "pay", "[1]") == Fresh()


async def test_a_kept_value_is_recalled_after_a_restart(line: "Line") -> None:
    await line.store.keep("me:acme", "old")
    await line.store.keep("me:acme", "new")
    await line.crash()

    assert await line.store.recall("me:acme") == "new"
    assert await line.store.recall("me:other") == ""


async def test_a_person_is_remembered_across_conversations(line: "Line") -> None:
    await line.accept("c1")
    memories = (Memory(person="p1", key="name", value="Kim"), Memory(person="p1", key="seen", value={"n": 1}))
    await line.commit(await line.claim(), memories=memories)

    assert await line.store.memory("p1", "name") == "Kim"
    assert await line.store.memory("p1", "seen") == {"n": 1}
    assert await line.store.memory("p2", "name") is None


async def test_a_memory_is_replaced(line: "Line") -> None:
    for value in ("Kim", "Sam"):
        await line.accept("c1")
        await line.commit(await line.claim(), memories=(Memory(person="p1", key="name", value=value),))

    assert await line.store.memory("p1", "name") == "Sam"
