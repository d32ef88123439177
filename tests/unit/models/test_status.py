"""The status machine on its own."""

from models.status import TERMINAL, TRANSITIONS, Reason, Status


def test_every_status_has_its_transitions():
    assert set(TRANSITIONS) == set(Status)


def test_an_end_is_never_left():
    assert all(not TRANSITIONS[status] for status in TERMINAL)
    assert {status for status in Status if status.is_terminal} == TERMINAL


def test_only_queued_and_running_are_not_ends():
    assert set(Status) - TERMINAL == {Status.QUEUED, Status.RUNNING}


def test_a_status_never_changes_to_itself():
    assert all(status not in after for status, after in TRANSITIONS.items())


def test_every_end_can_be_reached_from_running():
    assert TRANSITIONS[Status.RUNNING] >= TERMINAL


def test_what_never_ran_can_neither_succeed_nor_fail_nor_time_out():
    assert not TRANSITIONS[Status.QUEUED] & {Status.SUCCEEDED, Status.FAILED, Status.TIMED_OUT}


def test_a_lost_start_goes_back_to_queued():
    assert Status.QUEUED in TRANSITIONS[Status.RUNNING]


def test_no_status_and_reason_share_a_word():
    assert not {str(status) for status in Status} & {str(reason) for reason in Reason}
