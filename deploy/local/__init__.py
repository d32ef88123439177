"""The stack of one machine: embedded PostgreSQL and Valkey, and our own processes, supervised.

`python -m deploy.local up|down|status`. Linux only. The pieces, from the ground up: `handles`
(who a process is), `secrets`, `sockets`, `postgres`, `valkey`, `services` (the two together),
`processes`, `stack` (all of it).
"""
