"""A bluetoothd that never was: one adapter and straps in the air, as BlueZ shows them.

Sources: BlueZ doc/org.bluez.Adapter.rst, org.bluez.Device.rst, org.bluez.GattService.rst,
org.bluez.GattCharacteristic.rst. As in BlueZ, a peripheral becomes an object when it is
heard while somebody scans, its signal strength is known only while scanning, and its
services appear once it is connected.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

from dbus_fast import BusType, Message, MessageType, Variant
from dbus_fast.aio import MessageBus

from cbrn_sim.ble.object_tree import PROPERTIES, UNKNOWN_METHOD, ObjectTree
from cbrn_sim.ble.paced_bus import PacedBus
from cbrn_sim.ble.strap import MEASUREMENT, Characteristic, Cure, Service, Strap

NAME = "org.bluez"
ADAPTER_PATH = "/org/bluez/hci0"
ADAPTER_ADDRESS = "00:11:22:33:44:55"
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
_MTU = 247


class FakeBlueZ:
    """Serves org.bluez on the system bus; `straps` are by address and may be changed."""

    def __init__(self, bus: MessageBus) -> None:
        self.straps: dict[str, Strap] = {}
        self.calls: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        self.is_jammed = False
        self._bus = PacedBus(bus)
        self._tree = ObjectTree(self._bus)
        self._scanning: set[str] = set()
        self._linked: set[str] = set()
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
    async def start(cls) -> "FakeBlueZ":
        """Join the bus that DBUS_SYSTEM_BUS_ADDRESS names and take BlueZ's name on it."""
        bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
        fake = cls(bus)
        fake._tree.add(ADAPTER_PATH, {ADAPTER: _adapter_facts()})
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
        """Remove the device object, as another program may."""
        self._unlink(address)
        for path in [*self._tree.below(device_path(address)), device_path(address)]:
            if self._tree.has(path):
                self._tree.remove(path)

    def power(self, *, on: bool) -> None:
        """Switch the adapter; off ends every link and scan."""
        if not on:
            for address in sorted(self._linked | self._connecting.keys()):
                self._unlink(address)
            self._scanning.clear()
        changed = {"Powered": Variant("b", on), "Discovering": Variant("b", False)}
        self._tree.change(ADAPTER_PATH, ADAPTER, changed)
        for strap in self.straps.values():
            strap.treat(Cure.POWER)

    def linked(self) -> list[str]:
        """Return the addresses that are connected now."""
        return sorted(self._linked)

    def notifying(self) -> list[str]:
        """Return the addresses whose measurement somebody listens to."""
        paths = {address: self._path_of(address, MEASUREMENT) for address in self._linked}
        return sorted(address for address, path in paths.items() if path in self._notifying)

    @property
    def scanning(self) -> bool:
        """Return whether anybody scans."""
        return bool(self._scanning)

    @property
    def is_powered(self) -> bool:
        """Return whether the adapter is on."""
        return bool(self._tree.value(ADAPTER_PATH, ADAPTER, "Powered"))

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
        if not self.is_powered and method != f"{PROPERTIES}.Set":
            return Message.new_error(asked, NOT_READY, "Resource Not Ready")
        return self._methods[method](asked)

    async def _live(self) -> None:
        loop = asyncio.get_running_loop()
        advertise_s = loop.time()
        while True:
            now_s = loop.time()
            if now_s >= advertise_s:
                advertise_s = now_s + ADVERTISE_EVERY_S
                self._advertise()
                self._connect_who_came()
            for address in sorted(self._linked):
                if self.straps[address].period_s and now_s >= self._due_s.get(address, now_s):
                    self._due_s[address] = now_s + self.straps[address].period_s
                    self.send(address, None)
            await asyncio.sleep(TICK_S)

    def _advertise(self) -> None:
        if not self._scanning or not self.is_powered:
            return
        for strap in list(self.straps.values()):
            busy = strap.address in self._linked or strap.address in self._connecting
            if not strap.in_range or busy:
                continue
            path = device_path(strap.address)
            if self._tree.has(path):
                self._tree.change(path, DEVICE, {"RSSI": Variant("n", strap.rssi_dbm)})
            else:
                self._tree.add(path, {DEVICE: _device_facts(strap)})

    def _connect_who_came(self) -> None:
        """Link those that have been called since before they came into range."""
        for address in [a for a in self._connecting if self.straps[a].in_range]:
            asked = self._connecting.pop(address)
            self._link(address)
            self._bus.put(Message.new_method_return(asked))

    def _start_discovery(self, asked: Message) -> Message:
        if self.is_jammed:
            return Message.new_error(asked, IN_PROGRESS, "Operation already in progress")
        self._scanning.add(str(asked.sender))
        return Message.new_method_return(asked)

    def _stop_discovery(self, asked: Message) -> Message:
        if str(asked.sender) not in self._scanning:
            return Message.new_error(asked, FAILED, "No discovery started")
        self._scanning.discard(str(asked.sender))
        for path in self._tree.below(ADAPTER_PATH):
            if path.count("/") == ADAPTER_PATH.count("/") + 1:
                self._tree.invalidate(path, DEVICE, "RSSI")
        return Message.new_method_return(asked)

    def _remove_device(self, asked: Message) -> Message:
        address = _address_of(asked.body[0])
        if not self._tree.has(asked.body[0]):
            return Message.new_error(asked, DOES_NOT_EXIST, "Does Not Exist")
        self.remove(address)
        self.straps[address].treat(Cure.REMOVAL)
        return Message.new_method_return(asked)

    def _connect(self, asked: Message) -> Message | None:
        address = _address_of(str(asked.path))
        strap = self.straps[address]
        if strap.refuse:
            return Message.new_error(asked, FAILED, strap.refuse)
        if not strap.in_range:
            self._connecting[address] = asked
            return None
        self._link(address)
        return Message.new_method_return(asked)

    def _link(self, address: str) -> None:
        """Connect, and show the services once they have been found."""
        self._linked.add(address)
        self._tree.change(device_path(address), DEVICE, {"Connected": Variant("b", True)})
        resolve_s = self.straps[address].resolve_s
        if resolve_s is not None:
            asyncio.get_running_loop().call_later(resolve_s, self._resolve, address)

    def _resolve(self, address: str) -> None:
        if address not in self._linked:
            return
        path = device_path(address)
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
            facts = _characteristic_facts(service_path, one)
            self._tree.add(f"{service_path}/char{one.handle:04x}", {CHARACTERISTIC: facts})

    def _disconnect(self, asked: Message) -> Message:
        self._unlink(_address_of(str(asked.path)))
        return Message.new_method_return(asked)

    def _unlink(self, address: str) -> None:
        asked = self._connecting.pop(address, None)
        if asked is not None:
            self._bus.put(Message.new_error(asked, FAILED, "br-connection-canceled"))
        if address not in self._linked:
            return
        self._linked.discard(address)
        path = device_path(address)
        down = {"Connected": Variant("b", False), "ServicesResolved": Variant("b", False)}
        self._tree.change(path, DEVICE, down)
        for each in self._tree.below(path):
            self._notifying.discard(each)
            self._tree.remove(each)

    def _read_value(self, asked: Message) -> Message:
        path = str(asked.path)
        strap = self.straps[_address_of(path)]
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
            self.power(on=bool(variant.value))
        return Message.new_method_return(asked)

    def _path_of(self, address: str, uuid: str) -> str | None:
        paths = self._tree.below(device_path(address))
        found = (
            p for p in paths if "/char" in p and self._tree.value(p, CHARACTERISTIC, "UUID") == uuid
        )
        return next(found, None)


