"""A real S3-protocol server, and buckets on it and in folders."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from dragoman import config
from dragoman.archive.bucket import Bucket
from dragoman.model import Secret


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """An S3-protocol server's address."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def place(s3: str) -> Callable[[], config.Bucket]:
    """Settings of a new bucket on the server."""

    def make(name: str = "") -> config.Bucket:
        import boto3  # type: ignore[import-untyped]  # noqa: PLC0415 - 0.7 s

        name = name or f"b{secrets.token_hex(6)}"
        given = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "eu-north-1"}
        where = {"LocationConstraint": "eu-north-1"}
        boto3.client("s3", endpoint_url=s3, **given).create_bucket(Bucket=name, CreateBucketConfiguration=where)
        return config.Bucket(
            url=f"s3://{name}/here",
            endpoint=s3,
            region="eu-north-1",
            access_key=Secret("key"),
            secret_key=Secret("secret"),
        )

    return make


@pytest.fixture(params=["s3", "folder"])
def bucket(request: pytest.FixtureRequest, tmp_path: Path) -> Bucket:
    """An empty bucket of each kind."""
    settings = config.Bucket(url="kept")
    if request.param == "s3":
        settings = request.getfixturevalue("place")()
    return Bucket.open(settings, tmp_path, "dragoman.toml", "archive")
