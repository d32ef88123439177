"""The worker: Celery application, executions, sandboxes, housekeeping."""
