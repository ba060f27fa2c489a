"""Which broad-band instruments cannot see an agent: named beside the alarm, never held against it.

Photoionisation: a 10.6 eV lamp ionises nothing with a higher ionisation energy.
Energies: NIOSH Pocket Guide to Chemical Hazards, column IP (recalled); phosgene, chloropicrin
and methyl isocyanate lie above the lamp, too.
Pellistor: answers to combustible gas in percent of the lower explosive limit, never to
toxic gas at parts per million (IEC 60079-29-2).
"""

from collections.abc import Iterable

from cbrn_core.channel import Channel, Technology
from cbrn_core.quantities import Quantity

LAMP_EV = 10.6
_ABOVE_THE_LAMP_EV = {
    "cl2": 11.48,
    "hcn": 13.60,
    "co": 14.01,
    "so2": 12.30,
    "hf": 15.98,
    "hcl": 12.74,
    "cocl2": 11.55,
    "hcho": 10.88,
    "cncl": 12.49,
    "mic": 10.67,
    "o3": 12.52,
    "co2": 13.77,
}
_NOT_COMBUSTIBLE_AT_TOXIC_LEVELS = "answers to percent of the explosive limit only"


def blind_to(agent: str, channels: Iterable[Channel]) -> tuple[str, ...]:
    """Return a line for each broad-band channel that cannot see `agent`, in order of channels."""
    lines = []
    for channel in channels:
        reason = _reason(agent, channel)
        if reason is not None:
            lines.append(f"{channel.station}/{channel.id}: {reason}")
    return tuple(lines)


def _reason(agent: str, channel: Channel) -> str | None:
    if channel.quantity == agent:
        return None
    is_pid = channel.technology is Technology.PHOTOIONISATION
    if is_pid and agent in _ABOVE_THE_LAMP_EV:
        energy_ev = _ABOVE_THE_LAMP_EV[agent]
        return f"photoionisation, {energy_ev:g} eV is above the {LAMP_EV:g} eV of its lamp"
    if channel.quantity is Quantity.LEL and channel.technology is Technology.CATALYTIC:
        return f"catalytic, {_NOT_COMBUSTIBLE_AT_TOXIC_LEVELS}"
    return None
