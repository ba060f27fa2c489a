"""D-Bus objects with properties, served as org.freedesktop.DBus.ObjectManager asks.

Source: D-Bus specification, standard interfaces.
"""

from typing import Any

from dbus_fast import Message, MessageType, Variant

from cbrn_sim.ble.paced_bus import PacedBus

OBJECT_MANAGER = "org.freedesktop.DBus.ObjectManager"
PROPERTIES = "org.freedesktop.DBus.Properties"
UNKNOWN_OBJECT = "org.freedesktop.DBus.Error.UnknownObject"
UNKNOWN_METHOD = "org.freedesktop.DBus.Error.UnknownMethod"

Properties = dict[str, Variant]


class ObjectTree:
    """Every object of one service; emits what it is told of them."""

    def __init__(self, bus: PacedBus) -> None:
        self._bus = bus
        self._objects: dict[str, dict[str, Properties]] = {}

    def has(self, path: str) -> bool:
        """Return whether there is such an object."""
        return path in self._objects

    def below(self, path: str) -> list[str]:
        """Return the objects under a path, deepest first."""
        return sorted((p for p in self._objects if p.startswith(f"{path}/")), reverse=True)

    def value(self, path: str, interface: str, name: str) -> Any:  # noqa: ANN401 - D-Bus is untyped
        """Return the value of a property."""
        return self._objects[path][interface][name].value

    def add(self, path: str, interfaces: dict[str, Properties]) -> None:
        """Add an object and say so."""
        self._objects[path] = interfaces
        self._emit("/", OBJECT_MANAGER, "InterfacesAdded", "oa{sa{sv}}", [path, interfaces])

    def remove(self, path: str) -> None:
        """Remove an object and say so."""
        interfaces = list(self._objects.pop(path))
        self._emit("/", OBJECT_MANAGER, "InterfacesRemoved", "oas", [path, interfaces])

    def change(self, path: str, interface: str, changed: Properties) -> None:
        """Change properties and say so."""
        self._objects[path][interface].update(changed)
        self._emit(path, PROPERTIES, "PropertiesChanged", "sa{sv}as", [interface, changed, []])

    def invalidate(self, path: str, interface: str, name: str) -> None:
        """Take a property away and say so."""
        if self._objects[path][interface].pop(name, None) is not None:
            self._emit(path, PROPERTIES, "PropertiesChanged", "sa{sv}as", [interface, {}, [name]])

    def answer(self, asked: Message) -> Message | None:
        """Return the reply to a standard question, None where it is another."""
        path = str(asked.path)
        if asked.interface == OBJECT_MANAGER and asked.member == "GetManagedObjects":
            return Message.new_method_return(asked, "a{oa{sa{sv}}}", [self._objects])
        if path not in self._objects:
            return Message.new_error(asked, UNKNOWN_OBJECT, f"no object {path}")
        if asked.interface == PROPERTIES and asked.member == "Get":
            interface, name = asked.body
            return Message.new_method_return(asked, "v", [self._objects[path][interface][name]])
        return None

    def _emit(self, path: str, interface: str, member: str, signature: str, body: Any) -> None:  # noqa: ANN401
        signal = Message(
            message_type=MessageType.SIGNAL,
            path=path,
            interface=interface,
            member=member,
            signature=signature,
            body=body,
        )
        self._bus.put(signal)
