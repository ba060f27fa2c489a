"""GQ GMC replies by the request that they answer: fields by name, and readings.

Documents as in `codec/gmc.py`. A reply does not say what it answers; the request does.
"""

from collections.abc import Callable, Mapping

from cbrn_core.errors import FieldError, LengthError
from cbrn_core.reading import Quality
from cbrn_core.units import Unit
from cbrn_drivers.codec import gmc
from cbrn_drivers.codec.gmc import Dialect
from cbrn_drivers.codec.text import integer
from cbrn_drivers.decoded import DecodedReading

_LOW_VOLTAGE_V = 1.0
"""Below this no instrument runs: the reply is not a voltage."""


def decode_reply(reply: bytes, options: Mapping[str, str], dialect: Dialect) -> dict[str, object]:
    """Return the fields of a reply, or of a command where no request is given; raises FrameError.

    Options: `request`, and `cpm` with `<GETCFG>>`.
    """
    request = options.get("request")
    if request is None:
        return _guessed(reply, dialect)
    name = request.strip().strip("<>").upper()
    decode = _BY_REQUEST.get(name)
    if decode is None:
        reason = f"request {request[:32]!r} has no reply; there are {', '.join(_BY_REQUEST)}"
        raise FieldError(reason)
    return decode(reply, dialect, options)


def reply_readings(fields: Mapping[str, object]) -> list[DecodedReading]:
    """Return the readings that the fields of a reply hold."""
    readings: list[DecodedReading] = []
    cps, cpm, volts = fields.get("cps"), fields.get("cpm"), fields.get("battery_V")
    if isinstance(cps, int | float):
        readings.append(_rate(float(cps), 1.0, float(cps)))
    elif isinstance(cpm, int | float) and "calibration" not in fields:
        readings.append(_rate(cpm / 60.0, 60.0, float(cpm)))
    if isinstance(volts, float):
        quality = Quality.GOOD if volts >= _LOW_VOLTAGE_V else Quality.BAD
        readings.append(
            DecodedReading(channel="battery", value=volts, unit=Unit.V, quality=quality)
        )
    return readings


def _rate(rate_cps: float, livetime_s: float, raw: float) -> DecodedReading:
    return DecodedReading(
        channel="gamma", value=rate_cps, unit=Unit.CPS, livetime_s=livetime_s, raw=raw
    )


def _guessed(reply: bytes, dialect: Dialect) -> dict[str, object]:
    if reply.startswith(b"<") and reply.endswith(b">>"):
        return gmc.decode_host_command(reply)
    if reply.startswith(b"GMC"):
        return _version(reply, dialect, {})
    if len(reply) != gmc.count_bytes(dialect):
        raise LengthError(f"{len(reply)} bytes could answer anything: say which `request`")
    return _cpm(reply, dialect, {})


def _version(reply: bytes, _dialect: Dialect, _options: Mapping[str, str]) -> dict[str, object]:
    said = gmc.decode_version(reply)
    return {"version": said.version, "model": said.model, "firmware": said.firmware}


def _cpm(reply: bytes, dialect: Dialect, _options: Mapping[str, str]) -> dict[str, object]:
    return {"cpm": gmc.decode_count(reply, dialect)}


def _cps(reply: bytes, dialect: Dialect, _options: Mapping[str, str]) -> dict[str, object]:
    return {"cps": gmc.decode_count(reply, dialect)}


def _max_cps(reply: bytes, dialect: Dialect, _options: Mapping[str, str]) -> dict[str, object]:
    return {"max_cps": gmc.decode_count(reply, dialect)}


def _high_tube(reply: bytes, dialect: Dialect, _options: Mapping[str, str]) -> dict[str, object]:
    return {"cpm_high_tube": gmc.decode_count(reply, dialect)}


def _low_tube(reply: bytes, dialect: Dialect, _options: Mapping[str, str]) -> dict[str, object]:
    return {"cpm_low_tube": gmc.decode_count(reply, dialect)}


def _heartbeat(reply: bytes, dialect: Dialect, _options: Mapping[str, str]) -> dict[str, object]:
    return {"cps": gmc.decode_heartbeat(reply, dialect)}


def _voltage(reply: bytes, dialect: Dialect, _options: Mapping[str, str]) -> dict[str, object]:
    expected = 1 if dialect is Dialect.RFC1201 else 5
    if len(reply) != expected:
        raise LengthError(f"{len(reply)} bytes, not {expected}")
    return {"battery_V": gmc.decode_voltage(reply)}


def _config(reply: bytes, dialect: Dialect, options: Mapping[str, str]) -> dict[str, object]:
    calibration = gmc.decode_calibration(reply, dialect)
    fields: dict[str, object] = {
        "calibration": [[cpm, round(usv_h, 6)] for cpm, usv_h in calibration.points]
    }
    if "cpm" in options:
        cpm = integer(options["cpm"], "cpm")
        dose_rate = round(calibration.dose_rate_usv_h(cpm), 6)
        fields |= {"cpm": cpm, "dose_rate_uSv_h": dose_rate}
    return fields


def _datetime(reply: bytes, _dialect: Dialect, _options: Mapping[str, str]) -> dict[str, object]:
    return {"datetime": gmc.decode_datetime(reply).isoformat()}


def _gyro(reply: bytes, _dialect: Dialect, _options: Mapping[str, str]) -> dict[str, object]:
    return {"xyz": list(gmc.decode_gyro(reply)), "tail": "aa"}


def _temperature(reply: bytes, _dialect: Dialect, _options: Mapping[str, str]) -> dict[str, object]:
    return {"temp_C": gmc.decode_temperature(reply), "tail": "aa"}


def _serial(reply: bytes, _dialect: Dialect, _options: Mapping[str, str]) -> dict[str, object]:
    return {"serial": gmc.decode_serial(reply)}


_BY_REQUEST: dict[str, Callable[[bytes, Dialect, Mapping[str, str]], dict[str, object]]] = {
    "GETVER": _version,
    "GETCPM": _cpm,
    "GETCPMH": _high_tube,
    "GETCPML": _low_tube,
    "GETCPS": _cps,
    "GETMAXCPS": _max_cps,
    "HEARTBEAT1": _heartbeat,
    "GETVOLT": _voltage,
    "GETCFG": _config,
    "GETDATETIME": _datetime,
    "GETGYRO": _gyro,
    "GETTEMP": _temperature,
    "GETSERIAL": _serial,
}
