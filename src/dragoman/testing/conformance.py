"""The certification kit for adapters, shipped ones and yours: vectors to run, and hard tests to inherit.

1. Vectors: `run_vectors("mychat", Path("mychat.json"))`, or `dragoman conformance mychat --vectors mychat.json`
   (see `dragoman.testing.vectors` for the file).
2. The suite: inherit `AdapterSuite` in a test module, say what cannot be guessed, and run pytest. It needs
   pytest and hypothesis, which the command does not:

       from dragoman.testing.conformance import AdapterSuite

       class TestMyChat(AdapterSuite):
           adapter = MyChat(account="acct", signing_secret=Secret("a secret of eight or more characters"))
           now = 1_700_000_000.0

           def genuine(self):
               return [signed({"id": "1", "text": "hello"}), signed({"id": "2", "text": "again"})]

           def own(self):
               return [signed({"id": "3", "text": "what the bot said", "from": "the bot"})]

           def stale(self):
               return signed({"id": "1", "text": "hello"}, at=self.now - 301)

`dragoman.testing.suite.subject` lists all that a suite may say; `webhooks = False` is for a platform that
sends none, `signs_body = False` for one whose proof does not cover the body. An account whose `mode()` is
"socket" gives `frames`, and gets the tests of sessions.
"""

from typing import TYPE_CHECKING, Any

from dragoman.testing.vectors import CaseResult, Status, as_json, run_vectors, summary

if TYPE_CHECKING:
    from dragoman.testing.suite import AdapterSuite

__all__ = ["AdapterSuite", "CaseResult", "Status", "as_json", "run_vectors", "summary"]


def __getattr__(name: str) -> Any:
    """Load the suite when it is asked for: it alone needs the libraries of development."""
    if name == "AdapterSuite":
        from dragoman.testing.suite import AdapterSuite  # noqa: PLC0415 - see above

        return AdapterSuite
    raise AttributeError(name)
