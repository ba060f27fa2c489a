"""A simulated BlueZ as a process of its own: `python -m cbrn_sim.ble hci0`, orders on stdin.

It joins the bus that DBUS_SYSTEM_BUS_ADDRESS names; give it a private one. It ends with its
input.
"""

import asyncio
import sys
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from cbrn_sim.ble.bluez import FakeBlueZ
from cbrn_sim.ble.orders import Answer, Order, Verb

_LONGEST_LINE_BYTES = 1_000_000


async def serve(adapters: Sequence[str]) -> None:
    """Obey one order after the other until the input ends; answer each with a line."""
    fake = await FakeBlueZ.start(adapters)
    reader = asyncio.StreamReader(limit=_LONGEST_LINE_BYTES)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    running = asyncio.create_task(fake.run())
    running.add_done_callback(lambda _: reader.feed_eof())
    _say(answer(fake))
    while line := await reader.readline():
        try:
            await obey(fake, msgspec.json.decode(line, type=Order))
            _say(answer(fake))
        except (msgspec.DecodeError, ValueError, KeyError) as error:
            _say(Answer(trouble=f"{type(error).__name__}: {error}"))
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def obey(fake: FakeBlueZ, order: Order) -> None:
    """Do what an order says; raises KeyError for a strap that there is not."""
    match order.verb:
        case Verb.PUT:
            fake.straps |= {strap.address: strap for strap in order.straps}
        case Verb.DROP:
            fake.drop(order.address)
        case Verb.REMOVE:
            fake.remove(order.address)
        case Verb.SEND:
            fake.send(order.address, bytes.fromhex(order.octets))
        case Verb.POWER:
            fake.power(order.adapter, on=order.on)
        case Verb.PLUG:
            (fake.plug if order.on else fake.unplug)(order.adapter)
        case Verb.JAM:
            fake.is_jammed = order.on
        case Verb.RAMP:
            await count_up(fake, order.first_bpm, order.count)
        case Verb.TELL:
            return


async def count_up(fake: FakeBlueZ, first_bpm: int, count: int) -> None:
    """Let all that are listened to notify one rate after the other."""
    for bpm in range(first_bpm, first_bpm + count):
        for address in fake.notifying():
            fake.straps[address].bpm = bpm
            fake.send(address, None)
        await fake.settled()


def answer(fake: FakeBlueZ) -> Answer:
    """Return how things stand."""
    return Answer(
        powered=tuple(fake.powered),
        scanning=tuple(fake.scanning),
        linked=tuple(fake.linked()),
        over=fake.linked(),
        notifying=tuple(fake.notifying()),
        sent=dict(fake.sent),
        calls=dict(fake.calls),
    )


def _say(said: Answer) -> None:
    sys.stdout.write(msgspec.json.encode(said).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1:]))
