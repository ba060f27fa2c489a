"""Real servers for tests: mosquitto, and influxd behind nginx, from the templates of deploy/.

Each lives on free loopback ports in a folder of its own and may be killed and started again
on the same ports with what it had on disk.
"""

import base64
import json
import os
import runpy
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[2] / "deploy"
SBIN = "/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin"
READY_S = 15.0

CITY, SITE, GATEWAY = "harbour-city", "fish-market", "gw-01"
GATEWAY_USER, SOC_USER, TOOL_USER, MEDIC_USER, DISPLAY_USER = (
    "gw-01",
    "soc-1",
    "tool-1",
    "medic-1",
    "display-1",
)
USERS = (GATEWAY_USER, SOC_USER, TOOL_USER, MEDIC_USER, DISPLAY_USER)
DATABASE = "cbrn"

_render = runpy.run_path(str(DEPLOY / "render.py"))["render"]


def program(name: str, package: str) -> str:
    """Return the path of a program; skip the test without it, fail in CI."""
    path = shutil.which(name) or shutil.which(name, path=SBIN)
    if path is None:
        reason = f"{name} is not installed (Debian: {package})"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def free_ports(count: int) -> list[int]:
    """Return different free ports: all are held until the last is found."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Process:
    """One server process: started, stopped, killed; its output is shown when it fails."""

    def __init__(self, name: str, command: list[str], folder: Path, is_ready: Callable[[], bool]):
        self.name = name
        self.command = command
        self.log = folder / f"{name}.log"
        self.is_ready = is_ready
        self.child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert self.child is None, f"{self.name} runs already"
        with self.log.open("ab") as log:
            self.child = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        deadline_s = time.monotonic() + READY_S
        while not self.is_ready():
            if self.child.poll() is not None or time.monotonic() > deadline_s:
                self.kill()
                raise AssertionError(f"{self.name} did not start:\n{self.tail()}")
            time.sleep(0.02)

    def stop(self) -> int | None:
        """End it in order; return its exit code, None where it did not run."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-4000:] if self.log.exists() else ""

    def _end(self, how: signal.Signals) -> int | None:
        child, self.child = self.child, None
        if child is None:
            return None
        if child.poll() is None:
            child.send_signal(how)
        try:
            return child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            return child.wait(10)


