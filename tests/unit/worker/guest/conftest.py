"""A guest's channel over real pipes, read by a thread as the worker would."""

import os
import threading

import pytest

from worker.sandbox.guest.channel import Channel
from worker.sandbox.stream import FrameParser


class Wire:
    """The guest's end is `channel`; the worker's end is `frames` and `to_guest`."""

    def __init__(self):
        guest_read, self._to_guest = os.pipe()
        self._from_guest, guest_write = os.pipe()
        self.channel = Channel(guest_read, guest_write)
        self._guest = guest_read, guest_write
        self._data = bytearray()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        while data := os.read(self._from_guest, 65_536):
            self._data += data

    def to_guest(self, data):
        """Send bytes to the guest and end its input."""
        writer = threading.Thread(target=self._write, args=(data,))
        writer.start()
        return writer

    def _write(self, data):
        with open(self._to_guest, "wb", closefd=False) as file:
            file.write(data)
        os.close(self._to_guest)
        self._to_guest = None

    def frames(self):
        """End the guest's output; return all that it said, as the worker parses it."""
        os.close(self._guest[1])
        self._reader.join()
        return list(FrameParser().feed(bytes(self._data)))

    def close(self):
        open_ends = [self._from_guest, self._guest[0], self._to_guest]
        for descriptor in open_ends:
            if descriptor is not None:
                os.close(descriptor)


@pytest.fixture
def wire():
    made = Wire()
    yield made
    if made._reader.is_alive():
        made.frames()
    made.close()
