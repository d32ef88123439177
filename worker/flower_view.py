"""What of Flower is served: it shows workers and tasks, and changes nothing.

By the routes that change something, its one password could submit for any tenant, and stop workers.
"""

from typing import Any

from flower import urls
from flower.api import control, tasks
from flower.views.monitor import Metrics

CHANGES = (tasks.TaskApply, tasks.TaskAsyncApply, tasks.TaskSend, tasks.TaskAbort)


def only_show() -> None:
    """Take away what changes something, and the metrics, which ask for no password."""
    urls.handlers[:] = [route for route in urls.handlers if not _is_taken_away(_handler(route))]


def _handler(route: Any) -> type:
    found: type = route[1] if isinstance(route, tuple) else route.handler_class
    return found


def _is_taken_away(handler: type) -> bool:
    return handler.__module__ == control.__name__ or handler in (*CHANGES, Metrics)
