"""Make the secrets that compose.yaml reads, each in a file of its own; what is there already stays as it is."""

import json
import secrets
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent / "secrets"
S3_ACTIONS: Final = ["Admin", "Read", "List", "Tagging", "Write"]


def kept(folder: Path, name: str, text: str) -> str:
    """Write a secret unless there is one; returns the one that counts."""
    path = folder / name
    if not path.exists():
        path.write_text(text + "\n", encoding="utf-8")
        path.chmod(0o444)  # the container's user reads it; on the host the folder keeps others out
    return path.read_text(encoding="utf-8").strip()


def identities(key: str, secret: str) -> str:
    """Word the one identity of the object storage as its server reads it."""
    credentials = [{"accessKey": key, "secretKey": secret}]
    return json.dumps({"identities": [{"name": "dragoman", "credentials": credentials, "actions": S3_ACTIONS}]})


def make(folder: Path) -> None:
    """Make all of them."""
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    for name in ("chat-token", "metrics-token", "webhook-token", "grafana-password", "encryption-key"):
        kept(folder, name, secrets.token_urlsafe(32))
    password = kept(folder, "postgres-password", secrets.token_hex(24))
    kept(folder, "store", f"postgresql://dragoman:{password}@postgres/dragoman")
    password = kept(folder, "valkey-conf", f"requirepass {secrets.token_hex(24)}").removeprefix("requirepass ")
    kept(folder, "cache", f"redis://:{password}@valkey:6379/0")
    key = kept(folder, "s3-key", secrets.token_hex(10))
    kept(folder, "s3-json", identities(key, kept(folder, "s3-secret", secrets.token_hex(20))))


if __name__ == "__main__":
    make(HERE)
