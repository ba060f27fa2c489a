"""The demo on a terminal: what runs where, each alert as it rises, a table at the end.

A live line only on a terminal; elsewhere plain lines. Quiet: alerts and nothing else.
"""

import json
import os
import sys
import textwrap
from collections.abc import Callable, Sequence
from io import TextIOWrapper
from types import TracebackType
from typing import Any, Self

from rich.console import Console, RenderableType
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from cbrn_gateway.demo.news import Card

PLAIN_EVERY_S = 15.0
_PLAIN_WIDTH = 100
_MARKS = {1: "■ 1", 2: "▲ 2", 3: "● 3"}
_STYLES = {1: "bold white on red", 2: "bold black on yellow", 3: "bold black on white"}
_LABEL_WIDTH = 9
_INDENT = 5
_LEAST_WIDTH = 30


class _PipeConsole(Console):
    """A console that tells when nobody reads any more, where rich would end the program."""

    broken: Callable[[], None]

    def on_broken_pipe(self) -> None:
        """Say so."""
        self.quiet = True
        self.broken()


class Screen:
    """Writes for people to standard output, or to standard error when that carries JSON.

    `on_broken_pipe` is called once when nobody reads any more; then nothing is written.
    """

    def __init__(self, *, as_json: bool, quiet: bool, on_broken_pipe: Callable[[], None]) -> None:
        stream = sys.stderr if as_json else sys.stdout
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # µ and ± on a terminal that knows neither
        self._as_json = as_json
        self._quiet = quiet
        self._on_broken_pipe = on_broken_pipe
        self._is_broken = False
        self._console = _PipeConsole(
            file=stream,
            highlight=False,
            markup=False,
            emoji=False,
            width=None if stream.isatty() else _PLAIN_WIDTH,
        )
        self._console.broken = self._break
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._plain_due_s = PLAIN_EVERY_S

    def __enter__(self) -> Self:
        """Return it; the live line begins with the first progress."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take the live line away."""
        self.end_progress()

    def say(self, text: str = "") -> None:
        """Write one line of what is going on; nothing when quiet."""
        if not self._quiet:
            self._write(Text(text))

    def warn(self, text: str) -> None:
        """Write what people must know about this run, to standard error when quiet."""
        if self._quiet:
            sys.stderr.write(text + "\n")
        else:
            self._write(Text(text, style="bold"))

    def record(self, alert: dict[str, Any]) -> None:
        """Write every version of an alarm as a JSON line where that is wanted."""
        if not self._as_json or self._is_broken:
            return
        try:
            is_utf8 = sys.stdout.encoding.lower() == "utf-8"
            sys.stdout.write(json.dumps(alert, ensure_ascii=not is_utf8) + "\n")
            sys.stdout.flush()
        except BrokenPipeError:
            self._break()

    def alert(self, card: Card, after_s: float) -> None:
        """Write one alert in plain words; in JSON mode only for people who watch."""
        if self._as_json and self._quiet:
            return
        mark = Text(f" {_MARKS[card.priority]} ", style=_STYLES[card.priority])
        mark.append(f" {card.heading}", style="bold not reverse default on default")
        mark.append(f"  [{after_s:.1f} s]", style="default on default")
        self._write(Text())
        self._write(mark)
        self._fold("", card.what)
        for label, words in card.lines:
            self._fold(label, words)

    def progress(self, elapsed_s: float, whole_s: float, words: str) -> None:
        """Show how far the run is: the live line, or a plain one now and then."""
        if self._quiet:
            return
        if not self._console.is_terminal:
            if elapsed_s >= self._plain_due_s:
                self._plain_due_s += PLAIN_EVERY_S
                self.say(f"… {elapsed_s:.0f} of {whole_s:.0f} s: {words}")
            return
        if self._progress is None:
            self._progress = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                console=self._console,
                transient=True,
            )
            self._task = self._progress.add_task("", total=whole_s)
            self._progress.start()
        if self._task is not None:
            line = f"{elapsed_s:.0f} of {whole_s:.0f} s: {words}"
            self._progress.update(self._task, completed=elapsed_s, description=line)

    def end_progress(self) -> None:
        """Take the live line away."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def table(self, title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Write a table; nothing when quiet."""
        if self._quiet:
            return
        table = Table(title=Text(title), title_justify="left", show_edge=False)
        for name in head:
            table.add_column(name, overflow="fold")
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        self._write(table)

    def _fold(self, label: str, words: str) -> None:
        """Write words broken at the width of the terminal, beside their label."""
        first = f"{label:{_LABEL_WIDTH}}" if label else ""
        width = max(_LEAST_WIDTH, self._console.width - _INDENT - len(first))
        for row, line in enumerate(textwrap.wrap(words, width) or [""]):
            beside = Text(" " * _INDENT)
            beside.append(first if row == 0 else " " * len(first), style="dim")
            self._write(beside.append(line))

    def _write(self, what: RenderableType) -> None:
        if not self._is_broken:
            self._console.print(what, soft_wrap=isinstance(what, Text))

    def _break(self) -> None:
        """Nobody reads: end in order, and keep the interpreter's last flush quiet."""
        self._is_broken = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
        self._on_broken_pipe()
