"""What BlueZ's objects are called and which properties they have.

Sources: BlueZ doc/org.bluez.Adapter.rst, org.bluez.Device.rst, org.bluez.GattCharacteristic.rst.
"""

from typing import Any

from dbus_fast import Variant

from cbrn_sim.ble.strap import Characteristic, Strap

_ROOT = "/org/bluez"
_MTU = 247


def adapter_path(name: str) -> str:
    """Return the object of an adapter."""
    return f"{_ROOT}/{name}"


def device_path(adapter: str, address: str) -> str:
    """Return the object of a peripheral as one adapter knows it."""
    return f"{adapter_path(adapter)}/dev_{address.upper().replace(':', '_')}"


def adapter_of(path: str) -> str:
    """Return the name of the adapter that an object belongs to, "" where it is none's."""
    return path.removeprefix(f"{_ROOT}/").split("/", 1)[0] if path.startswith(f"{_ROOT}/") else ""


def address_of(path: str) -> str:
    """Return the address of the peripheral that an object belongs to."""
    return path.split("/dev_", 1)[1].split("/", 1)[0].replace("_", ":")


def adapter_address(name: str) -> str:
    """Return an adapter's own address: `00:11:22:33:44:55` is hci0, hci1 ends in 56."""
    return f"00:11:22:33:44:{0x55 + int(name.removeprefix('hci')):02X}"


def adapter_facts(name: str) -> dict[str, Variant]:
    """Return the properties of an adapter that has just been plugged in, switched on."""
    return {
        "Address": Variant("s", adapter_address(name)),
        "AddressType": Variant("s", "public"),
        "Alias": Variant("s", "simulated"),
        "Name": Variant("s", "simulated"),
        "Powered": Variant("b", True),
        "Discovering": Variant("b", False),
        "Roles": Variant("as", ["central", "peripheral"]),
        "UUIDs": Variant("as", []),
    }


def device_facts(strap: Strap, adapter: str) -> dict[str, Variant]:
    """Return the properties of a peripheral that has just been heard."""
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
        "Adapter": Variant("o", adapter_path(adapter)),
        "UUIDs": Variant("as", uuids),
        "RSSI": Variant("n", strap.rssi_dbm),
    }


def characteristic_facts(service_path: str, one: Characteristic) -> dict[str, Variant]:
    """Return the properties of a characteristic that has just been found."""
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
