"""Opens raw sockets, and packet sockets that see every frame."""

from attempt import attempt, attempt_call, call, report

for family in (2, 10):
    for protocol in (1, 255):
        attempt(f"raw {family} {protocol}", call, "socket", family, 3, protocol)
for kind in (2, 3, 10):
    attempt_call("socket", 17, kind, 0x0300, label=f"packet {kind}")
report()
