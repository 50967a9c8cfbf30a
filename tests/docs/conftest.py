"""The pages as data: blocks by language, files that a page tells its reader to save, and a folder that has them."""

import dataclasses
import importlib
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import typer

from dragoman import cli
from dragoman.service import installation

ROOT: Final = Path(__file__).parents[2]
FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SAVED: Final = re.compile(r"\bSave\s+as\s+`([^`\s]+)`")
INLINE: Final = re.compile(r"`([^`\n]+)`")

SECRETS: Final = {
    "ARCHIVE_ACCESS_KEY": "an-access-key-of-the-tests",
    "ARCHIVE_KEY": "an-archive-key-of-the-tests-of-32",
    "ARCHIVE_SECRET_KEY": "a-secret-key-of-the-tests",
    "BACKUP_ACCESS_KEY": "a-backup-access-key",
    "BACKUP_KEY": "a-backup-key-of-the-tests-of-32-characters",
    "BACKUP_SECRET_KEY": "a-backup-secret-key",
    "COPY_ACCESS_KEY": "a-copy-access-key",
    "COPY_SECRET_KEY": "a-copy-secret-key",
    "CHAT_TOKEN": "a-chat-token-of-the-tests",
    "DATABASE_URL": "postgresql://postgres@127.0.0.1:5432/test",
    "ENCRYPTION_KEY": "an-encryption-key-of-the-tests-32",
    "FEISHU_APP_SECRET": "an-app-secret-of-the-tests",
    "FEISHU_ENCRYPT_KEY": "an-encrypt-key-of-the-tests",
    "FEISHU_VERIFICATION_TOKEN": "a-verification-token-of-the-tests",
    "HOOK_TOKEN": "a-hook-token-of-the-tests",
    "MAIL_CLIENT_SECRET": "a-client-secret-of-the-tests",
    "MAIL_PASSWORD": "a-password-of-the-tests",
    "MAIL_REFRESH_TOKEN": "a-refresh-token-of-the-tests",
    "METRICS_TOKEN": "a-metrics-token-of-the-tests",
    "OPENAI_API_KEY": "an-api-key-of-the-tests",
    "POSTCARD_SECRET": "a-secret-of-the-tests",
    "POSTCARD_TOKEN": "a-token-of-the-tests",
    "SLACK_APP_TOKEN": "xapp-of-the-tests",
    "REDIS_URL": "redis://127.0.0.1:6379/0",
    "SLACK_BOT_TOKEN": "xoxb-of-the-tests",
    "SLACK_CLIENT_SECRET": "a-client-secret-of-the-tests",
    "SLACK_SIGNING_SECRET": "a-signing-secret-of-the-tests",
    "TELEGRAM_BOT_TOKEN": "7001:a_token_of_the_tests",
    "WEATHER_API_KEY": "a-weather-key-of-the-tests",
}
"""What the environment holds for the configurations that the pages show."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block: where it stands, its language, its text, and the name under which it is to be saved."""

    page: str
    line: int
    language: str
    text: str
    saved_as: str = ""

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Page:
    """One page, by its path from the repository's root."""

    name: str
    text: str
    blocks: tuple[Block, ...]

    @property
    def prose(self) -> str:
        """The text without its blocks."""
        return FENCE.sub("", self.text)

    @property
    def words(self) -> list[str]:
        """What stands in code spans."""
        return INLINE.findall(self.prose)

    def of(self, language: str) -> list[Block]:
        return [block for block in self.blocks if block.language == language]

    def save(self, folder: Path) -> None:
        """Write the files that the reader is told to save."""
        for block in self.blocks:
            if block.saved_as:
                (folder / block.saved_as).write_text(block.text, encoding="utf-8")


def read(path: Path) -> Page:
    """Read a page; a block is to be saved when the words right before it say so."""
    name, text = str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")
    blocks, before = [], 0
    for found in FENCE.finditer(text):
        saved = SAVED.search(text[before : found.start()].rstrip().rpartition("\n\n")[2])
        line = text.count("\n", 0, found.start()) + 1
        blocks.append(Block(page=name, line=line, language=found[1], text=found[2], saved_as=saved[1] if saved else ""))
        before = found.end()
    return Page(name=name, text=text, blocks=tuple(blocks))


PAGES: Final = [read(path) for path in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])]
BLOCKS: Final = [block for page in PAGES for block in page.blocks]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test every page, or every block of a language, that its argument's name asks for."""
    choices: dict[str, Callable[[Page], bool]] = {
        "page": lambda _page: True,
        "python_page": lambda page: bool(page.of("python")),
        "shell_page": lambda page: bool(page.of("sh")),
    }
    for name, wanted in choices.items():
        if name in metafunc.fixturenames:
            pages = [page for page in PAGES if wanted(page)]
            metafunc.parametrize(name, pages, ids=[page.name for page in pages])
    for language in ("json", "yaml"):
        if f"{language}_block" in metafunc.fixturenames:
            blocks = [block for block in BLOCKS if block.language == language]
            metafunc.parametrize(f"{language}_block", blocks, ids=[block.place for block in blocks])


@pytest.fixture
def pages() -> dict[str, Page]:
    """All pages by name."""
    return {page.name: page for page in PAGES}


@pytest.fixture
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def command_line() -> Any:
    """Every command there is, built once: each time it is built, it registers all of them again."""
    return typer.main.get_command(cli.commands())


@pytest.fixture
def understood(command_line: Any) -> Callable[[list[str]], str]:
    """Read the words after `dragoman` as the command line does, without running anything; returns the command."""

    def read_words(words: list[str]) -> str:
        command = command_line
        path: list[str] = []
        while hasattr(command, "commands"):
            path.append(words[len(path)])
            command = command.commands[path[-1]]
        command.make_context(" ".join(path), words[len(path) :])
        return " ".join(path)

    return read_words


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An environment that holds every secret that the pages name."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    return dict(SECRETS)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Page], Path]]:
    """Make a reader's folder for a page: a first configuration, its files, and its packages installed."""
    folder = tmp_path / "desk"

    def make(page: Page) -> Path:
        installation.first_configuration(folder)
        page.save(folder)
        install(folder)
        monkeypatch.syspath_prepend(str(folder))
        monkeypatch.chdir(folder)
        return folder

    yield make
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", "") or "").startswith(str(folder)):
            del sys.modules[name]


def install(folder: Path) -> None:
    """Make the entry points of the folder's package known, as installing it would."""
    if not (folder / "pyproject.toml").exists():
        return
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    place = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    place.mkdir()
    head = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (place / "METADATA").write_text(head, encoding="utf-8")
    lines = [
        line
        for group, entries in project["entry-points"].items()
        for line in (f"[{group}]", *(f"{name} = {target}" for name, target in entries.items()))
    ]
    (place / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    importlib.invalidate_caches()
