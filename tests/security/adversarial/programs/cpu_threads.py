"""Spins on 64 threads of 64 processors' worth of greed."""

import os
import threading


def spin():
    while True:
        pass


try:
    os.nice(-20)
except OSError:
    pass
for _ in range(8):
    if os.fork() == 0:
        break
for _ in range(8):
    threading.Thread(target=spin).start()
spin()
