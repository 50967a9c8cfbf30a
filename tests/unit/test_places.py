"""The names of conversations."""

from dragoman import adapter
from dragoman.adapters.webhook import Webhook
from dragoman.model import Secret


def test_a_long_part_of_a_conversation_s_name_is_quoted_and_not_kept() -> None:
    account = Webhook(account="webhook", token=Secret("a token of the tests"))
    before = adapter._kept.cache_info().currsize

    names = [account.place(f"{number} " + "x" * 100_000) for number in range(3)]

    assert names[2] == "webhook/2%20" + "x" * 100_000
    assert adapter._kept.cache_info().currsize <= before + 1


def test_a_name_begins_with_its_first_part_whichever_that_is() -> None:
    bare = Webhook(conversation="thread")

    assert bare.place("", thread="t/1") == "t%2F1"
    assert bare.place("c", thread="t/1") == "c/t%2F1"
    assert bare.place("") == ""
