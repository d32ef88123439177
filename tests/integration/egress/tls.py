"""A certificate authority of the tests' own, and servers that it vouches for."""

import socket
import ssl
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.harness import missing

CONFIG = """
[req]
distinguished_name = name
prompt = no
[name]
CN = test
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical,CA:FALSE
subjectAltName = {names}
authorityKeyIdentifier = keyid
"""


@dataclass(frozen=True, kw_only=True)
class Authority:
    """Files in PEM: the authority's certificate, and a server's chain with its key."""

    certificate: Path
    server: Path

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server)
        return context

    def client_context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.certificate)


def make_authority(directory: Path, *names: str) -> Authority:
    """Make an authority and a certificate for `names`, which are host names or addresses."""
    kinds = [f"{'IP' if name[0].isdigit() else 'DNS'}:{name}" for name in names]
    (directory / "config").write_text(CONFIG.format(names=",".join(kinds)))
    key = "-nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256"
    of_authority = "-keyout ca.key -out ca.pem -config config -extensions authority"
    _openssl(directory, f"req -x509 -days 2 {key} {of_authority}")
    _openssl(directory, f"req -new {key} -keyout server.key -out server.csr -config config")
    signed = "-extfile config -extensions server -out server.crt"
    _openssl(directory, f"x509 -req -days 2 -in server.csr -CA ca.pem -CAkey ca.key {signed}")
    chain = (directory / "server.crt").read_text() + (directory / "server.key").read_text()
    (directory / "server.pem").write_text(chain)
    return Authority(certificate=directory / "ca.pem", server=directory / "server.pem")


def _openssl(directory: Path, arguments: str) -> None:
    command = ["openssl", *arguments.split()]
    try:
        subprocess.run(command, cwd=directory, check=True, capture_output=True, timeout=60)
    except FileNotFoundError:
        missing("no openssl (Debian: apt-get install openssl)")


def over_tls(
    authority: Authority, talk: Callable[[socket.socket], None]
) -> Callable[[socket.socket], None]:
    """Return a server's talk that speaks TLS first."""
    context = authority.server_context()

    def secured(client: socket.socket) -> None:
        with context.wrap_socket(client, server_side=True) as wrapped:
            talk(wrapped)

    return secured
