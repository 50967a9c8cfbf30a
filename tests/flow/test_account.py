"""What adapters may know: each time a random text of its own."""

from dragoman.flow.account import nonces


def test_every_nonce_is_new_and_of_the_same_length() -> None:
    some, others = nonces(), nonces()

    given = [next(some) for _ in range(1000)] + [next(others) for _ in range(1000)]

    assert len(set(given)) == 2000
    assert {len(nonce) for nonce in given} == {32}
