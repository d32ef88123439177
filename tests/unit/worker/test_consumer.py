"""What Flower is told is gathered for a moment, and never left behind."""

import pytest
from celery import bootsteps
from celery.worker.consumer import Consumer as CeleryConsumer

from worker.consumer import EVENTS_DELAY, Consumer


class Hub:
    """A loop whose timers are run by hand."""

    def __init__(self):
        self.timers = []

    def call_later(self, seconds, callback):
        self.timers.append((seconds, callback))


class Dispatcher:
    def __init__(self):
        self.flushed = 0

    def flush(self):
        self.flushed += 1


@pytest.fixture
def consumer():
    made = Consumer.__new__(Consumer)
    made.hub, made.event_dispatcher, made._flush_is_due = Hub(), Dispatcher(), False
    made.blueprint = type("Blueprint", (), {"state": bootsteps.RUN})
    return made


def test_many_events_are_sent_together_a_moment_later(consumer):
    for _ in range(5):
        consumer._flush_later()
    assert consumer.event_dispatcher.flushed == 0
    ((seconds, send),) = consumer.hub.timers
    assert seconds == EVENTS_DELAY
    send()
    assert consumer.event_dispatcher.flushed == 1
    consumer._flush_later()
    assert len(consumer.hub.timers) == 2, "the next ones are gathered anew"


def test_at_the_end_nothing_waits_for_a_timer_that_never_comes(consumer):
    consumer.blueprint.state = bootsteps.TERMINATE
    consumer._flush_later()
    assert consumer.event_dispatcher.flushed == 1
    assert consumer.hub.timers == []


def test_what_was_gathered_is_sent_before_the_consumer_stops(consumer, monkeypatch):
    stopped = []
    monkeypatch.setattr(
        CeleryConsumer, "stop", lambda self: stopped.append(self.event_dispatcher.flushed)
    )
    consumer._flush_later()
    consumer.stop()
    assert stopped == [1]
