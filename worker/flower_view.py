"""What of Flower is served: it shows workers and tasks, and changes nothing.

By the routes that change something, its one password could submit for any tenant, and stop workers.
"""

import os
from typing import Any

from flower import urls
from flower.api.tasks import TaskResult
from flower.views.monitor import Metrics


def only_show() -> None:
    """Let Flower refuse changes; take away its metrics, which ask for no password, and results.

    The result of an `agentcore.run` is a tenant's output.
    """
    os.environ["FLOWER_READ_ONLY"] = "true"
    urls.handlers[:] = [
        item for item in urls.handlers if _handler(item) not in (Metrics, TaskResult)
    ]


def _handler(route: Any) -> Any:
    return route[1] if isinstance(route, tuple) else route.handler_class
