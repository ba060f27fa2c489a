"""A disk that hangs or fills up on command, under a real daemon (see failing_disk.c)."""

import os
import subprocess
from pathlib import Path

from e2e.gateway_process import Daemon
from e2e.servers import program

SOURCE = Path(__file__).with_suffix(".c")


class FailingDisk:
    """Put a daemon on it before it starts; `hang`, `fill` and `mend` while it runs."""

    def __init__(self, folder: Path, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._switches = folder / "switches"
        self._switches.mkdir(parents=True)
        self._library = folder / "failing_disk.so"
        compiler = program("gcc", "gcc, libc6-dev")
        command = [compiler, "-shared", "-fPIC", "-O1", "-o", self._library, SOURCE, "-ldl"]
        subprocess.run(command, check=True)

    def carry(self, daemon: Daemon) -> None:
        """Let the daemon's files lie on this disk."""
        settings = {
            "LD_PRELOAD": self._library,
            "FAILING_DISK_DIR": self._data_dir,
            "FAILING_DISK_SWITCHES": self._switches,
        }
        names = [f"{name}={os.fspath(path)}" for name, path in settings.items()]
        daemon.command = ["env", *names, *daemon.command]

    def hang(self) -> None:
        """Let no fsync return."""
        (self._switches / "hang").touch()

    def fill(self, left_bytes: int = 0) -> None:
        """Leave only so much room beyond what the files take now."""
        used_bytes = sum(p.stat().st_size for p in self._data_dir.iterdir() if p.is_file())
        new = self._switches / "full.new"
        new.write_text(str(used_bytes + left_bytes))
        new.replace(self._switches / "full")

    def mend(self) -> None:
        """Be a good disk again."""
        for switch in self._switches.iterdir():
            switch.unlink()
