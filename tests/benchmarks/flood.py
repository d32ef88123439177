"""Run by itself: uploads without end to a gate, on so many connections, in the smallest pieces.

`python -m tests.benchmarks.flood SOCKET HOST:PORT CONNECTIONS` prints a line once it is
on, and ends with its input.
"""

import contextlib
import socket
import sys
import threading

CHUNKS = b"1\r\nx\r\n" * 20_000


def upload(path: str, target: str) -> None:
    """Send chunks of one byte each."""
    client = socket.socket(socket.AF_UNIX)
    client.connect(path)
    head = f"POST http://{target}/ HTTP/1.1\r\nHost: {target}\r\nTransfer-Encoding: chunked\r\n\r\n"
    client.sendall(head.encode())
    with contextlib.suppress(OSError):
        while True:
            client.sendall(CHUNKS)


def main() -> None:
    path, target, count = sys.argv[1:]
    for _ in range(int(count)):
        threading.Thread(target=upload, args=(path, target), daemon=True).start()
    print("on", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
