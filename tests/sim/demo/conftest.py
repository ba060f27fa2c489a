"""The demo as a process of its own, and what it must not leave behind."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

DEADLINE_S = 40.0

_COMMAND = """
import signal
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup before the tests ignores it
from cbrn_gateway.cli import main
main()
"""


class DemoProcess:
    """`cbrn-gateway demo` with a temporary folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.scratch = folder / "scratch"
        self.out = folder / "out"
        self.scratch.mkdir()
        self.child: subprocess.Popen[str] | None = None

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        self.child = subprocess.Popen(
            [
                sys.executable,
                "-c",
                _COMMAND,
                "demo",
                "--out",
                str(self.out),
                *arguments,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env={**os.environ, "TMPDIR": str(self.scratch), **environment},
        )
        return self.child

    def lines_until(self, word: str) -> list[str]:
        """Return the lines of standard output up to the one that holds the word."""
        lines = []
        for line in self.child.stdout:
            lines.append(line)
            if word in line:
                return lines
        raise AssertionError(f"{word!r} never came:\n{''.join(lines)}\n{self.child.stderr.read()}")

    def end(self) -> tuple[int, str, str]:
        """Return exit status, output and errors once it has ended by itself."""
        output, errors = self.child.communicate(timeout=DEADLINE_S)
        return self.child.returncode, output, errors

    def offspring(self) -> list[str]:
        """Return the command lines of live processes that use the temporary folder."""
        found = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                command = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(self.scratch) in command and str(self.child.pid) != entry.parent.name:
                found.append(command)
        return found

    def wait_until_alone(self) -> None:
        deadline_s = time.monotonic() + DEADLINE_S
        while (left := self.offspring()) and time.monotonic() < deadline_s:
            time.sleep(0.05)
        assert left == []

    def kill(self) -> None:
        if self.child is not None:
            if self.child.poll() is None:
                self.child.kill()
            self.child.communicate(timeout=DEADLINE_S)


@pytest.fixture
def demo(tmp_path):
    """Return a demo that ends with the test."""
    process = DemoProcess(tmp_path)
    yield process
    process.kill()
