"""Reaches for the kernel's keys, which all containers of a user share."""

from attempt import attempt_call, report

attempt_call("keyctl", 0, -3, 0, 0, 0, label="id of the session's keyring")
attempt_call("keyctl", 0, -4, 1, 0, 0, label="make the user's keyring")
attempt_call("keyctl", 1, 0, 0, 0, 0, label="join a session")
attempt_call("add_key", b"user", b"agentcore", b"x", 1, -4)
attempt_call("request_key", b"user", b"agentcore", 0, 0)
report()
