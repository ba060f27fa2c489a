"""One Bluetooth adapter as BlueZ shows it on the D-Bus system bus, watched for its end.

bleak does not notice that bluetoothd ended: to it every link stays up. So the owner of the
name, the adapter's power and whether bluetoothd still answers are watched here. Interfaces
as in BlueZ's doc/org.bluez.Adapter.rst and the D-Bus specification.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from dbus_fast import BusType, Message, MessageType, Variant
from dbus_fast.aio import MessageBus
from dbus_fast.errors import DBusFastError

from cbrn_core.clock import Clock
from cbrn_core.errors import ConnectFailed, Disconnected

ANSWER_S = 5.0
ASK_EVERY_S = 10.0
POWER_S = 10.0

BLUEZ = "org.bluez"
_ADAPTER = "org.bluez.Adapter1"
_OBJECTS = "org.freedesktop.DBus.ObjectManager"
_PROPERTIES = "org.freedesktop.DBus.Properties"
_DBUS = "org.freedesktop.DBus"
_POWERED = [_ADAPTER, "Powered"]
_DBUS_PATH = "/org/freedesktop/DBus"
_NO_BLUETOOTHD = frozenset(
    {
        "org.freedesktop.DBus.Error.ServiceUnknown",
        "org.freedesktop.DBus.Error.NameHasNoOwner",
        "org.freedesktop.DBus.Error.NoReply",
    }
)
_REFUSED = "org.freedesktop.DBus.Error.AccessDenied"
_SIGNALS = (
    f"type='signal',sender='{_DBUS}',member='NameOwnerChanged',arg0='{BLUEZ}'",
    f"type='signal',sender='{BLUEZ}',interface='{_PROPERTIES}',arg0='{_ADAPTER}'",
    f"type='signal',sender='{BLUEZ}',interface='{_OBJECTS}',member='InterfacesRemoved'",
)

BUS_ERRORS = (OSError, EOFError, DBusFastError)
"""What dbus-fast raises when the bus cannot be reached or goes away."""

_Adapters = dict[str, dict[str, Any]]


class Radio:
    """One adapter; made by `open_radio`. `on_lost` is called once, when it cannot be used."""

    def __init__(
        self, bus: MessageBus, path: str, clock: Clock, on_lost: Callable[[], None]
    ) -> None:
        self.path = path
        self.name = path.rpartition("/")[2]
        self._bus = bus
        self._clock = clock
        self._on_lost = on_lost
        self._lost: str | None = None
        self._powered = asyncio.Event()
        self._unpowered = asyncio.Event()
        self._cycling = False
        bus.add_message_handler(self._heard)
        # dbus-fast's own future ends with a task that awaits it: this one is never cancelled
        self._ending = asyncio.create_task(self._await_bus_end())
        self._asking = asyncio.create_task(self._ask_on())

    @property
    def is_lost(self) -> bool:
        """Return whether the adapter, bluetoothd or the bus has gone."""
        return self._lost is not None

    def raise_if_lost(self) -> None:
        """Raise Disconnected where the adapter, bluetoothd or the bus has gone."""
        if self._lost is not None:
            raise Disconnected(self._lost)

    async def power_cycle(self) -> None:
        """Switch the adapter off and on again.

        Raises:
            ConnectFailed: BlueZ refuses, or the adapter does not come back in POWER_S.
        """
        self._cycling = True
        try:
            async with asyncio.timeout(POWER_S):
                self._unpowered.clear()
                await self._set_powered(on=False)
                await self._unpowered.wait()
                self._powered.clear()
                await self._set_powered(on=True)
                await self._powered.wait()
        except TimeoutError:
            raise ConnectFailed(f"{self.name} did not come back in {POWER_S:g} s") from None
        except BUS_ERRORS as error:
            raise ConnectFailed(f"{self.name}: {error}") from error
        finally:
            self._cycling = False

    async def close(self) -> None:
        """Let go of the bus; never raises."""
        self._lost = self._lost or "closed"
        self._bus.remove_message_handler(self._heard)
        self._asking.cancel()
        await asyncio.gather(self._asking, return_exceptions=True)
        self._bus.disconnect()
        await asyncio.wait({self._ending}, timeout=ANSWER_S)

    async def _set_powered(self, *, on: bool) -> None:
        body = [*_POWERED, Variant("b", on)]
        await _ask(self._bus, self.path, f"{_PROPERTIES}.Set", "ssv", body)

    async def _await_bus_end(self) -> None:
        with suppress(*BUS_ERRORS):
            await self._bus.wait_for_disconnect()  # type: ignore[no-untyped-call]
        self._lose("the D-Bus system bus has gone")

    async def _ask_on(self) -> None:
        """Ask now and then: a bluetoothd that hangs keeps its name."""
        while True:
            await self._clock.sleep(ASK_EVERY_S)
            try:
                await _ask(self._bus, self.path, f"{_PROPERTIES}.Get", "ss", _POWERED)
            except (ConnectFailed, *BUS_ERRORS) as error:
                self._lose(str(error))
                return

    def _heard(self, message: Message) -> None:
        if message.message_type is not MessageType.SIGNAL:
            return
        match message.member:
            case "NameOwnerChanged" if message.body[0] == BLUEZ:
                self._lose("the Bluetooth service has ended")
            case "InterfacesRemoved" if message.body[0] == self.path:
                self._lose(f"{self.name} was unplugged")
            case "PropertiesChanged" if message.path == self.path:
                powered = message.body[1].get("Powered")
                if powered is not None:
                    self._power_changed(on=bool(powered.value))

    def _power_changed(self, *, on: bool) -> None:
        (self._powered if on else self._unpowered).set()
        if not on and not self._cycling:
            self._lose(f"{self.name} was switched off")

    def _lose(self, reason: str) -> None:
        if self._lost is None:
            self._lost = reason
            self._on_lost()


async def open_radio(adapter: str, clock: Clock, on_lost: Callable[[], None]) -> Radio:
    """Find an adapter by its name (`hci0`) or its address, ready to be used.

    Raises:
        ConnectFailed: no bus, no bluetoothd, no right to it, no such adapter, one that is off
            or cannot do Bluetooth Low Energy; the message says what to do.
    """
    bus = await _join_bus()
    opened = False
    try:
        for rule in _SIGNALS:
            await _ask(bus, _DBUS_PATH, f"{_DBUS}.AddMatch", "s", [rule])
        (objects,) = (await _ask(bus, "/", f"{_OBJECTS}.GetManagedObjects", "", [])).body
        radio = Radio(bus, _chosen(_adapters_in(objects), adapter), clock, on_lost)
        opened = True
    except BUS_ERRORS as error:
        raise ConnectFailed(f"the D-Bus system bus has gone: {error}") from error
    finally:
        if not opened:
            bus.disconnect()
    return radio


def is_paired(details: object) -> bool:
    """Return whether a device object, as bleak hands it on, is one that a person has paired."""
    props = details.get("props") if isinstance(details, dict) else None
    return isinstance(props, dict) and bool(props.get("Paired"))


async def _join_bus() -> MessageBus:
    try:
        bus = MessageBus(bus_type=BusType.SYSTEM)
    except BUS_ERRORS as error:
        raise ConnectFailed(_no_bus(error)) from error
    joined = False
    try:
        async with asyncio.timeout(ANSWER_S):
            await bus.connect()
        joined = True
    except (TimeoutError, *BUS_ERRORS) as error:
        raise ConnectFailed(_no_bus(error)) from error
    finally:
        if not joined:
            bus.disconnect()
    return bus


def _no_bus(error: Exception) -> str:
    return (
        f"no D-Bus system bus ({error}): install and start dbus and bluez; "
        "in a container mount /run/dbus"
    )


async def _ask(bus: MessageBus, path: str, method: str, signature: str, body: list[Any]) -> Message:
    """Return the reply to `interface.Method`; raises ConnectFailed with what to do."""
    interface, _, member = method.rpartition(".")
    question = Message(
        destination=_DBUS if interface == _DBUS else BLUEZ,
        path=path,
        interface=interface,
        member=member,
        signature=signature,
        body=body,
    )
    try:
        async with asyncio.timeout(ANSWER_S):
            reply = await bus.call(question)
    except TimeoutError:
        reason = (
            f"the Bluetooth service does not answer in {ANSWER_S:g} s: systemctl restart bluetooth"
        )
        raise ConnectFailed(reason) from None
    if reply.message_type is not MessageType.ERROR:
        return reply
    raise ConnectFailed(_refusal(reply))


def _refusal(reply: Message) -> str:
    if reply.error_name in _NO_BLUETOOTHD:
        return "the Bluetooth service does not run: systemctl start bluetooth (Debian: bluez)"
    if reply.error_name == _REFUSED:
        return "no right to use Bluetooth: add the gateway's user to the group bluetooth"
    return f"{reply.error_name}: {' '.join(str(part) for part in reply.body)}"


def _adapters_in(objects: dict[str, dict[str, dict[str, Variant]]]) -> _Adapters:
    return {
        path: {name: variant.value for name, variant in interfaces[_ADAPTER].items()}
        for path, interfaces in objects.items()
        if _ADAPTER in interfaces
    }


def _chosen(adapters: _Adapters, wanted: str) -> str:
    """Return the path of the adapter that is wanted; raises ConnectFailed."""
    for path, facts in adapters.items():
        name = path.rpartition("/")[2]
        address = str(facts.get("Address", ""))
        if wanted.lower() not in {name.lower(), address.lower()}:
            continue
        if not facts.get("Powered", False):
            raise ConnectFailed(
                f"{name} is switched off: bluetoothctl power on, or rfkill unblock bluetooth"
            )
        if "central" not in facts.get("Roles", ["central"]):
            raise ConnectFailed(f"{name} cannot connect to Bluetooth Low Energy peripherals")
        return path
    there = ", ".join(f"{p.rpartition('/')[2]} ({f.get('Address')})" for p, f in adapters.items())
    raise ConnectFailed(f"no Bluetooth adapter {wanted}; there is {there or 'none'}")
