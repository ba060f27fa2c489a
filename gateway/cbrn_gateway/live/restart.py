"""Picking up where an earlier run ended: the machine from the journal, the rules with it."""

import msgspec

from cbrn_core.alarm import Alarm
from cbrn_core.errors import InputError
from cbrn_gateway.alarms.render import alarm_from_alert
from cbrn_gateway.pipeline.pipeline import Pipeline
from cbrn_gateway.store.journal import Journal


async def adopt_open_alarms(journal: Journal, pipeline: Pipeline) -> int:
    """Rebuild the alarm machine from the journal; return how many alarms are open."""
    alarms: list[Alarm] = []
    for entry in await journal.open_alerts():
        try:
            alarms.append(alarm_from_alert(msgspec.json.decode(entry.body)))
        except (InputError, msgspec.DecodeError):
            continue
    opened = pipeline.machine.rebuild(alarms)
    pipeline.rules.adopt(alarms)
    return opened
