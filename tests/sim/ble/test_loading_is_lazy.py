"""A gateway without wearables, or one that only checks its site file, never loads bleak."""

import subprocess
import sys

PROGRAM = """
import sys
from cbrn_drivers.catalogue import driver_keys, load_driver, load_profile
[load_driver(key) for key in driver_keys()]
import cbrn_gateway.live.daemon
print([name for name in ("bleak", "dbus_fast") if name in sys.modules])
"""


def test_no_bluetooth_library_is_loaded_before_an_adapter_is_opened():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
