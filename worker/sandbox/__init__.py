"""Sandboxes: single-use containers with a supervisor inside."""
