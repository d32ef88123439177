"""The security audit: what of the defences is in force on this host, and what to do about the rest.

`collect` gathers the facts once; each section's module turns facts into verdicts and touches
nothing else; `report` prints them. `command` wires the three.
"""
