"""Asks for names: by the C library, the engine's resolver, and every server on its list."""

import os
import socket
from pathlib import Path

from attempt import attempt, report


def ask(server):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.settimeout(0.3)
        one.sendto(b"\x12\x34\x01\0\0\1\0\0\0\0\0\0\7example\3com\0\0\1\0\1", (server, 53))
        one.recv(512)


for name in ("example.com", "host.docker.internal", "metadata.google.internal", "gateway.docker"):
    attempt(name, socket.getaddrinfo, name, 80)
servers = {"127.0.0.11", "127.0.0.53", "8.8.8.8", "169.254.169.253"}
for line in Path("/etc/resolv.conf").read_text().splitlines():
    if line.startswith("nameserver"):
        servers.add(line.split()[1])
for server in sorted(servers):
    attempt(server, ask, server)
attempt("change the list", os.open, "/etc/resolv.conf", os.O_WRONLY)
report()
