"""Portable rich text: CommonMark in, each platform's dialect out, cut by its rendered length."""

from dragoman.text.render import Dialect, render
from dragoman.text.split import split

__all__ = ["Dialect", "render", "split"]
