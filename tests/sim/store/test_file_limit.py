"""Files that may not grow any further: refused, kept in memory, stored when they may again."""

import json
import subprocess
import sys
from pathlib import Path

from cbrn_gateway.store.verify import verify_journal

CHILD = Path(__file__).with_name("limited_child.py")
TESTS = Path(__file__).parents[2]


def test_a_limit_of_the_file_size_costs_nothing_once_it_is_lifted(tmp_path):
    child = subprocess.run(
        [sys.executable, CHILD, tmp_path, str(400_000)],
        capture_output=True,
        check=False,
        env={"PYTHONPATH": str(TESTS)},
        timeout=120,
    )
    assert child.returncode == 0, child.stderr.decode()
    said = json.loads(child.stdout)
    for refusal in (said["refused"], said["journal_refused"]):
        assert "the disk" in refusal
    assert said["stored"] == said["spooled"] == said["submitted"]
    assert said["journalled"] == said["versions"] > 10
    assert verify_journal(tmp_path / "journal.db").ok
