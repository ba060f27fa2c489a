"""What each zone can detect just now: can, degraded or cannot, and because of what. Pure.

Restricted: it tells where a square is blind (safety 17).
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum

import msgspec

from cbrn_core.channel import ChannelKey, Grade
from cbrn_core.site_model import SiteModel
from cbrn_gateway.alarms.rules.watched import Watched


class Ability(StrEnum):
    """Whether a zone would notice a substance above its alarm level."""

    CAN = "can"
    DEGRADED = "degraded"
    CANNOT = "cannot"


class ZoneCoverage(msgspec.Struct, frozen=True):
    """One zone and one substance; `zone` is None for stations outside of all zones.

    Attributes:
        watching: channels that watch for it now, of `fitted` that could.
        because: why it is not `can`, one reason each.
    """

    zone: str | None
    agent: str
    ability: Ability
    watching: int
    fitted: int
    because: tuple[str, ...]


class Fitted(msgspec.Struct, frozen=True):
    """A channel that is there to detect something."""

    key: ChannelKey
    zone: str | None
    agent: str
    indicative: bool
    simulated: bool


def fitted_channels(watched: Iterable[Watched], hazards: frozenset[str]) -> list[Fitted]:
    """Return the channels of the hazards that a zone is watched for; stations that move are none.

    A station that is carried about does not cover any one zone.
    """
    return [
        Fitted(
            key=w.channel.key,
            zone=w.zone,
            agent=w.agent,
            indicative=w.channel.grade is Grade.INDICATIVE,
            simulated=w.channel.simulated,
        )
        for w in watched
        if w.hazard in hazards and not w.mobile
    ]


def coverage(
    model: SiteModel, fitted: Iterable[Fitted], blind: Mapping[ChannelKey, str]
) -> list[ZoneCoverage]:
    """Return every zone with every substance that the site is fitted for, sorted.

    `blind` names the channels that do not watch now, with the reason.
    """
    by_place: dict[tuple[str | None, str], list[Fitted]] = {}
    for one in fitted:
        by_place.setdefault((one.zone, one.agent), []).append(one)
    agents = sorted({agent for _, agent in by_place})
    zones: list[str | None] = [*sorted(model.zones)]
    if any(zone is None for zone, _ in by_place):
        zones.append(None)
    return [_of(zone, a, by_place.get((zone, a), []), blind) for zone in zones for a in agents]


def _of(
    zone: str | None, agent: str, fitted: list[Fitted], blind: Mapping[ChannelKey, str]
) -> ZoneCoverage:
    because = [f"{'/'.join(f.key)}: {blind[f.key]}" for f in fitted if f.key in blind]
    watching = [f for f in fitted if f.key not in blind]
    if not fitted:
        because = ["no sensor for it is fitted here"]
    if watching and all(f.indicative for f in watching):
        because.append("indicative sensors only")
    ability = Ability.CAN
    if not watching:
        ability = Ability.CANNOT
    elif because:
        ability = Ability.DEGRADED
    return ZoneCoverage(zone, agent, ability, len(watching), len(fitted), tuple(because))
