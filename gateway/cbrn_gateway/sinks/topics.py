"""Topic names (contracts §5): built from checked ids only, so that no id can forge a level."""

import msgspec

from cbrn_core.errors import InputError
from cbrn_core.place import is_id

ROOT = "cbrn/v1"
_LONGEST_RESPONSE_TOPIC = 256
_NOT_IN_A_TOPIC = frozenset("+#\x00")


class Topics(msgspec.Struct, frozen=True, kw_only=True):
    """All topics of one gateway at one site.

    Raises:
        InputError: from the constructor and every method, when a part is not an id.
    """

    city: str
    site: str
    gateway: str

    def __post_init__(self) -> None:
        for part in (self.city, self.site, self.gateway):
            _checked(part)

    @property
    def base(self) -> str:
        """Return the common beginning of the site's topics."""
        return f"{ROOT}/{self.city}/{self.site}"

    @property
    def status(self) -> str:
        """Return the retained status topic of the gateway, also that of its will."""
        return f"{ROOT}/{self.city}/gateway/{self.gateway}/status"

    @property
    def log(self) -> str:
        """Return the topic of the journal, entry by entry."""
        return f"{self.base}/log/{self.gateway}"

    @property
    def command(self) -> str:
        """Return the topic on which operators ask."""
        return f"{self.base}/command"

    @property
    def external_filter(self) -> str:
        """Return the subscription for all tools of others."""
        return f"{self.base}/external/+"

    @property
    def coverage(self) -> str:
        """Return the restricted topic that says what cannot be detected."""
        return f"{self.base}/coverage"

    def alert(self, alarm_id: str, *, exercise: bool = False) -> str:
        """Return the topic of one alarm."""
        return f"{self._part(exercise)}/alert/{_checked(alarm_id)}"

    def alert_cap(self, alarm_id: str, *, exercise: bool = False) -> str:
        """Return the topic of the same alarm as CAP."""
        return f"{self.alert(alarm_id, exercise=exercise)}/cap"

    def reading(self, station: str, *, exercise: bool = False) -> str:
        """Return the topic of a station's live readings."""
        return f"{self._part(exercise)}/reading/{_checked(station)}"

    def estimate(self, station: str, channel: str, *, exercise: bool = False) -> str:
        """Return the topic of a channel's live estimates."""
        return f"{self._part(exercise)}/estimate/{_checked(station)}/{_checked(channel)}"

    def zone_estimate(self, zone: str, quantity: str, *, exercise: bool = False) -> str:
        """Return the topic of a zone's estimate of one quantity."""
        return f"{self._part(exercise)}/zone/{_checked(zone)}/{_checked(quantity)}"

    def wearer(self, pseudonym: str) -> str:
        """Return the topic of a wearer's colour."""
        return f"{self.base}/wearer/{_checked(pseudonym)}"

    def medic(self, pseudonym: str) -> str:
        """Return the topic of a wearer's detail, for the medic role only."""
        return f"{self.base}/medic/{_checked(pseudonym)}"

    def canary(self, soc: str) -> str:
        """Return the topic of the path proof to one control room."""
        return f"{self.base}/canary/{_checked(soc)}"

    def reply(self, client: str) -> str:
        """Return where answers to a client without response topics go."""
        return f"{self.command}/reply/{_checked(client)}"

    def external_tool(self, topic: str) -> str | None:
        """Return the tool of an external topic, None where it is not one."""
        prefix = f"{self.base}/external/"
        tool = topic.removeprefix(prefix)
        return tool if topic.startswith(prefix) and is_id(tool) else None

    def may_answer_on(self, topic: str) -> bool:
        """Return whether an answer may go to this response topic.

        The asker chooses it, the gateway's rights carry it: inside our own tree only the
        reply branch is allowed, or an operator could have alerts forged by the gateway.
        """
        if not topic or len(topic) > _LONGEST_RESPONSE_TOPIC or topic.startswith(("$", "/")):
            return False
        if any(letter in _NOT_IN_A_TOPIC for letter in topic):
            return False
        if topic.split("/", maxsplit=1)[0] != ROOT.split("/", maxsplit=1)[0]:
            return True
        client = topic.removeprefix(f"{self.command}/reply/")
        return client != topic and all(is_id(level) for level in client.split("/"))

    def _part(self, exercise: bool) -> str:
        return f"{self.base}/exercise" if exercise else self.base


def _checked(text: str) -> str:
    if not is_id(text):
        raise InputError(f"{text[:80]!r} cannot be a level of a topic")
    return text
