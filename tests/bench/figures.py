"""Figures of a bench: a table for the eye, JSON and Markdown for `docs/figures`.

Every bench is one command; `--save DIR` writes `DIR/<bench>.json` and `DIR/bench.md` anew
from all of them. A figure with a bar is judged, one without stands beside it: the peer or
the physical limit, measured in the same run.
"""

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[2]


class Figure(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One measured number; `bar` is its greatest allowed value, or least where `at_least`."""

    name: str
    value: float
    unit: str
    bar: float | None = None
    at_least: bool = False
    note: str = ""

    @property
    def is_met(self) -> bool:
        if self.bar is None:
            return True
        return self.value >= self.bar if self.at_least else self.value <= self.bar


class Bench(msgspec.Struct, kw_only=True):
    """All figures of one command, with what is needed to judge and repeat them."""

    name: str
    about: str
    command: str
    commit: str
    machine: str
    date: str
    figures: list[Figure]


def run(name: str, about: str, measure: Callable[[argparse.Namespace], list[Figure]]) -> int:
    """Measure, print, save; return 1 where a bar is missed."""
    return run_with(parser(about), name, about, measure)


def parser(about: str) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=about)
    made.add_argument("--json", action="store_true", help="print JSON instead of the table")
    made.add_argument("--save", type=Path, metavar="DIR", help="write JSON and bench.md there")
    return made


def run_with(
    options: argparse.ArgumentParser,
    name: str,
    about: str,
    measure: Callable[[argparse.Namespace], list[Figure]],
) -> int:
    arguments = options.parse_args()
    figures = measure(arguments)
    bench = Bench(
        name=name,
        about=about.strip(),
        command=f"python tests/bench/{Path(sys.argv[0]).name}",
        commit=commit(),
        machine=machine(),
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        figures=figures,
    )
    print(json.dumps(msgspec.to_builtins(bench)) if arguments.json else table(bench))
    if arguments.save is not None:
        save(bench, arguments.save)
    return 0 if all(figure.is_met for figure in figures) else 1


def table(bench: Bench) -> str:
    """Return the figures as aligned text."""
    rows = [cells(figure) for figure in bench.figures]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [f"{bench.name} · {bench.commit} · {bench.machine}"]
    for name, value, bar, note in rows:
        lines.append(
            f"  {name:<{widths[0]}}  {value:>{widths[1]}}  {bar:<{widths[2]}}  {note}".rstrip()
        )
    return "\n".join(lines)


def cells(figure: Figure) -> tuple[str, str, str, str]:
    bar = ""
    if figure.bar is not None:
        sign = "≥" if figure.at_least else "≤"
        verdict = "met" if figure.is_met else "MISSED"
        bar = f"{sign} {number(figure.bar)} {verdict}"
    return figure.name, f"{number(figure.value)} {figure.unit}", bar, figure.note


def number(value: float) -> str:
    """Return three digits, thousands set apart."""
    if abs(value) >= 999.5:
        return f"{float(f'{value:.3g}'):,.0f}".replace(",", "\u202f")
    return f"{value:.3g}"


def save(bench: Bench, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(msgspec.to_builtins(bench), indent=1, ensure_ascii=False)
    (folder / f"bench_{bench.name}.json").write_text(text + "\n")
    saved = sorted(folder.glob("bench_*.json"))
    benches = [msgspec.json.decode(path.read_bytes(), type=Bench) for path in saved]
    (folder / "bench.md").write_text(markdown(benches))


def markdown(benches: Sequence[Bench]) -> str:
    """Return the page of all saved benches."""
    lines = [
        "# Speed and memory",
        "Each table is the output of the command above it with `--save docs/figures`; `make bench`",
        "prints them all. A row marked limit is the peer or the physical limit, measured in the",
        "same run.",
    ]
    for bench in benches:
        lines += [
            "",
            f"## {bench.name}",
            bench.about,
            "",
            f"`{bench.command}` · commit {bench.commit} · {bench.date} · {bench.machine}",
            "",
            "| measured | figure | bar | |",
            "|---|---:|---|---|",
            *(f"| {' | '.join(cells(figure))} |" for figure in bench.figures),
        ]
    return "\n".join(lines) + "\n"


def commit() -> str:
    """Return the commit, with + where the tree differs from it."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--abbrev=10", "--exclude=*"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return described.stdout.strip()


def machine() -> str:
    """Return processor, cores, system and Python of this machine."""
    models = {
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    }
    cores = len(os.sched_getaffinity(0))
    processor = ", ".join(sorted(models)) or platform.machine()
    system = f"Linux {platform.release()}, Python {platform.python_version()}"
    return f"{processor}, {cores} cores, {system}"


def best(costs: Sequence[float], share: float = 0.1) -> float:
    """Return the cost that the fastest `share` of rounds stays within.

    Other load on the machine only ever adds to a round; every round holds enough work to
    have its fair part of the rare and dear cases.
    """
    return sorted(costs)[int(share * (len(costs) - 1))]