def device_path(address: str) -> str:
    """Return the object of a peripheral."""
    return f"{ADAPTER_PATH}/dev_{address.upper().replace(':', '_')}"


def _address_of(path: str) -> str:
    return path.split("/dev_", 1)[1].split("/", 1)[0].replace("_", ":")


def _adapter_facts() -> dict[str, Variant]:
    return {
        "Address": Variant("s", ADAPTER_ADDRESS),
        "AddressType": Variant("s", "public"),
        "Alias": Variant("s", "simulated"),
        "Name": Variant("s", "simulated"),
        "Powered": Variant("b", True),
        "Discovering": Variant("b", False),
        "Roles": Variant("as", ["central", "peripheral"]),
        "UUIDs": Variant("as", []),
    }


def _device_facts(strap: Strap) -> dict[str, Variant]:
    said: dict[str, Any] = {
        "Address": strap.address,
        "AddressType": "random",
        "Alias": strap.name,
        "Name": strap.name,
    }
    facts = {name: Variant("s", text) for name, text in said.items()}
    told = {"Paired": strap.paired, "Bonded": strap.paired, "Trusted": False, "Blocked": False}
    told |= {"LegacyPairing": False, "Connected": False, "ServicesResolved": False}
    facts |= {name: Variant("b", flag) for name, flag in told.items()}
    uuids = [service.uuid for service in strap.services()]
    return facts | {
        "Adapter": Variant("o", ADAPTER_PATH),
        "UUIDs": Variant("as", uuids),
        "RSSI": Variant("n", strap.rssi_dbm),
    }


def _characteristic_facts(service_path: str, one: Characteristic) -> dict[str, Variant]:
    facts = {
        "UUID": Variant("s", one.uuid),
        "Service": Variant("o", service_path),
        "Value": Variant("ay", b""),
        "Flags": Variant("as", list(one.properties)),
        "MTU": Variant("q", _MTU),
    }
    if "notify" in one.properties:
        facts |= {"Notifying": Variant("b", False), "NotifyAcquired": Variant("b", False)}
    return facts
