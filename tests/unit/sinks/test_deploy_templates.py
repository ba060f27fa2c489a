import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[3] / "deploy"
render_module = runpy.run_path(str(DEPLOY / "render.py"))
render, read_values = render_module["render"], render_module["read_values"]
TEMPLATES = sorted(DEPLOY.rglob("*.in"))


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_the_example_values_fill_every_template(template):
    values = read_values((DEPLOY / "site.example.env").read_text())
    text = render(template.read_text(), values)
    assert re.search(r"@[A-Z]", text) is None
    assert text.strip()


def test_every_example_value_is_used_by_a_template():
    values = read_values((DEPLOY / "site.example.env").read_text())
    used = {name for path in TEMPLATES for name in re.findall(r"@([A-Z0-9_]+)@", path.read_text())}
    assert used == set(values)


def test_a_missing_value_is_named_and_nothing_is_written():
    with pytest.raises(ValueError, match="CITY, SITE"):
        render("@SITE@ @CITY@ @GATEWAY@", {"GATEWAY": "gw"})
    done = subprocess.run(
        [sys.executable, DEPLOY / "render.py", "/dev/null", TEMPLATES[0]],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == b""


@pytest.mark.parametrize("text", ["NOVALUE", "lower=x", "A=", "=x"])
def test_a_line_that_is_no_value_is_an_error(text):
    with pytest.raises(ValueError, match="NAME=value"):
        read_values(text)


def test_nobody_is_anonymous_on_any_listener():
    config = (DEPLOY / "mosquitto" / "mosquitto.conf.in").read_text()
    listeners = config.split("\nlistener ")[1:]
    assert len(listeners) == 2
    for listener in listeners:
        assert "allow_anonymous false" in listener
        assert "acl_file" in listener
        assert "password_file" in listener or "require_certificate true" in listener
    assert "per_listener_settings true" in config


def test_only_the_gateway_may_write_alerts_log_and_status():
    blocks = (DEPLOY / "mosquitto" / "acl.in").read_text().split("\nuser ")[1:]
    writers = {
        block.split("\n", 1)[0]
        for block in blocks
        if re.search(
            r"^topic (write|readwrite) .*/(alert|log|status|exercise)", block, re.MULTILINE
        )
    }
    assert writers == {"@GATEWAY_USER@"}
