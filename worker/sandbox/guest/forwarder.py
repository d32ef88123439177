"""Carries the program's connections from a port on loopback to the egress proxy's socket.

A process of its own beside the program, so that no flood slows the supervisor. It decides nothing:
whoever ends it, or takes its port, only cuts off the program's own network.
"""

import os
import selectors
import socket
import time
from collections.abc import Callable
from typing import NoReturn

from . import protocol

MAX_CONNECTIONS = 64  # at once; more wait in the listener's queue
BACKLOG = 128
PIECE = 65_536  # bytes moved at once, and held of one direction at most
RETRY_SECONDS = 0.05  # while the proxy takes no more connections, or restarts
PATIENCE_SECONDS = 10  # then the connection is dropped


def start() -> None:
    """Listen, and leave the rest to a new process. Raises OSError when the port cannot be had."""
    listener = socket.create_server(("127.0.0.1", protocol.EGRESS_PORT), backlog=BACKLOG)
    if os.fork() == 0:
        _serve(listener)
    listener.close()


def _serve(listener: socket.socket) -> NoReturn:
    try:
        # Nothing of the supervisor's: above all not its channel to the worker.
        os.closerange(3, listener.fileno())
        os.closerange(listener.fileno() + 1, 1024)
        listener.setblocking(False)
        _Forwarder(listener).run()
    finally:
        os._exit(1)


class _Flow:
    """One direction of a connection; what its target does not take yet is held."""

    def __init__(self, source: socket.socket, target: socket.socket) -> None:
        self.source = source
        self.target = target
        self.held = b""
        self.is_open = True

    def read(self) -> None:
        """Read once, if there is room."""
        if self.is_open and not self.held:
            self.held = self.source.recv(PIECE)
            self.is_open = bool(self.held)

    def write(self) -> None:
        """Write what goes, and pass on the end."""
        if self.held:
            self.held = self.held[self.target.send(self.held) :]
        if not self.is_open and not self.held:
            self.target.shutdown(socket.SHUT_WR)

    def cut(self) -> None:
        """Give this direction up."""
        self.is_open, self.held = False, b""


class _Forwarder:
    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener
        self.selector = selectors.DefaultSelector()
        self.pairs: dict[socket.socket, tuple[_Flow, _Flow]] = {}  # by either end
        self.waiting: socket.socket | None = None  # accepted, and not yet through to the proxy
        self.waiting_since = 0.0

    def run(self) -> NoReturn:
        while True:
            if self.waiting is not None:
                self._connect()
            self._watch(self.listener, selectors.EVENT_READ if self._has_room() else 0)
            timeout = None if self.waiting is None else RETRY_SECONDS
            for key, _events in self.selector.select(timeout):
                if key.fileobj is self.listener:
                    self._accept()
                else:
                    self._move(key.fileobj)  # type: ignore[arg-type]

    def _has_room(self) -> bool:
        return self.waiting is None and len(self.pairs) < 2 * MAX_CONNECTIONS

    def _watch(self, end: socket.socket, events: int) -> None:
        key = self.selector.get_map().get(end)
        if key is None:
            if events:
                self.selector.register(end, events)
        elif not events:
            self.selector.unregister(end)
        elif key.events != events:
            self.selector.modify(end, events)

    def _accept(self) -> None:
        try:
            self.waiting, _ = self.listener.accept()
        except OSError:
            return  # it went again
        self.waiting.setblocking(False)
        self.waiting_since = time.monotonic()

    def _connect(self) -> None:
        assert self.waiting is not None  # noqa: S101 - the caller has looked
        proxy = socket.socket(socket.AF_UNIX)
        proxy.setblocking(False)
        try:
            proxy.connect(protocol.EGRESS_SOCKET)
        except OSError:
            proxy.close()
            if time.monotonic() - self.waiting_since > PATIENCE_SECONDS:
                self.waiting.close()
                self.waiting = None
            return
        client, self.waiting = self.waiting, None
        pair = _Flow(client, proxy), _Flow(proxy, client)
        self.pairs[client] = self.pairs[proxy] = pair
        self._watch_pair(pair)

    def _move(self, end: socket.socket) -> None:
        pair = self.pairs.get(end)
        if pair is None:
            return  # dropped by an event just before
        up, down = pair
        try:
            self._move_on(up.read)
            self._move_on(down.read)
            self._move_on(down.write)
        except OSError:
            self._drop(pair)  # the program's end is gone, or the proxy's is broken
            return
        try:
            self._move_on(up.write)
        except OSError:
            up.cut()  # a proxy that refuses takes no more, and what it said may still be coming
        if any(flow.is_open or flow.held for flow in pair):
            self._watch_pair(pair)
        else:
            self._drop(pair)

    @staticmethod
    def _move_on(step: Callable[[], None]) -> None:
        try:
            step()
        except BlockingIOError:
            return

    def _watch_pair(self, pair: tuple[_Flow, _Flow]) -> None:
        for flow, back in (pair, pair[::-1]):
            wants = selectors.EVENT_READ if flow.is_open and not flow.held else 0
            self._watch(flow.source, wants | (selectors.EVENT_WRITE if back.held else 0))

    def _drop(self, pair: tuple[_Flow, _Flow]) -> None:
        for flow in pair:
            self._watch(flow.source, 0)
            self.pairs.pop(flow.source, None)
            flow.source.close()
