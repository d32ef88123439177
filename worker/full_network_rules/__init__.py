"""The host's firewall rules for sandboxes with `full` network access.

`rules` says what they are, `judging` what is wrong with those in force, both purely; `tables` and
`host` look at the machine; `work` does what an operator asks `command` for.
"""
