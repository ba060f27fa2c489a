"""A bluetoothd that never was: adapters and straps in the air, as BlueZ shows them.

Sources: BlueZ doc/org.bluez.Adapter.rst, org.bluez.Device.rst, org.bluez.GattService.rst,
org.bluez.GattCharacteristic.rst. As in BlueZ, a peripheral becomes an object when it is
heard while somebody scans, for each adapter that hears it; its signal strength is known only
while scanning, and its services appear once it is connected.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence

from dbus_fast import BusType, Message, MessageType, Variant
from dbus_fast.aio import MessageBus

from cbrn_sim.ble.facts import (
    adapter_facts,
    adapter_of,
    adapter_path,
    address_of,
    characteristic_facts,
    device_facts,
    device_path,
)
from cbrn_sim.ble.object_tree import PROPERTIES, UNKNOWN_METHOD, ObjectTree
from cbrn_sim.ble.orders import FIRST_ADAPTER
from cbrn_sim.ble.paced_bus import PacedBus
from cbrn_sim.ble.strap import MEASUREMENT, Cure, Service, Strap

NAME = "org.bluez"
ADAPTER = "org.bluez.Adapter1"
DEVICE = "org.bluez.Device1"
SERVICE = "org.bluez.GattService1"
CHARACTERISTIC = "org.bluez.GattCharacteristic1"
NOT_READY = "org.bluez.Error.NotReady"
FAILED = "org.bluez.Error.Failed"
IN_PROGRESS = "org.bluez.Error.InProgress"
DOES_NOT_EXIST = "org.bluez.Error.DoesNotExist"
ADVERTISE_EVERY_S = 0.5
TICK_S = 0.02


class FakeBlueZ:
    """Serves org.bluez on the system bus; `straps` are by address and may be changed."""

    def __init__(self, bus: MessageBus) -> None:
        self.straps: dict[str, Strap] = {}
        self.calls: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        self.is_jammed = False
        self._bus = PacedBus(bus)
        self._tree = ObjectTree(self._bus)
        self._scanning: dict[str, set[str]] = {}
        self._linked: dict[str, str] = {}
        self._connecting: dict[str, Message] = {}
        self._notifying: set[str] = set()
        self._due_s: dict[str, float] = {}
        self._methods: dict[str, Callable[[Message], Message | None]] = {
            f"{ADAPTER}.SetDiscoveryFilter": Message.new_method_return,
            f"{ADAPTER}.StartDiscovery": self._start_discovery,
            f"{ADAPTER}.StopDiscovery": self._stop_discovery,
            f"{ADAPTER}.RemoveDevice": self._remove_device,
            f"{DEVICE}.Connect": self._connect,
            f"{DEVICE}.Disconnect": self._disconnect,
            f"{CHARACTERISTIC}.ReadValue": self._read_value,
            f"{CHARACTERISTIC}.StartNotify": self._start_notify,
            f"{CHARACTERISTIC}.StopNotify": self._stop_notify,
            f"{PROPERTIES}.Set": self._set,
        }

    @classmethod
    async def start(cls, adapters: Sequence[str] = (FIRST_ADAPTER,)) -> "FakeBlueZ":
        """Join the bus that DBUS_SYSTEM_BUS_ADDRESS names and take BlueZ's name on it."""
        bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
        fake = cls(bus)
        for name in adapters:
            fake.plug(name)
        bus.add_message_handler(fake._asked)
        await bus.request_name(NAME)
        return fake

    async def run(self) -> None:
        """Advertise, notify and send until cancelled; raises what ends the connection."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._bus.send())
            tasks.create_task(self._live())

    def send(self, address: str, octets: bytes | None) -> bool:
        """Notify octets, or the strap's own measurement; return whether anybody listens."""
        strap = self.straps[address]
        path = self._path_of(address, MEASUREMENT)
        if path is None or path not in self._notifying or strap.silent:
            return False
        value = strap.measurement() if octets is None else octets
        self._tree.change(path, CHARACTERISTIC, {"Value": Variant("ay", value)})
        self.sent[address] += 1
        return True

    async def settled(self) -> None:
        """Wait until the bus has taken everything."""
        await self._bus.emptied()

    def drop(self, address: str) -> None:
        """Lose the link, as when somebody walks away."""
        self._unlink(address)

    def remove(self, address: str) -> None:
        """Remove the device objects, as another program may."""
        for adapter in self._scanning:
            self._remove(adapter, address)

    def plug(self, adapter: str) -> None:
        """Plug an adapter in, switched on; it knows nobody."""
        self._scanning[adapter] = set()
        self._tree.add(adapter_path(adapter), {ADAPTER: adapter_facts(adapter)})

    def unplug(self, adapter: str) -> None:
        """Pull an adapter: its links and all that it knew are gone."""
        self._silence(adapter)
        del self._scanning[adapter]
        path = adapter_path(adapter)
        for each in [*self._tree.below(path), path]:
            self._tree.remove(each)

    def power(self, adapter: str = FIRST_ADAPTER, *, on: bool) -> None:
        """Switch an adapter; off ends every link and scan."""
        if not on:
            self._silence(adapter)
        changed = {"Powered": Variant("b", on), "Discovering": Variant("b", False)}
        self._tree.change(adapter_path(adapter), ADAPTER, changed)
        for strap in self.straps.values():
            strap.treat(Cure.POWER)

    def linked(self) -> dict[str, str]:
        """Return which addresses are connected now, each with its adapter."""
        return dict(sorted(self._linked.items()))

    def notifying(self) -> list[str]:
        """Return the addresses whose measurement somebody listens to."""
        paths = {address: self._path_of(address, MEASUREMENT) for address in self._linked}
        return sorted(address for address, path in paths.items() if path in self._notifying)

    @property
    def scanning(self) -> list[str]:
        """Return the adapters on which anybody scans."""
        return [name for name, who in self._scanning.items() if who]

    @property
    def powered(self) -> list[str]:
        """Return the adapters that are on."""
        return [
            name
            for name in self._scanning
            if self._tree.value(adapter_path(name), ADAPTER, "Powered")
        ]

    def _asked(self, asked: Message) -> bool:
        """Take a question; its reply follows the signals that it causes."""
        if asked.message_type is not MessageType.METHOD_CALL:
            return False
        reply = self._reply(asked)
        if reply is not None:
            self._bus.put(reply)
        return True

    def _reply(self, asked: Message) -> Message | None:
        method = f"{asked.interface}.{asked.member}"
        self.calls[str(asked.member)] += 1
        reply = self._tree.answer(asked)
        if reply is not None:
            return reply
        if method not in self._methods:
            return Message.new_error(asked, UNKNOWN_METHOD, method)
        if adapter_of(str(asked.path)) not in self.powered and method != f"{PROPERTIES}.Set":
            return Message.new_error(asked, NOT_READY, "Resource Not Ready")
        return self._methods[method](asked)

    async def _live(self) -> None:
        loop = asyncio.get_running_loop()
        advertise_s = loop.time()
        while True:
            now_s = loop.time()
            if now_s >= advertise_s:
                advertise_s = now_s + ADVERTISE_EVERY_S
                for adapter in self.scanning:
                    self._advertise(adapter)
                self._connect_who_came()
            for address in sorted(self._linked):
                if self.straps[address].period_s and now_s >= self._due_s.get(address, now_s):
                    self._due_s[address] = now_s + self.straps[address].period_s
                    self.send(address, None)
            await asyncio.sleep(TICK_S)

    def _advertise(self, adapter: str) -> None:
        for strap in list(self.straps.values()):
            busy = strap.address in self._linked or strap.address in self._connecting
            if not strap.in_range or busy:
                continue
            path = device_path(adapter, strap.address)
            if self._tree.has(path):
                self._tree.change(path, DEVICE, {"RSSI": Variant("n", strap.rssi_dbm)})
            else:
                self._tree.add(path, {DEVICE: device_facts(strap, adapter)})

    def _connect_who_came(self) -> None:
        """Link those that have been called since before they came into range."""
        for address in [a for a in self._connecting if self.straps[a].in_range]:
            asked = self._connecting.pop(address)
            self._link(adapter_of(str(asked.path)), address)
            self._bus.put(Message.new_method_return(asked))

    def _start_discovery(self, asked: Message) -> Message:
        if self.is_jammed:
            return Message.new_error(asked, IN_PROGRESS, "Operation already in progress")
        self._scanning[adapter_of(str(asked.path))].add(str(asked.sender))
        return Message.new_method_return(asked)

    def _stop_discovery(self, asked: Message) -> Message:
        adapter = str(asked.path)
        who = self._scanning[adapter_of(adapter)]
        if str(asked.sender) not in who:
            return Message.new_error(asked, FAILED, "No discovery started")
        who.discard(str(asked.sender))
        for path in self._tree.below(adapter):
            if path.count("/") == adapter.count("/") + 1:
                self._tree.invalidate(path, DEVICE, "RSSI")
        return Message.new_method_return(asked)

    def _remove_device(self, asked: Message) -> Message:
        path, adapter = str(asked.body[0]), adapter_of(str(asked.path))
        if not self._tree.has(path) or adapter_of(path) != adapter:
            return Message.new_error(asked, DOES_NOT_EXIST, "Does Not Exist")
        address = address_of(path)
        self._remove(adapter, address)
        self.straps[address].treat(Cure.REMOVAL)
        return Message.new_method_return(asked)

    def _connect(self, asked: Message) -> Message | None:
        address = address_of(str(asked.path))
        strap = self.straps[address]
        if strap.refuse:
            return Message.new_error(asked, FAILED, strap.refuse)
        if not strap.in_range:
            self._connecting[address] = asked
            return None
        self._link(adapter_of(str(asked.path)), address)
        return Message.new_method_return(asked)

    def _link(self, adapter: str, address: str) -> None:
        """Connect, and show the services once they have been found."""
        self._linked[address] = adapter
        path = device_path(adapter, address)
        self._tree.change(path, DEVICE, {"Connected": Variant("b", True)})
        resolve_s = self.straps[address].resolve_s
        if resolve_s is not None and adapter not in self.straps[address].deaf:
            asyncio.get_running_loop().call_later(resolve_s, self._resolve, address)

    def _resolve(self, address: str) -> None:
        if address not in self._linked:
            return
        path = device_path(self._linked[address], address)
        for service in self.straps[address].services():
            self._show_service(path, service)
        self._tree.change(path, DEVICE, {"ServicesResolved": Variant("b", True)})
        self._due_s.pop(address, None)

    def _show_service(self, path: str, service: Service) -> None:
        service_path = f"{path}/service{service.handle:04x}"
        facts = {
            "UUID": Variant("s", service.uuid),
            "Device": Variant("o", path),
            "Primary": Variant("b", True),
            "Includes": Variant("ao", []),
        }
        self._tree.add(service_path, {SERVICE: facts})
        for one in service.characteristics:
            facts = characteristic_facts(service_path, one)
            self._tree.add(f"{service_path}/char{one.handle:04x}", {CHARACTERISTIC: facts})

    def _disconnect(self, asked: Message) -> Message:
        self._unlink(address_of(str(asked.path)))
        return Message.new_method_return(asked)

    def _unlink(self, address: str) -> None:
        asked = self._connecting.pop(address, None)
        if asked is not None:
            self._bus.put(Message.new_error(asked, FAILED, "br-connection-canceled"))
        if address not in self._linked:
            return
        path = device_path(self._linked.pop(address), address)
        down = {"Connected": Variant("b", False), "ServicesResolved": Variant("b", False)}
        self._tree.change(path, DEVICE, down)
        for each in self._tree.below(path):
            self._notifying.discard(each)
            self._tree.remove(each)

    def _silence(self, adapter: str) -> None:
        """End every link and scan of an adapter."""
        called = {a for a, m in self._connecting.items() if adapter_of(str(m.path)) == adapter}
        for address in sorted(called.union(a for a, n in self._linked.items() if n == adapter)):
            self._unlink(address)
        self._scanning[adapter].clear()

    def _remove(self, adapter: str, address: str) -> None:
        """Remove what one adapter knows of a peripheral."""
        if self._linked.get(address, adapter) == adapter:
            self._unlink(address)
        path = device_path(adapter, address)
        for each in [*self._tree.below(path), path]:
            if self._tree.has(each):
                self._tree.remove(each)

    def _read_value(self, asked: Message) -> Message:
        path = str(asked.path)
        strap = self.straps[address_of(path)]
        value = strap.value(self._tree.value(path, CHARACTERISTIC, "UUID"))
        return Message.new_method_return(asked, "ay", [value])

    def _start_notify(self, asked: Message) -> Message:
        self._notifying.add(str(asked.path))
        return Message.new_method_return(asked)

    def _stop_notify(self, asked: Message) -> Message:
        self._notifying.discard(str(asked.path))
        return Message.new_method_return(asked)

    def _set(self, asked: Message) -> Message:
        interface, name, variant = asked.body
        if (interface, name) == (ADAPTER, "Powered"):
            self.power(adapter_of(str(asked.path)), on=bool(variant.value))
        return Message.new_method_return(asked)

    def _path_of(self, address: str, uuid: str) -> str | None:
        adapter = self._linked.get(address)
        paths = [] if adapter is None else self._tree.below(device_path(adapter, address))
        found = (
            p for p in paths if "/char" in p and self._tree.value(p, CHARACTERISTIC, "UUID") == uuid
        )
        return next(found, None)
