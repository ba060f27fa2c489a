"""What an alarm is about, by name: a substance, a class, or a kind of radiation."""

from cbrn_core.agents import AGENTS
from cbrn_core.alarm import Condition
from cbrn_core.channel import Channel
from cbrn_core.quantities import Hazard, Quantity
from cbrn_core.reading import DetectionClass
from cbrn_gateway.alarms.texts_types import Catalogue

_LISTED_GASES = 3


def substance(
    condition: Condition, channel: Channel | None, words: Catalogue, detection_class: str | None
) -> str:
    """Return the plain name of what was measured or detected."""
    for name in (condition.agent, condition.key.agent, detection_class):
        if name in AGENTS:
            return AGENTS[name].name(words.language)
        if name in set(DetectionClass):
            return words.classes[DetectionClass(name)]
    quantity = condition.agent or ""
    if quantity not in set(Quantity) and channel is not None:
        quantity = channel.quantity.value
    if quantity in AGENTS:
        return AGENTS[quantity].name(words.language)
    fallback = "gamma" if condition.hazard == Hazard.RADIOLOGICAL else ""
    prefixes = (prefix for prefix in words.quantities if quantity.startswith(prefix))
    return words.quantities[next(prefixes, "") or fallback]


def other_gases(channel: Channel | None, words: Catalogue) -> str:
    """Return the gases that the channel's sensor answers to beside its own, strongest first."""
    if channel is None:
        return ""
    strongest = sorted(channel.also_answers_to.items(), key=lambda item: -abs(item[1]))
    return ", ".join(
        AGENTS[gas].name(words.language) if gas in AGENTS else gas
        for gas, _ in strongest[:_LISTED_GASES]
    )
