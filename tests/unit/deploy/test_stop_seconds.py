"""How long `down` waits."""

import pytest

from deploy.local.environment import DRAIN_SECONDS, STOP_SLACK_SECONDS, stop_seconds
from models.settings import Settings
from worker.shutdown import HAND_BACK_SECONDS


@pytest.mark.parametrize(("given", "drain"), [({}, 30), ({"AGENTCORE_DRAIN_SECONDS": "2.5"}, 2.5)])
def test_down_waits_longer_than_a_worker_takes_to_stop(given, drain):
    assert stop_seconds(given) == drain + STOP_SLACK_SECONDS
    assert STOP_SLACK_SECONDS > HAND_BACK_SECONDS


def test_a_value_that_no_worker_accepts_is_as_none():
    assert stop_seconds({"AGENTCORE_DRAIN_SECONDS": "soon"}) == stop_seconds({})


def test_the_default_is_the_settings():
    assert Settings.model_fields["drain_seconds"].default == DRAIN_SECONDS
