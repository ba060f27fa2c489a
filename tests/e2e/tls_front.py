"""nginx with TLS and client certificates in front of a real InfluxDB."""

import os
import subprocess
from pathlib import Path

from e2e.certificates import Authority
from e2e.servers import Influx, Process, free_port, listens, program


class TlsFront:
    """Asks each client for a certificate of its own authority, in `folder`/tls."""

    def __init__(self, influx: Influx, folder: Path) -> None:
        self.tls = folder / "tls"
        self.tls.mkdir(parents=True)
        self._make_authority()
        self.authority = Authority(self.tls)
        self.port = free_port()
        (folder / "front.conf").write_text(self._configuration(folder, influx.v2_port))
        self.process = Process(
            "front",
            [program("nginx", "nginx-light"), "-p", str(folder), "-c", str(folder / "front.conf")],
            folder,
            lambda: listens(self.port),
        )

    def url(self) -> str:
        return f"https://localhost:{self.port}"

    def files(self, **changed: str) -> dict[str, str]:
        """Return the keys of `[influx]` that name the gateway's files."""
        named = {"ca_file": "ca.crt", "cert_file": "gw-01.crt", "key_file": "gw-01.key"} | changed
        return {key: str(self.tls / name) for key, name in named.items()}

    def _make_authority(self) -> None:
        command = [program("openssl", "openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt"]
        command += ["ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "ca.key"]
        command += ["-out", "ca.crt", "-days", "2", "-subj", "/CN=front authority"]
        subprocess.run(command, check=True, cwd=self.tls, capture_output=True)

    def _configuration(self, folder: Path, behind: int) -> str:
        temporary = "".join(
            f"    {kind}_temp_path {folder}/front-{kind};\n"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        user = "user root;\n" if os.geteuid() == 0 else ""
        return (
            f"{user}daemon off;\nmaster_process off;\nworker_processes 1;\n"
            f"pid {folder}/front.pid;\nerror_log {folder}/front-error.log warn;\n"
            f"events {{ worker_connections 64; }}\nhttp {{\n{temporary}    access_log off;\n"
            f"    server {{\n        listen 127.0.0.1:{self.port} ssl;\n"
            f"        ssl_certificate {self.tls}/front.crt;\n"
            f"        ssl_certificate_key {self.tls}/front.key;\n"
            f"        ssl_client_certificate {self.tls}/ca.crt;\n"
            "        ssl_verify_client on;\n        client_max_body_size 8m;\n"
            f"        location / {{ proxy_pass http://127.0.0.1:{behind}; }}\n    }}\n}}\n"
        )
