"""Runs a program under RestrictedPython: a policy, and no security boundary.

The container is the boundary. This keeps a program to a part of Python that computes: it turns
down what no ordinary computation needs and says on which line. Runs as the program's own process.
"""
