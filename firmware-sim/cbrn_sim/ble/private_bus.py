"""A D-Bus daemon of our own, so that a simulated BlueZ touches nothing of the machine.

Source: dbus-daemon(1). Programs find it by DBUS_SYSTEM_BUS_ADDRESS.
"""

import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from cbrn_core.errors import PrerequisiteMissing

PROGRAM = "dbus-daemon"
_STOP_S = 5.0
_MOST_BYTES = 127_000_000
_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
  <limit name="max_incoming_bytes">{most_bytes}</limit>
  <limit name="max_outgoing_bytes">{most_bytes}</limit>
</busconfig>
"""


class PrivateBus:
    """`with` it: a bus that only those reach who are told its `address`.

    Entering raises PrerequisiteMissing without dbus-daemon.
    """

    def __init__(self) -> None:
        self.address = ""
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._daemon: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        """Write the configuration, start the daemon and wait until it listens."""
        self._folder = tempfile.TemporaryDirectory(prefix="cbrn-bus-")
        folder = Path(self._folder.name)
        config = folder / "bus.conf"
        # a socket's path may have 107 characters: the system's temporary folder is short
        text = _CONFIG.format(socket=folder / "bus", most_bytes=_MOST_BYTES)
        config.write_text(text, encoding="utf-8")
        command = [PROGRAM, "--nofork", "--nopidfile", "--nosyslog", f"--config-file={config}"]
        try:
            self._daemon = subprocess.Popen(  # noqa: S603 - a fixed program, our own file
                [*command, "--print-address=1"],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        except FileNotFoundError:
            self._folder.cleanup()
            raise PrerequisiteMissing(f"{PROGRAM} is not installed (Debian: dbus)") from None
        if self._daemon.stdout is None or not (line := self._daemon.stdout.readline()):
            self.__exit__(None, None, None)
            raise PrerequisiteMissing(f"{PROGRAM} does not start")
        self.address = line.strip()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the daemon, and every connection with it."""
        self.kill()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def kill(self) -> None:
        """End the daemon at once, as a crash does."""
        daemon, self._daemon = self._daemon, None
        if daemon is not None:
            daemon.kill()
            daemon.wait(_STOP_S)
            if daemon.stdout is not None:
                daemon.stdout.close()
