"""Anemometers on pseudo-terminals that count up, so that a lost or doubled sample shows."""

import asyncio
import os
import select
import tty
from pathlib import Path

LINES_PER_S = 20
FIRST = 100
"""1.00 m/s: not calm. Each line says a hundredth more."""


class WindPole:
    """One WindSonic; `sent` are the hundredths of m/s that it has said."""

    def __init__(self, link: Path) -> None:
        self.link = link
        self.sent: list[int] = []
        self.is_mute = False
        self._master, slave = os.openpty()
        tty.setraw(slave)
        os.set_blocking(self._master, False)
        link.symlink_to(os.ttyname(slave))
        os.close(slave)

    @property
    def is_open(self) -> bool:
        """Return whether somebody holds the other end."""
        poll = select.poll()
        poll.register(self._master, select.POLLIN)
        return not any(events & select.POLLHUP for _, events in poll.poll(0))

    async def speak(self) -> None:
        """Count up until cancelled; what nobody hears is not said."""
        hundredths = FIRST
        while True:
            if self.is_open and not self.is_mute:
                os.write(self._master, _line(hundredths))
                self.sent.append(hundredths)
                hundredths += 1
            await asyncio.sleep(1 / LINES_PER_S)

    def close(self) -> None:
        os.close(self._master)
        self.link.unlink()

    def device(self, name: str, station: str, **more: object) -> str:
        """Return the tables of this instrument in a site file."""
        options = "".join(f"{key} = {value}\n" for key, value in more.items())
        return (
            f'[[device]]\nid = "{name}"\nstation = "{station}"\n'
            f'driver = "weather.gill_windsonic"\nport = "{self.link}"\n{options}'
            '[[device.channel]]\nid = "wind_speed"\nstale_after_s = 2\n'
            '[[device.channel]]\nid = "wind_direction"\nstale_after_s = 2\n'
        )


def _line(hundredths: int) -> bytes:
    body = f"WIMWV,212,R,{hundredths / 100:06.2f},M,A"
    checksum = 0
    for character in body.encode():
        checksum ^= character
    return f"${body}*{checksum:02X}\r\n".encode()
