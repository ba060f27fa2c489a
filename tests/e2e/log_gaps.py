"""A control room that finds gaps in the log topic and asks the gateway for what is missing."""

import json
import subprocess
from collections.abc import Iterable, Iterator
from itertools import pairwise

from e2e.evidence import wait_until
from e2e.servers import CITY, SITE, SOC_USER, Mosquitto, Subscriber, program

REPLY = f"cbrn/v1/{CITY}/{SITE}/command/reply/{SOC_USER}"
Place = tuple[int, int]
"""Epoch and seq of a journal entry."""


def place_of(entry: dict) -> Place:
    where = entry.get("properties", entry)
    return where["epoch"], where["seq"]


def log_entries(soc: Subscriber) -> list[Place]:
    """Return the places of the entries heard on the log topic."""
    heard = [m for m in soc.messages() if "/log/" in m["topic"] and m.get("payload")]
    return [place_of(json.loads(m["payload"])) for m in heard]


def pages(soc: Subscriber) -> list[dict]:
    bodies = [json.loads(m["payload"]) for m in soc.messages() if m["topic"] == REPLY]
    return [body for body in bodies if body.get("schema") == "cbrn-log-page/1"]


def gaps(places: Iterable[Place]) -> Iterator[tuple[int, int, int]]:
    """Yield epoch, first and last number of what is missing between what is there."""
    for (epoch, seq), (next_epoch, next_seq) in pairwise(sorted(set(places))):
        if epoch == next_epoch and next_seq > seq + 1:
            yield epoch, seq + 1, next_seq - 1


def ask_for_what_is_missing(soc: Subscriber, broker: Mosquitto) -> list[dict]:
    """Ask for every gap of the log, wait for the answers, and return the entries that came."""
    missing = list(gaps(log_entries(soc)))
    for asked, (epoch, first, last) in enumerate(missing, 1):
        _ask(broker, f"gap-{asked}", seq_from=first, seq_to=last, epoch=epoch)
        wait_until(
            lambda asked=asked: sum(page["is_last"] for page in pages(soc)) >= asked,
            f"the entries {first} to {last}",
        )
    return [row for page in pages(soc) for row in page["rows"]]


def _ask(broker: Mosquitto, name: str, **wish: int) -> None:
    command = {"schema": "cbrn-command/1", "verb": "catch_up", "actor": "K. Nordmann"} | wish
    where = ("-h", "127.0.0.1", "-p", str(broker.port), "-q", "1")
    who = ("-u", SOC_USER, "-P", broker.password(SOC_USER), "-V", "mqttv5")
    answer = ("-D", "publish", "response-topic", REPLY)
    answer += ("-D", "publish", "correlation-data", name)
    topic = ("-t", f"cbrn/v1/{CITY}/{SITE}/command", "-m", json.dumps(command))
    subprocess.run(
        [program("mosquitto_pub", "mosquitto-clients"), *where, *who, *answer, *topic], check=True
    )
