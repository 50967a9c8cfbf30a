"""The same message again: one turn, one answer, whichever way its id was given."""

import asyncio
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.web.conftest import Site


async def test_the_same_id_again_gets_the_same_answer_without_a_second_turn(site: "Site") -> None:
    first = await site.post({"content": "hello", "id": "m1"})
    second = await site.post({"content": "hello", "id": "m1"})

    assert second.status == 200
    assert second.json == first.json
    assert site.turns() == ["hello"]


@pytest.mark.parametrize("header", ["idempotency_key", "webhook_id"])
async def test_an_id_may_come_in_a_header(site: "Site", header: str) -> None:
    first = await site.post({"content": "hello"}, **{header: "h1"})
    second = await site.post({"content": "hello"}, **{header: "h1"})

    assert first.json["id"] == "h1"
    assert second.json == first.json
    assert site.turns() == ["hello"]


async def test_the_id_in_the_form_comes_before_the_headers(site: "Site") -> None:
    answer = await site.post({"content": "hello", "id": "m1"}, idempotency_key="h1")

    assert answer.json["id"] == "m1"


async def test_messages_without_an_id_are_all_different(site: "Site") -> None:
    first = await site.post({"content": "hello"})
    second = await site.post({"content": "hello"})

    assert first.json["id"] != second.json["id"]
    assert site.turns() == ["hello", "hello"]


async def test_repeats_at_the_same_time_share_one_turn_and_one_answer(site: "Site") -> None:
    answers = await asyncio.gather(*(site.post({"content": "hello", "id": "m1"}) for _ in range(20)))

    assert {answer.status for answer in answers} == {200}
    assert {answer.json["reply"] for answer in answers} == {"counted hello"}
    assert site.turns() == ["hello"]


async def test_a_repeat_is_counted_in_the_trace(site: "Site") -> None:
    await site.post({"content": "hello", "id": "m1"})
    await site.post({"content": "hello", "id": "m1"})

    trace = await site.ask("trace", id="m1")

    assert trace["duplicates"] == 1
    assert [stage["name"] for stage in trace["stages"]] == [
        "receive",
        "authenticate",
        "parse",
        "route",
        "respond",
        "deliver",
    ]
