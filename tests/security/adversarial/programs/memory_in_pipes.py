"""Fills kernel memory with pipes and socket pairs full of bytes."""

import os
import socket

kept = []
for _ in range(10):
    if os.fork() == 0:
        break
while True:
    try:
        for one, two in (socket.socketpair(), socket.socketpair()):
            kept.append((one, two))
            one.setblocking(False)
            while True:
                try:
                    one.send(bytes(2**16))
                except BlockingIOError:
                    break
    except OSError:
        pass