class Mosquitto:
    """A broker with passwords, access list and a TLS listener that wants certificates."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.tls_port = free_ports(2)
        self.values = {
            "CITY": CITY,
            "SITE": SITE,
            "GATEWAY": GATEWAY,
            "BROKER_USER": "root" if os.geteuid() == 0 else "mosquitto",
            "BROKER_CONFIG_DIR": str(folder),
            "BROKER_STATE_DIR": str(folder / "state"),
            "BROKER_PLAIN_PORT": str(self.port),
            "BROKER_TLS_ADDRESS": "127.0.0.1",
            "BROKER_TLS_PORT": str(self.tls_port),
            "GATEWAY_USER": GATEWAY_USER,
            "SOC_USER": SOC_USER,
            "TOOL_USER": TOOL_USER,
            "MEDIC_USER": MEDIC_USER,
            "DISPLAY_USER": DISPLAY_USER,
        }
        self._write_files()
        command = [program("mosquitto", "mosquitto"), "-c", str(folder / "mosquitto.conf")]
        self.process = Process("mosquitto", command, folder, lambda: listens(self.port))

    def password(self, user: str) -> str:
        return self.password_file(user).read_text().strip()

    def password_file(self, user: str) -> Path:
        return self.folder / "secrets" / f"mqtt-{user}.password"

    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def tls_url(self) -> str:
        return f"mqtts://localhost:{self.tls_port}"

    def tls_file(self, name: str) -> str:
        return str(self.folder / "tls" / name)

    def start(self) -> None:
        self.process.start()

    def stop(self) -> None:
        self.process.stop()

    def kill(self) -> None:
        self.process.kill()

    def set_acl(self, change: Callable[[str], str]) -> None:
        """Rewrite the access list and let the broker read it."""
        path = self.folder / "acl"
        path.write_text(change(path.read_text()))
        if self.process.child is not None:
            self.process.child.send_signal(signal.SIGHUP)

    def _write_files(self) -> None:
        program("mosquitto_passwd", "mosquitto")
        (self.folder / "state").mkdir(parents=True)
        make_certificates(self.folder / "tls", clients=(GATEWAY_USER, SOC_USER))
        for name in ("mosquitto.conf", "acl"):
            template = (DEPLOY / "mosquitto" / f"{name}.in").read_text()
            path = self.folder / name
            path.write_text(_render(template, self.values))
            path.chmod(0o600)
        subprocess.run(
            [
                str(DEPLOY / "mosquitto" / "make-passwords.sh"),
                str(self.folder / "passwd"),
                str(self.folder / "secrets"),
                *USERS,
            ],
            check=True,
        )


def make_certificates(folder: Path, clients: tuple[str, ...]) -> None:
    """Make an authority, the broker's certificate for localhost and one per client."""
    openssl = program("openssl", "openssl")
    folder.mkdir(parents=True)

    def run(*arguments: str) -> None:
        subprocess.run([openssl, *arguments], check=True, cwd=folder, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    run(
        "req",
        "-x509",
        *key,
        "-keyout",
        "ca.key",
        "-out",
        "ca.crt",
        "-days",
        "2",
        "-subj",
        "/CN=test authority",
    )
    run(
        "req",
        "-x509",
        *key,
        "-keyout",
        "x.key",
        "-out",
        "stranger.crt",
        "-days",
        "2",
        "-subj",
        "/CN=stranger",
    )
    (folder / "san.cnf").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    for name, subject in (("broker", "localhost"), *((client, client) for client in clients)):
        run("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={subject}")
        run(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key"),
            *("-CAcreateserial", "-days", "2", "-out", f"{name}.crt", "-extfile", "san.cnf"),
        )


class Subscriber:
    """A foreign client: mosquitto_sub, one JSON object per message; made when subscribed."""

    def __init__(
        self,
        broker: Mosquitto,
        topics: list[str],
        *,
        user: str,
        version: str,
        options: tuple[str, ...],
    ) -> None:
        name = f"{user}-{time.monotonic_ns()}"
        self.path = broker.folder / f"{name}.txt"
        command = [
            # it would keep its output back until its buffer is full
            *("stdbuf", "-oL", program("mosquitto_sub", "mosquitto-clients")),
            *(
                "-h",
                "127.0.0.1",
                "-p",
                str(broker.port),
                "-V",
                version,
                "-i",
                name,
                "-q",
                "1",
                "-d",
                "-F",
                "%j",
            ),
            *("-u", user, "-P", broker.password(user), *options),
            *(part for topic in topics for part in ("-t", topic)),
        ]
        with self.path.open("wb") as output:
            self._child = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        deadline_s = time.monotonic() + READY_S
        while "Subscribed (mid" not in self.path.read_text():
            if self._child.poll() is not None or time.monotonic() > deadline_s:
                self.close()
                raise AssertionError(f"mosquitto_sub did not subscribe:\n{self.path.read_text()}")
            time.sleep(0.02)

    def messages(self) -> list[dict]:
        """Return what has arrived so far, in order: topic, payload (text), qos, retain, …"""
        text = self.path.read_text()
        whole = text[: text.rfind("\n") + 1].splitlines()
        return [json.loads(line) for line in whole if line.startswith("{")]

    def close(self) -> None:
        if self._child.poll() is None:
            self._child.terminate()
        self._child.wait(5)


@contextmanager
def subscriber(
    broker: Mosquitto,
    *topics: str,
    user: str = SOC_USER,
    version: str = "mqttv5",
    options: tuple[str, ...] = (),
) -> Iterator[Subscriber]:
    sub = Subscriber(broker, list(topics), user=user, version=version, options=options)
    try:
        yield sub
    finally:
        sub.close()


class Influx:
    """influxd 1.6.7 with users, behind nginx with the v2 write address."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.port, self.rpc_port, self.v2_port = free_ports(3)
        values = {
            "INFLUX_DIR": str(folder / "influxdb"),
            "INFLUX_PORT": str(self.port),
            "INFLUX_RPC_PORT": str(self.rpc_port),
            "INFLUX_V2_PORT": str(self.v2_port),
        }
        for name in ("influxdb.conf", "v2-write.conf"):
            template = (DEPLOY / "influxdb" / f"{name}.in").read_text()
            (folder / name).write_text(_render(template, values))
        (folder / "nginx.conf").write_text(_nginx_frame(folder))
        self.database = Process(
            "influxd",
            [program("influxd", "influxdb"), "run", "-config", str(folder / "influxdb.conf")],
            folder,
            self._answers,
        )
        self.rewrite = Process(
            "nginx",
            [program("nginx", "nginx-light"), "-p", str(folder), "-c", str(folder / "nginx.conf")],
            folder,
            lambda: listens(self.v2_port),
        )

    def url(self) -> str:
        """Return the v2 write address."""
        return f"http://127.0.0.1:{self.v2_port}"

    def password(self, user: str) -> str:
        return self.password_file(user).read_text().strip()

    def password_file(self, user: str) -> Path:
        return self.folder / "secrets" / f"influx-{user}.password"

    def start(self) -> None:
        self.database.start()
        self.rewrite.start()
        make_users = runpy.run_path(str(DEPLOY / "influxdb" / "make_users.py"))["make_users"]
        make_users(f"http://127.0.0.1:{self.port}", DATABASE, self.folder / "secrets")

    def stop(self) -> None:
        self.rewrite.stop()
        self.database.stop()

    def query(self, statement: str, database: str = DATABASE) -> list[dict]:
        """Return the rows of an InfluxQL statement as dictionaries; times in ns."""
        answer = self._ask({"db": database, "q": statement, "epoch": "ns"})
        series = answer["results"][0].get("series", [])
        return [
            dict(zip(part["columns"], values, strict=True)) | part.get("tags", {})
            for part in series
            for values in part["values"]
        ]

    def _ask(self, arguments: dict[str, str]) -> dict:
        body = urllib.parse.urlencode(arguments).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/query", data=body)
        basic = base64.b64encode(f"admin:{self.password('admin')}".encode()).decode()
        request.add_header("Authorization", f"Basic {basic}")
        with urllib.request.urlopen(request, timeout=10) as response:
            answer = json.load(response)
        errors = [r["error"] for r in answer["results"] if "error" in r]
        assert not errors, errors
        return answer

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/ping", timeout=1) as answer:
                return answer.status == 204
        except (OSError, urllib.error.URLError):
            return False


def _nginx_frame(folder: Path) -> str:
    """Return an nginx.conf that keeps everything in the test's folder."""
    temporary = "".join(
        f"    {kind}_temp_path {folder}/tmp-{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;\n" if os.geteuid() == 0 else ""
    return (
        f"{user}daemon off;\nmaster_process off;\nworker_processes 1;\n"
        f"pid {folder}/nginx.pid;\nerror_log {folder}/nginx-error.log warn;\n"
        "events { worker_connections 64; }\n"
        f"http {{\n{temporary}    include {folder}/v2-write.conf;\n}}\n"
    )
