"""A worker that Celery gives up ends with the code that Celery means, so that it is restarted."""

import pytest
from celery import signals

from worker import processes
from worker.app import app


@pytest.mark.parametrize(("meant", "code"), [(None, 0), (0, 0), (70, 70)])
def test_the_exit_code_is_celerys(monkeypatch, meant, code):
    class Ended:
        exitcode = meant

    def end(_words):
        signals.worker_shutdown.send(sender=Ended())

    monkeypatch.setattr(app, "worker_main", end)
    before = list(signals.worker_shutdown.receivers)
    try:
        assert processes.celery_worker("worker", "agentcore", 1) == code
    finally:
        signals.worker_shutdown.receivers[:] = before
        signals.worker_shutdown.sender_receivers_cache.clear()
