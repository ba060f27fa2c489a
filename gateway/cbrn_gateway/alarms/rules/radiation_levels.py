"""The levels of a radiation channel, from the policy and the site's jurisdiction."""

import msgspec

from cbrn_core.alarm import Basis, Priority, Reason
from cbrn_gateway.alarms.policy import Policy, priority
from cbrn_gateway.alarms.rules.levels import ALARM_RANK, NOTICE_RANK, Level

_BOUNDARY_RANK, _HOT_RANK, _TURN_BACK_RANK = 30, 40, 50


class RadiationLevels(msgspec.Struct, frozen=True, kw_only=True):
    """Levels in µSv/h; `absolute` hold without any background.

    `elevated` is the specific one of a fixed station, `mobile` and `indicative` the same
    level as an evolving alarm.
    """

    absolute: tuple[Level, ...]
    elevated: Level
    mobile: Level
    indicative: Level
    investigate: Level
    altitude: Level


def radiation_levels(policy: Policy, *, dosed: bool) -> RadiationLevels:
    """Return the levels; `dosed` where the channel's counts have a dose factor."""
    rules = policy.radiation
    profile = policy.jurisdiction
    elevated = _elevated(policy, dosed=dosed)
    mobile, indicative = rules.mobile_elevated_priority, policy.indicative.priority
    days = rules.investigate_days_per_false
    boundary = _level(
        policy,
        _BOUNDARY_RANK,
        Reason.RADIATION_BOUNDARY,
        "danger-area boundary",
        profile.boundary_usv_h,
    )
    return RadiationLevels(
        absolute=(
            msgspec.structs.replace(boundary, facts={"limit_source": profile.source}),
            _level(policy, _HOT_RANK, Reason.RADIATION_HOT, "hot zone limit", rules.hot_usv_h),
            _level(
                policy,
                _TURN_BACK_RANK,
                Reason.RADIATION_TURN_BACK,
                "turn-back limit",
                rules.turn_back_usv_h,
            ),
        ),
        elevated=elevated,
        mobile=msgspec.structs.replace(elevated, priority=priority(mobile)),
        indicative=msgspec.structs.replace(elevated, priority=priority(indicative)),
        investigate=_statistical(
            policy,
            NOTICE_RANK,
            Reason.RADIATION_INVESTIGATE,
            f"statistical limit (1 false in {days:g} days and site)",
            priority(rules.investigate_priority),
        ),
        altitude=_statistical(
            policy,
            0,
            Reason.EXPLAINED_BY_ALTITUDE,
            "explained by altitude",
            priority(policy.technical.altitude),
        ),
    )


def _elevated(policy: Policy, *, dosed: bool) -> Level:
    rules = policy.radiation
    factor = f"{rules.elevated_factor:g} × this station's background"
    absolute = f"elevated level ({rules.elevated_usv_h:g} µSv/h and {factor})"
    words = absolute if dosed else f"relative step ({factor})"
    level = _level(policy, ALARM_RANK, Reason.RADIATION_ELEVATED, words, rules.elevated_usv_h)
    return msgspec.structs.replace(level, hold_s=rules.elevated_hold_s)


def _level(policy: Policy, rank: int, reason: Reason, words: str, setpoint_usv_h: float) -> Level:
    return Level(
        rank=rank,
        reason=reason,
        words=words,
        setpoint=setpoint_usv_h,
        priority=Priority.P1,
        samples=policy.radiation.samples,
        off_delay_s=policy.radiation.off_delay_s,
    )


def _statistical(policy: Policy, rank: int, reason: Reason, words: str, urgency: Priority) -> Level:
    return Level(
        rank=rank,
        reason=reason,
        words=words,
        setpoint=0.0,
        priority=urgency,
        samples=1,
        off_delay_s=policy.radiation.off_delay_s,
        basis=Basis.STATISTICS,
    )
