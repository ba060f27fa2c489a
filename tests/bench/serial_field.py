"""Gas modules on pseudo-terminals in a process of its own, one frame a second each.

The frames are those of a Winsen ZE03 in clean air; each module has its place in the second.
"""

import json
import os
import subprocess
import sys
import time
import tty
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.square_load import frames, is_counter

from cbrn_core.times import US_PER_S


class SerialField:
    """A child process with so many modules; `ports` are the paths of their terminals."""

    def __init__(self, count: int) -> None:
        self._child = subprocess.Popen(
            [sys.executable, __file__, str(count)], stdout=subprocess.PIPE, text=True
        )
        self.ports: list[str] = json.loads(self._child.stdout.readline())

    def kill(self) -> None:
        self._child.kill()
        self._child.wait()
        self._child.stdout.close()


def feed(count: int) -> None:
    """Open the terminals, tell their paths, speak for ever."""
    modules = [i for i in range(2 * count) if not is_counter(i)][:count]
    wires = {module: os.openpty() for module in modules}
    for master, slave in wires.values():
        tty.setraw(slave)
        os.set_blocking(master, False)
    print(json.dumps([os.ttyname(slave) for _, slave in wires.values()]), flush=True)
    for time_us, module, frame in frames(modules[-1] + 1, time.time_ns() // 1000):
        if module in wires:
            time.sleep(max(0.0, time_us / US_PER_S - time.time()))
            with suppress(BlockingIOError):  # nobody reads yet: a real wire would lose it too
                os.write(wires[module][0], frame)


if __name__ == "__main__":
    feed(int(sys.argv[1]))
