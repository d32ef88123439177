"""Pushes input into terminals: the supervisor's, its own, and one that it makes itself."""

import os

from attempt import attempt, attempt_call, refused, report

TIOCSTI, TIOCLINUX, TIOCCONS, TIOCSETD = 0x5412, 0x541C, 0x541D, 0x5423
for descriptor in (0, 1, 2):
    for request in (TIOCSTI, TIOCLINUX, TIOCCONS, TIOCSETD):
        attempt_call("ioctl", descriptor, request, b"i", label=f"{request:#x} on {descriptor}")
attempt("own terminal", os.open, "/dev/tty", os.O_RDWR)
attempt("console", os.open, "/dev/console", os.O_RDWR)
try:
    pair = os.openpty()
    attempt_call("ioctl", pair[1], TIOCSTI, b"i", label="on a new terminal")
except OSError as error:
    refused["new terminal"] = error.strerror
report()
