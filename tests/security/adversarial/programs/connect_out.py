"""Connects to the metadata services, the bridge's gateway, the host's addresses and ports, and
to the world, by TCP and UDP."""

import os
import socket

from attempt import attempt, report


def tcp(address, port):
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as one:
        one.settimeout(0.3)
        one.connect((address, port))


def udp(address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as one:
        one.sendto(b"x", (address, port))


canary = int(os.environ["CANARY_PORT"])
others = [int(port) for port in os.environ["HOST_PORTS"].split()]
for address in os.environ["HOST_ADDRESSES"].split():
    for port in (22, canary, *others):
        attempt(f"{address}:{port}", tcp, address, port)
for address in ("169.254.169.254", "100.100.100.200", "fd00:ec2::254", "8.8.8.8", "192.168.65.2"):
    attempt(f"{address} tcp", tcp, address, 80)
    attempt(f"{address} udp", udp, address, 53)
report()
