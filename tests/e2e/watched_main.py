"""`cbrn-gateway` with an eye on its loop: what blocks it is written to a file at once."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from samples.blocking_calls import BlockingCalls

from cbrn_gateway.cli import main


def write_down(text: str) -> None:
    with Path(os.environ["CBRN_BLOCKING_CALLS"]).open("a") as file:
        file.write(text)


if __name__ == "__main__":
    with BlockingCalls(write_down):
        main()
