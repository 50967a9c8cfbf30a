"""Slack's files, both ways: the three steps of an upload, and a download that needs our token.

Source: docs.slack.dev, "Working with files", sections "Uploading files" and "Authentication".
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from dragoman.adapters.slack.api import Answer, Api, failed, judge
from dragoman.errors import MediaRefused
from dragoman.model import Address, Attachment, Media
from dragoman.wire import Exchange, Http, Outcome, Response, Retry, Sent, Unsure

HOST: Final = "files.slack.com"
PATIENCE: Final = 60.0
"""Seconds that a transfer of bytes may take."""


def share(api: Api, attachments: Sequence[Attachment], address: Address, comment: str) -> Exchange[Outcome]:
    """Upload files and show them in the conversation as one message; only the last request is visible."""
    files = []
    for attachment in attachments:
        uploaded = yield from _upload(api, attachment)
        if not isinstance(uploaded, str):
            return uploaded
        files.append({"id": uploaded, "title": _name(attachment)})
    response = yield api.call(
        "files.completeUploadExternal",
        {
            "files": files,
            "channel_id": address.channel,
            "thread_ts": address.thread,
            "initial_comment": comment,
        },
    )
    answer = judge(response)
    return Sent(ids=tuple(file["id"] for file in files)) if isinstance(answer, Answer) else answer


def _upload(api: Api, attachment: Attachment) -> Exchange[str | Outcome]:
    """Bring one file to Slack, where nobody sees it yet; returns its id."""
    media = attachment.media or Media(ref="")
    ticket = judge(
        (yield api.form("files.getUploadURLExternal", {"filename": _name(attachment), "length": str(media.size)}))
    )
    if not isinstance(ticket, Answer):
        return _unseen(ticket)
    if not (ticket.upload_url and ticket.file_id):
        return Retry(reason="files.getUploadURLExternal gave no address")
    response = yield Http(
        method="POST",
        url=ticket.upload_url,
        upload=media,
        headers={"content-type": "application/octet-stream"},
        timeout=PATIENCE,
        repeatable=True,
        lane="files.upload",
    )
    failure = failed(response)
    return _unseen(failure) if failure else ticket.file_id


def _unseen(outcome: Outcome) -> Outcome:
    """Whatever became of a step that nobody sees, it may be repeated."""
    return Retry(reason=outcome.reason) if isinstance(outcome, Unsure) else outcome


def _name(attachment: Attachment) -> str:
    kept = attachment.media.name if attachment.media else ""
    return attachment.name or kept or attachment.kind


def fetch(api: Api, attachment: Attachment) -> Exchange[Media]:
    """Fetch a shared file; our token goes to Slack's own file host and to nobody else."""
    found = attachment
    if attachment.value.get("file_access") == "check_file_info":
        found = yield from _looked_up(api, attachment)
    if not api.owns(found.url, HOST):
        raise MediaRefused("the file does not lie with Slack")
    response = yield Http(
        method="GET",
        url=found.url,
        auth=api.bot,
        into="media",
        timeout=PATIENCE,
        repeatable=True,
        lane="files.download",
    )
    return _received(response, found)


def _looked_up(api: Api, attachment: Attachment) -> Exchange[Attachment]:
    """Ask for the particulars of a file of Slack Connect, which events leave out ("file_access")."""
    answer = judge((yield api.form("files.info", {"file": attachment.id})))
    if not (isinstance(answer, Answer) and answer.file):
        reason = "no file" if isinstance(answer, Answer) else getattr(answer, "reason", "refused")
        raise MediaRefused(f"files.info: {reason}")
    file = answer.file
    return msgspec.structs.replace(
        attachment,
        url=file.url_private_download or file.url_private or "",
        name=file.name or attachment.name,
        mime=file.mimetype or attachment.mime,
    )


def _received(response: Response, attachment: Attachment) -> Media:
    """Return what came; a login page with status 200 is how Slack says that a scope is missing."""
    if response.status != 200:
        raise MediaRefused(f"status {response.status}")
    served = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if served == "text/html" and attachment.mime != "text/html":
        raise MediaRefused("Slack sent its login page: the bot token lacks the scope files:read")
    if response.media is None:
        raise MediaRefused("no bytes came")
    return msgspec.structs.replace(
        response.media,
        name=attachment.name or response.media.name,
        mime=attachment.mime or response.media.mime,
    )
