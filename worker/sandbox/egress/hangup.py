"""Tells at once when a client has left, without reading from it."""

import asyncio
import select
import socket
from collections.abc import Callable


class HangupWatch:
    """Calls back when the other side of a socket is closed as a whole.

    A half-closed socket is none: its owner may still wait for what we send. Reading could not
    tell the two apart, and would take in data that nobody is ready for.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callable[[], object]] = {}
        self._loop.add_reader(self._epoll.fileno(), self._ready)

    def watch(self, sock: socket.socket, callback: Callable[[], object]) -> None:
        """Call `callback` once when `sock` is hung up; replaces an earlier callback."""
        known = sock.fileno() in self._callbacks
        self._callbacks[sock.fileno()] = callback
        # EPOLLHUP and EPOLLERR are always reported; a new call arms a shot that was fired.
        arm = self._epoll.modify if known else self._epoll.register
        arm(sock.fileno(), select.EPOLLONESHOT)

    def forget(self, sock: socket.socket) -> None:
        """Stop watching; to be called before the socket is closed."""
        if self._callbacks.pop(sock.fileno(), None) is not None:
            self._epoll.unregister(sock.fileno())

    def close(self) -> None:
        """Stop watching everything."""
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    def _ready(self) -> None:
        for descriptor, _ in self._epoll.poll(0):
            callback = self._callbacks.get(descriptor)
            if callback is not None:
                callback()
