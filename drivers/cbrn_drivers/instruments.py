"""The table of instruments in `drivers/README.md`, made from the profiles.

`python -m cbrn_drivers.instruments` writes it anew.
"""

from pathlib import Path

from cbrn_drivers.catalogue import load_profile, profile_names
from cbrn_drivers.profile import Profile

README = Path(__file__).parents[1] / "README.md"
BEGIN = "<!-- instruments: begin -->"
END = "<!-- instruments: end -->"

_HEAD = (
    "| profile | instrument | driver | channels | grade | protocol known | document |\n"
    "|---|---|---|---|---|---|---|\n"
)


def instruments_table() -> str:
    """Return the table of all profiles as Markdown."""
    return _HEAD + "".join(_row(load_profile(name)) for name in profile_names())


def with_table(text: str) -> str:
    """Return a README with the table between its marks.

    Raises:
        ValueError: the marks are missing.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"no place for the table between {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{instruments_table()}{END}{after}"


def _row(profile: Profile) -> str:
    channels = ", ".join(f"{c.id} ({c.unit})" for c in profile.channels)
    document = f"{profile.document.title}, {profile.document.revision}"
    cells = (
        f"`{profile.name}`",
        profile.title,
        f"`{profile.driver}`",
        channels,
        profile.grade.value,
        profile.confidence.value,
        document,
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


if __name__ == "__main__":
    README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8")
