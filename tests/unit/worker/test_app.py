"""The Celery application as the settings make it."""

from ssl import CERT_REQUIRED

import pytest
from amqp.exceptions import AccessRefused, NotAllowed
from structlog.testing import capture_logs

from models.errors import SettingsError
from models.settings import Settings
from tests.unit.worker.conftest import EXECUTION
from worker import app as module
from worker.app import (
    AGE_OUT,
    BROKER_HEARTBEAT,
    BROKER_TIMEOUT,
    CONTROL_QUEUE,
    QUEUE,
    RUN,
    SWEEP,
    VISIBILITY_SLACK,
    make_app,
)


def settings(broker="redis://x", **changes):
    values = {"database_url": "postgresql://x", "broker_url": broker}
    if broker.startswith("amqp"):
        values["result_backend_url"] = "redis://results"
    return Settings(**values | changes)


@pytest.mark.parametrize("broker", ["redis://x", "rediss://x", "redis+socket:///x", "amqp://x"])
def test_only_json_is_ever_accepted(broker):
    conf = make_app(settings(broker)).conf
    assert conf.accept_content == ["json"]
    assert conf.task_serializer == conf.result_serializer == "json"


def test_a_message_stays_hidden_longer_than_the_longest_run():
    conf = make_app(settings(ceiling_execution_time_seconds=5000)).conf
    assert conf.broker_transport_options["visibility_timeout"] == 5000 + VISIBILITY_SLACK


def test_a_message_is_acknowledged_after_its_work_and_taken_one_at_a_time():
    conf = make_app(settings()).conf
    assert conf.task_acks_late is True
    assert conf.worker_prefetch_multiplier == 1


def test_short_work_has_its_own_queue():
    conf = make_app(settings()).conf
    assert {queue.name for queue in conf.task_queues} == {QUEUE, CONTROL_QUEUE}
    for name in (RUN, SWEEP, AGE_OUT):
        assert conf.task_routes[name]["queue"] == CONTROL_QUEUE


def test_beat_sends_what_is_periodic_and_nothing_piles_up_while_nobody_listens():
    schedule = make_app(settings()).conf.beat_schedule
    assert {item["task"] for item in schedule.values()} == {SWEEP, AGE_OUT}
    for item in schedule.values():
        assert item["options"]["expires"] <= item["schedule"]


def test_results_go_to_the_broker_unless_a_backend_is_set():
    assert make_app(settings("redis://a")).conf.result_backend == "redis://a"
    other = make_app(settings("amqp://a", result_backend_url="redis://b"))
    assert other.conf.result_backend == "redis://b"


@pytest.mark.parametrize(
    ("broker", "options"),
    [
        ("redis://x", None),
        ("amqp://x", None),
        ("rediss://x", {"ssl_cert_reqs": CERT_REQUIRED, "ssl_check_hostname": True}),
        ("amqps://x", {"cert_reqs": CERT_REQUIRED, "server_hostname": None}),
    ],
)
def test_who_speaks_tls_is_checked(broker, options, tmp_path):
    authority = tmp_path / "ca.pem"
    authority.touch()
    conf = make_app(settings(broker)).conf
    assert conf.broker_use_ssl == options
    assert conf.redis_backend_use_ssl == (options if broker.startswith("redis") else None)
    with_own = make_app(settings(broker, broker_ca_certificates=authority)).conf.broker_use_ssl
    named = {it for it in with_own or {} if "ca_certs" in it}
    assert len(named) == (options is not None)


def test_rabbitmq_without_a_place_for_results_is_refused_by_name():
    with pytest.raises(SettingsError, match="AGENTCORE_RESULT_BACKEND_URL"):
        make_app(settings("amqp://x", result_backend_url=None))


def test_rabbitmq_is_given_no_options_of_redis():
    assert make_app(settings("amqp://x")).conf.broker_transport_options == {}


@pytest.mark.parametrize(("broker", "urgency"), [("redis://x", [9, 5, 0]), ("amqp://x", [0, 4, 9])])
def test_priority_nine_is_always_the_most_urgent(monkeypatch, broker, urgency):
    sent = []
    monkeypatch.setattr(module, "_settings", settings(broker))
    monkeypatch.setattr(
        module.app, "send_task", lambda *_, priority, **_more: sent.append(priority)
    )
    for priority in (0, 4, 9):
        assert module.send_execute(EXECUTION, priority)
    assert sent == urgency


def test_a_broker_that_is_away_is_no_error(monkeypatch):
    def away(*_args, **_kwargs):
        raise ConnectionRefusedError

    monkeypatch.setattr(module.app, "send_task", away)
    assert module.send_execute(EXECUTION, 4) is False


@pytest.mark.parametrize("error", [AccessRefused("who are you?"), NotAllowed("no such place")])
def test_a_broker_that_refuses_us_is_no_error(monkeypatch, error):
    def refuse(*_args, **_kwargs):
        raise error

    monkeypatch.setattr(module.app, "send_task", refuse)
    assert module.send_execute(EXECUTION, 4) is False


@pytest.mark.timeout(30)  # Celery's own broadcast would try for ever
@pytest.mark.parametrize("broker", ["redis://127.0.0.1:1/0", "amqp://127.0.0.1:1//"])
def test_a_cancel_gives_up_on_a_broker_that_is_away(monkeypatch, broker):
    app = make_app(settings(broker))
    monkeypatch.setattr(module, "app", app)
    with capture_logs() as logs:
        module.send_cancel(EXECUTION)
    assert [line["event"] for line in logs] == ["broker_unavailable"]


def test_no_thread_but_the_main_one_waits_on_a_connection_to_rabbitmq():
    assert make_app(settings("amqp://x")).conf.worker_enable_prefetch_count_reduction is False


def test_a_worker_outlives_a_channel_that_the_broker_closes():
    assert make_app(settings("amqp://x")).conf.broker_channel_error_retry is True


def test_rabbitmq_is_asked_for_no_queue_that_its_next_release_refuses():
    conf = make_app(settings("amqp://x")).conf
    # Of queues that do not last, only exclusive ones are left.
    for kind in ("control", "event"):
        assert conf[f"{kind}_queue_exclusive"] is True
        assert conf[f"{kind}_queue_durable"] is False
    assert all(queue.durable for queue in conf.task_queues)


def test_a_connection_to_rabbitmq_is_watched_from_both_sides():
    conf = make_app(settings("amqp://x")).conf
    assert conf.broker_heartbeat == BROKER_HEARTBEAT
    assert conf.broker_connection_timeout == BROKER_TIMEOUT
