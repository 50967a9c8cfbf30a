"""What the tests say to a bot in a container, as any caller would."""

import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

T = TypeVar("T")
PATIENCE: Final = 60.0


def until(look: Callable[[], T], what: str, seconds: float = PATIENCE) -> T:
    """Look again and again until there is something; returns it. Raises `TimeoutError`."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not seen within {seconds:.0f} s")
        time.sleep(0.1)
    return seen


def fetch(url: str, *, token: str = "", body: Any = None) -> tuple[int, str]:
    """Ask; returns the status and the text (status 0: no answer)."""
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, content, headers)  # noqa: S310 - our own address
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    try:
        with opener.open(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


def lines(guide: Path) -> list[str]:
    """Return what a guide tells people to type, a command a line, without what `make` does."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", guide.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    typed = "".join(blocks).replace("\\\n", " ").splitlines()
    return [line for line in typed if not line.startswith("make ")]


def ready(url: str) -> bool:
    """Tell whether it takes messages."""
    return fetch(f"{url}/health/ready")[0] == 200


def said(url: str, token: str, text: str, conversation: str = "c1") -> str:
    """Say something to the webhook; returns the reply, or the refusal with its status."""
    status, answer = fetch(f"{url}/webhook", token=token, body={"content": text, "conversation_id": conversation})
    return str(json.loads(answer)["reply"]) if status == 200 else f"{status} {answer}"
