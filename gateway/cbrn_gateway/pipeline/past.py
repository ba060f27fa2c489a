"""Going on where an earlier run ended: memory of the filters and rules, and what they said since.

The alarm machine does not come from this memory: the journal is the only truth about
alarms. Readings stored after the memory was made are heard again by filters and rules;
of the conditions they speak then, only those count that came after the last journalled
version of their alarm.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from cbrn_core.alarm import Alarm, AlarmKey, Condition
from cbrn_core.errors import InputError, ShapeError
from cbrn_gateway.alarms.rulebook import RuleBook, RulesMemory
from cbrn_gateway.pipeline.freshness import Freshness
from cbrn_gateway.pipeline.fusion_stage import FusionStage
from cbrn_gateway.pipeline.intake import Intake
from cbrn_gateway.pipeline.timeline import Timeline

SCHEMA = "cbrn-pipeline/4"

_Place = tuple[AlarmKey, str]


class _Rhythm(msgspec.Struct, frozen=True, array_like=True):
    intervals_us: list[int]
    timeline: Timeline


class _Memory(msgspec.Struct, frozen=True):
    schema: str
    bank: bytes
    health: bytes
    backgrounds: bytes
    shown: dict[str, float]
    rhythms: dict[str, _Rhythm]
    rules: RulesMemory


_DECODER = msgspec.msgpack.Decoder(_Memory)


def memory_of(intake: Intake, fusion: FusionStage, rules: RuleBook) -> bytes:
    """Return all that filters, intake and rules know."""
    rhythms = {
        "/".join(channel.key): _Rhythm(freshness.intervals_us, freshness.timeline)
        for channel, freshness in zip(intake.channels, intake.freshness, strict=True)
    }
    return msgspec.msgpack.encode(
        _Memory(
            SCHEMA,
            fusion.bank.snapshot(),
            fusion.health.snapshot(),
            fusion.backgrounds.snapshot(),
            fusion.last_shown(),
            rhythms,
            rules.memory(),
        )
    )


def recall_into(
    state: bytes, intake: Intake, fusion: FusionStage, rules: RuleBook, *, same_config: bool
) -> int:
    """Take over a memory by channel; return how many filters were recognised.

    Rules take theirs only under the same configuration: their levels may be others now.

    Raises:
        InputError: not such a memory.
    """
    try:
        memory = _DECODER.decode(state)
        if memory.schema != SCHEMA:
            raise InputError(f"a memory of schema {memory.schema!r} cannot be taken over")
        taken = fusion.bank.restore(memory.bank)
        fusion.health.restore(memory.health)
        fusion.backgrounds.restore(memory.backgrounds)
    except (msgspec.DecodeError, ShapeError) as error:
        raise InputError(f"not the memory of a pipeline: {error}") from None
    fusion.recall_shown(memory.shown)
    _recall_rhythms(memory.rhythms, intake)
    if same_config:
        rules.recall(memory.rules)
    return taken


def unheard(
    heard: Iterable[tuple[int, Condition]], journalled: Iterable[Alarm]
) -> list[tuple[int, Condition]]:
    """Return the conditions spoken after the last journalled version of their alarm."""
    until_us: dict[_Place, int] = {}
    for alarm in journalled:
        place = (alarm.condition.key, alarm.condition.purpose)
        until_us[place] = max(alarm.changed_us, until_us.get(place, 0))
    return [
        (at_us, condition)
        for at_us, condition in heard
        if at_us > until_us.get((condition.key, condition.purpose), -1)
    ]


def forget_arrivals(freshness: Sequence[Freshness], stale_slots: Iterable[int]) -> None:
    """Let every channel have its first report before it; what was stale stays so until then."""
    for channel in freshness:
        channel.last_received_us = None
        channel.stale = False
    for slot in stale_slots:
        freshness[slot].stale = True


def _recall_rhythms(rhythms: Mapping[str, _Rhythm], intake: Intake) -> None:
    for channel, freshness in zip(intake.channels, intake.freshness, strict=True):
        rhythm = rhythms.get("/".join(channel.key))
        if rhythm is not None:
            freshness.intervals_us = list(rhythm.intervals_us)
            freshness.timeline = rhythm.timeline
