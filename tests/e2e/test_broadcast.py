"""`dragoman broadcast` as an operator gives it: to whom, when, how far it is, and how it is stopped."""

import datetime as dt
import json
from typing import TYPE_CHECKING, Any, Final

import pytest
from tests.e2e.conftest import until

if TYPE_CHECKING:
    from tests.e2e.conftest import Command

CONFIGURATION = """
[accounts.hook]
platform = "webhook"
token = "t"
"""


@pytest.fixture
def service(dragoman: "Command") -> "Command":
    """The command, with a service that runs."""
    dragoman.configure(CONFIGURATION)
    dragoman.start()
    return dragoman


def report(command: "Command", number: int, *options: str) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(command("broadcast", "show", str(number), "--json", *options).out)
    return shown


def ended(command: "Command", number: int) -> dict[str, Any]:
    until(lambda: report(command, number)["broadcast"]["state"] == "done")
    return report(command, number)


def test_a_broadcast_reaches_everybody_whom_it_names_once(service: "Command") -> None:
    (service.home / "list.txt").write_text("# guests\nweb/b\n\nweb/c\nweb/a\n", encoding="utf-8")

    sent = service(
        "broadcast", "send", "Hello {name|all}", "--to", "web/a", "--recipients", "list.txt", "--name", "party"
    )

    assert (sent.code, "3 recipients" in sent.out, "party" in sent.out) == (0, True, True)
    assert ended(service, 1)["counts"] == {"sent": 3}
    assert "3 sent" in service("broadcast", "list").out


def test_recipients_come_as_json_lines_on_standard_input_too(service: "Command") -> None:
    lines = '{"account": "web", "channel": "a", "name": "Kim", "person": "a"}\n{"account": "web", "channel": "b"}\n'

    sent = service("broadcast", "send", "Hello {name}", "--recipients", "-", "--json", given=lines)

    assert json.loads(sent.out)["broadcast"]["total"] == 2


def test_a_dry_run_counts_and_stores_nothing(service: "Command") -> None:
    counted = service("broadcast", "send", "Hello", "--to", "web/a", "--to", "web/a", "--to", "terminal/b", "--dry-run")

    assert counted.out == "2 recipients: 1 of terminal, 1 of web. Nothing was sent.\n"
    assert service("broadcast", "list").out == "There is no broadcast.\n"


def test_a_segment_is_everybody_who_wrote(service: "Command") -> None:
    service("chat", given="hello\n")
    wrong = service("broadcast", "send", "News", "--segment", "account=web,active_within=1d")
    assert wrong.complaint == "dragoman: nobody is in the segment: nothing is sent"

    sent = service(
        "broadcast", "send", "News", "--segment", "account=terminal,chat_kind=direct,active_within=1d", "--json"
    )

    assert json.loads(sent.out)["broadcast"]["total"] == 1
    assert ended(service, 1)["counts"] == {"sent": 1}


REFUSALS: Final = (
    (("Hi", "--to", "nowhere/a"), "--to nowhere/a: there is no account 'nowhere'"),
    (("Hi", "--to", "hook/a"), "--to hook/a: the webhook has no callback_url: nobody would ever ask for it"),
    (("Hi", "--to", "a"), "--to a: 'a' is neither ACCOUNT/CHANNEL nor ACCOUNT/WORKSPACE/CHANNEL nor JSON"),
    (("Hi",), "--to: nobody is named (give --to, --recipients or --segment)"),
    (("--to", "web/a"), "TEXT: there is nothing to say (give a text, or --message FILE)"),
    (("Hi", "--segment", "age=30"), "--segment: 'age=30' is no filter"),
    (("Hi", "--segment", "active_within=soon"), "--segment: 'soon' is no time span"),
    (("Hi", "--to", "web/a", "--at", "tomorrow"), "--at: tomorrow: is no time such as 2026-12-24T09:00"),
    (("Hi", "--to", "web/a", "--at", "2026-01-01T09:00"), "--at: 2026-01-01T09:00: needs its time zone"),
    (("Hi", "--to", "web/a", "--at", "2026-01-01T09:00Z"), "--at: 2026-01-01T09:00Z: is over"),
    (("Hi", "--to", "web/a", "--at", "2026-01-01T09:00", "--zone", "Mars"), "--zone: Mars: is no time zone"),
    (("Hi", "--to", "web/a", "--button", "Yes"), "--button: Yes: is not LABEL=VALUE"),
    (("Hi", "--recipients", "none.txt"), "none.txt: cannot be read: No such file or directory"),
)


def test_what_cannot_be_sent_is_refused_in_one_line_and_nothing_is_stored(service: "Command") -> None:
    for arguments, complaint in REFUSALS:
        refused = service("broadcast", "send", *arguments)

        assert refused.code == 2, arguments
        assert refused.complaint.startswith(f"dragoman: {complaint}"), arguments
    assert service("broadcast", "list").out == "There is no broadcast.\n"


def test_a_wrong_line_of_a_file_is_named(service: "Command") -> None:
    (service.home / "list.txt").write_text("web/a\nelsewhere/b\n", encoding="utf-8")

    refused = service("broadcast", "send", "Hi", "--recipients", "list.txt")

    assert refused.complaint == "dragoman: list.txt, line 2: there is no account 'elsewhere'"


def test_a_broadcast_for_later_can_be_paused_resumed_and_aborted(service: "Command") -> None:
    at = (dt.datetime.now(dt.UTC) + dt.timedelta(days=1)).isoformat()
    service("broadcast", "send", "Hi", "--to", "web/a", "--at", at)

    states = [service("broadcast", wanted, "1").out.split()[1] for wanted in ("pause", "resume", "abort")]

    assert states == ["paused", "scheduled", "aborted"]
    again = service("broadcast", "resume", "1")
    assert (again.code, again.complaint) == (1, "dragoman: broadcast 1 is aborted: it cannot be running")


def test_a_broadcast_that_is_not_there_is_said_so(service: "Command") -> None:
    for words in (("show", "9"), ("pause", "9"), ("watch", "9")):
        refused = service("broadcast", *words)

        assert (refused.code, refused.complaint[:35]) == (1, "dragoman: there is no broadcast 9; ")


def test_watching_ends_with_the_broadcast(service: "Command") -> None:
    service("broadcast", "send", "Hi", "--to", "web/a", "--to", "web/b")

    watched = service("broadcast", "watch", "1")

    assert (watched.code, watched.out.splitlines()[-1].split()[1]) == (0, "done")


def test_a_broadcast_that_is_given_while_no_service_runs_is_sent_by_the_next(dragoman: "Command") -> None:
    dragoman.configure(CONFIGURATION)
    dragoman.start().stop()

    sent = dragoman("broadcast", "send", "Hi", "--to", "web/a")

    assert sent.out.splitlines()[1] == "No service runs here: it is sent when one does (`dragoman run`)."
    dragoman.start()
    assert ended(dragoman, 1)["counts"] == {"sent": 1}
