"""What the gateway sees of itself – a link, a disk, a refusal – as technical conditions."""

from collections.abc import Callable, Iterable, Mapping

from cbrn_core.alarm import Alarm, AlarmKey, AlarmKind, Basis, Condition, Reason, Scope
from cbrn_core.clock import Clock
from cbrn_core.quantities import Hazard
from cbrn_core.site_model import SiteModel
from cbrn_core.times import seconds_to_us
from cbrn_gateway.alarms.policy import Policy, Rank, priority
from cbrn_gateway.alarms.texts_types import StoreLevel
from cbrn_gateway.pipeline.pipeline import Noticed

_WORDS = {
    Reason.LINK_DOWN: "no contact",
    Reason.RADIO_DOWN: "radio does not work",
    Reason.DELIVERY_REFUSED: "delivery refused",
    Reason.STORE_FAILED: StoreLevel.FAILS.value,
    Reason.CLOCK_SET: "clock set",
    Reason.CLOCK_UNSYNCED: "clock not synchronised",
    Reason.ALERT_INCOMPLETE: "alert incomplete",
    Reason.LOOP_LATE: "gateway held up",
    Reason.PATH_UNPROVEN: "path not proven",
    Reason.CERTIFICATE_EXPIRES: "certificate ends soon",
    Reason.CONFIG_NOT_IN_FORCE: "configuration not in force",
}
_STANDING = frozenset({Reason.CONFIG_NOT_IN_FORCE})
"""Troubles that do not end by themselves."""

_MILD: Mapping[str, Rank] = {StoreLevel.JOURNAL_LARGE.value: 3}
"""Levels that are less pressing than the policy says of their reason."""

_LONGEST_DETAIL = 120
_NO_FACTS: Mapping[str, int] = {}

_Trouble = tuple[Reason, str]


class Notices:
    """Tells each trouble once when it begins and once when it has ended.

    A trouble ends `quiet_s` after it was last seen, or when `mended` says so; `put` takes
    the events.
    """

    def __init__(
        self,
        model: SiteModel,
        policy: Policy,
        clock: Clock,
        put: Callable[[Noticed], None],
        quiet_s: float = 120.0,
    ) -> None:
        self._site = model.site
        self._policy = policy
        self._clock = clock
        self._put = put
        self._quiet_us = seconds_to_us(quiet_s)
        self._seen_us: dict[_Trouble, int | None] = {}
        self._levels: dict[_Trouble, str] = {}

    def failing(
        self,
        reason: Reason,
        about: str,
        detail: str,
        level: str | None = None,
        facts: Mapping[str, int] = _NO_FACTS,
    ) -> None:
        """Say that something about `about` (mqtt, influx, series …) fails now.

        Another `level` (its own words by default) is told as a change of the same alarm; it
        sounds again where the `level_rank` of the `facts` is higher.
        """
        now_us = self._clock.now().steady_us
        trouble = (reason, about)
        level = level or _WORDS[reason]
        is_new = self._seen_us.get(trouble) is None or self._levels.get(trouble, level) != level
        self._seen_us[trouble] = now_us
        self._levels[trouble] = level
        if is_new:
            said = {"detail": detail[:_LONGEST_DETAIL]} if detail else {}
            self._tell(reason, about, now_us, {**said, **facts}, active=True)

    def mended(self, reason: Reason, about: str) -> None:
        """Say that it works; told once."""
        if self._seen_us.get((reason, about)) is not None:
            self._seen_us[reason, about] = None
            self._tell(reason, about, self._clock.now().steady_us, {}, active=False)

    def reconfigure(self, model: SiteModel, policy: Policy) -> None:
        """Speak for another configuration of the same site."""
        self._site, self._policy = model.site, policy

    def adopt(self, alarms: Iterable[Alarm]) -> None:
        """Take up what an earlier run left open, as if it had been seen just now."""
        now_us = self._clock.now().steady_us
        for alarm in alarms:
            condition = alarm.condition
            if condition.reason in _WORDS and condition.active:
                about = str(condition.facts.get("about", ""))
                self._seen_us[condition.reason, about] = now_us
                self._levels[condition.reason, about] = condition.level

    def settle(self) -> None:
        """End the troubles that have not been seen for a while."""
        before_us = self._clock.now().steady_us - self._quiet_us
        for (reason, about), seen_us in list(self._seen_us.items()):
            if reason not in _STANDING and seen_us is not None and seen_us <= before_us:
                self.mended(reason, about)

    def _tell(
        self,
        reason: Reason,
        about: str,
        now_us: int,
        facts: Mapping[str, str | int],
        *,
        active: bool,
    ) -> None:
        level = self._levels.get((reason, about), _WORDS[reason])
        rank = _MILD.get(level) or getattr(self._policy.technical, reason.value)
        condition = Condition(
            key=AlarmKey(f"{self._site.id}/{about}", AlarmKind.TECHNICAL, reason.value),
            active=active,
            at_us=now_us,
            observed_us=now_us,
            reason=reason,
            priority=priority(rank),
            hazard=Hazard.TECHNICAL,
            level=level,
            basis=Basis.MOMENTARY,
            scope=Scope.SITE,
            clears_when="it works again",
            facts={"about": about, **facts},
        )
        self._put(Noticed(now_us, condition))
