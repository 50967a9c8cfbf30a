"""Finding plugins: by name, by file, by module."""

from importlib import metadata
from pathlib import Path

import pytest

from dragoman import plugins
from dragoman.engine.plugin import Plugin
from dragoman.errors import PluginError
from dragoman.testing.play import play

WEATHER = """
from __future__ import annotations

import dataclasses

from dragoman import Plugin, Turn


@dataclasses.dataclass(frozen=True)
class Settings:
    sky: str = "Sunny"


plugin = Plugin("weather", settings=Settings)


@plugin.command("weather")
async def weather(turn: Turn, city: str = "") -> None:
    if not city:
        turn.ask("Which city?", then=weather)
    else:
        turn.say(turn.settings.sky)
"""
PROCESSOR = """
class Shout:
    async def process(self, context):
        context["response"] = context["content"].upper()
        return context


plugin = Shout()
"""


@pytest.mark.parametrize("name", sorted(plugins.SHIPPED))
def test_every_shipped_plugin_loads_under_its_own_name(name: str) -> None:
    assert plugins.load(name).name == name
    assert name in plugins.names()


async def test_a_file_is_loaded_and_played(tmp_path: Path) -> None:
    path = tmp_path / "weather.py"
    path.write_text(WEATHER, encoding="utf-8")
    assert await play(plugins.load(str(path)), "weather", "Paris") == ["Which city?", "Sunny"]


async def test_a_file_may_hold_an_object_with_process(tmp_path: Path) -> None:
    path = tmp_path / "shout.py"
    path.write_text(PROCESSOR, encoding="utf-8")
    plugin = plugins.load(str(path))
    assert plugin.name == "shout"
    assert await play(plugin, "hello") == ["HELLO"]


def test_two_files_of_one_name_do_not_get_mixed_up(tmp_path: Path) -> None:
    for folder, name in (("a", "first"), ("b", "second")):
        (tmp_path / folder).mkdir()
        text = f"from dragoman import Plugin\nplugin = Plugin({name!r})\n"
        (tmp_path / folder / "mine.py").write_text(text, encoding="utf-8")
    loaded = [plugins.load(str(tmp_path / folder / "mine.py")).name for folder in ("a", "b")]
    assert loaded == ["first", "second"]


def test_a_module_attribute_is_loaded() -> None:
    assert isinstance(plugins.load("dragoman.plugins.echo:plugin"), Plugin)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no attribute `plugin`"),
        ("plugin = 3", "neither a Plugin nor"),
        ("plugin = (", "SyntaxError"),
        ("import not_there_at_all", "not_there_at_all"),
        ("1 / 0", "ZeroDivisionError"),
        ("plugin = undefined", "NameError"),
        ("raise RuntimeError('no licence')", "no licence"),
    ],
)
def test_a_file_that_is_no_plugin_is_refused_with_its_name_and_the_reason(
    tmp_path: Path, text: str, reason: str
) -> None:
    path = tmp_path / "mine.py"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PluginError) as refusal:
        plugins.load(str(path))
    assert str(path) in str(refusal.value)
    assert reason in str(refusal.value)


@pytest.mark.parametrize(
    ("use", "reason"),
    [
        ("missing.py", "no such file"),
        ("nobody", "none of that name"),
        ("not_there_at_all:plugin", "not_there_at_all"),
        ("dragoman.plugins.echo:nothing", "nothing"),
        ("dragoman.plugins.echo:PLACEHOLDERS", "neither a Plugin nor"),
    ],
)
def test_what_cannot_be_found_is_refused_with_its_name_and_the_reason(use: str, reason: str) -> None:
    with pytest.raises(PluginError) as refusal:
        plugins.load(use)
    assert use in str(refusal.value)
    assert reason in str(refusal.value)


def test_an_entry_point_is_found_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = metadata.EntryPoint(name="theirs", value="dragoman.plugins.echo:plugin", group=plugins.GROUP)

    def entry_points(**wanted: str) -> list[metadata.EntryPoint]:
        return [entry] if wanted.get("name", entry.name) == entry.name else []

    monkeypatch.setattr(metadata, "entry_points", entry_points)
    assert plugins.load("theirs").name == "echo"
    assert "theirs" in plugins.names()
