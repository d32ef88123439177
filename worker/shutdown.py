"""Ends a worker in bounded time: no new work, time for what runs, then the rest is handed back.

Celery's warm shutdown waits for its threads without a limit, and its cold one cannot end a thread.
So SIGTERM, SIGINT, SIGQUIT and SIGHUP start the warm one, and the limit is kept here, by a thread.
"""

import os
import select
import signal
import threading
from typing import Any

import structlog
from celery.worker import state

from models import telemetry
from worker.execution import Executor

log = structlog.get_logger()

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)
HAND_BACK_SECONDS = 15  # to remove the last containers and record; a removal takes well under one


class Drain:
    """Waits for the first signal; a second one ends the waiting for running executions."""

    def __init__(self, executor: Executor, seconds: float) -> None:
        self._executor = executor
        self._seconds = seconds
        self._told, self._tell = os.pipe()
        self._thread = threading.Thread(target=self._drain, name="drain", daemon=True)

    def start(self) -> None:
        """Take over the signals; only the main thread may call this, after Celery took them."""
        self._thread.start()
        for number in SIGNALS:
            signal.signal(number, self._on_signal)

    def _on_signal(self, *_: Any) -> None:
        # A pipe, and no event or log: a handler must take no lock that this thread may hold.
        setattr(state, "should_stop", os.EX_OK)  # noqa: B010 - its type knows no exit code
        os.write(self._tell, b"!")

    def _drain(self) -> None:
        os.read(self._told, 1)
        self._executor.draining = True
        log.info("draining", running=len(self._executor.running), seconds=self._seconds)
        # Where nothing runs any more the process ends by itself, and this thread with it.
        hurried, _, _ = select.select([self._told], [], [], self._seconds)
        log.warning("drain_over", running=len(self._executor.running), hurried=bool(hurried))
        try:
            self._executor.hand_over()
        except Exception:
            # This thread is what bounds the end of the process.
            log.exception("hand_over_failed")
        threading.Event().wait(HAND_BACK_SECONDS)
        left = len(self._executor.running)
        log.error("shutdown_forced", running=left, do="nothing: the sweep moves on what is left")
        telemetry.flush()
        os._exit(os.EX_SOFTWARE if left else os.EX_OK)
