"""Which exit code tells what."""

import pytest
from agentcore_client import Execution
from agentcore_client.cli.exits import exit_code


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"status": "succeeded", "exit_code": 0}, 0),
        ({"status": "failed", "reason": "exit_nonzero", "exit_code": 3}, 3),
        ({"status": "failed", "reason": "signal", "exit_code": None, "signal": 11}, 139),
        ({"status": "failed", "reason": "oom_killed", "exit_code": None, "signal": None}, 137),
        ({"status": "failed", "reason": "command_not_found", "exit_code": None}, 127),
        ({"status": "failed", "reason": "result_invalid", "exit_code": 0}, 1),
        ({"status": "timed_out", "exit_code": None, "signal": 9}, 124),
        ({"status": "cancelled", "exit_code": None}, 130),
        ({"status": "rejected", "exit_code": None}, 125),
        ({"status": "lost", "exit_code": None}, 125),
        ({"status": "evaporated", "exit_code": 0}, 125),
    ],
)
def test_the_exit_code_tells_the_outcome(ended, fields, code):
    assert exit_code(Execution.parsed(ended(**fields))) == code
