"""Structured logs for every process: JSON lines on standard error, or readable with debug on."""

import logging
import os
import sys

import structlog

from models.settings import Settings, unknown_variables
from models.telemetry import add_trace_id

log = structlog.get_logger()

OURS = ("api", "models", "worker")
# Only what they warn of. Of Celery: its line for each message that comes, just when that is urgent.
NOISY = ("urllib3", "httpx", "kombu", "amqp", "celery.worker.strategy")


def configure_logging(settings: Settings) -> None:
    """Send our events and those of the libraries through one formatter."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        add_trace_id,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if settings.debug else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[settings.log_level.upper()]
        ),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.captureWarnings(True)  # or they would be lines of another kind
    root = logging.getLogger()
    root.handlers[:] = [handler]
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    # Libraries debug by quoting what they handle: Celery's pool, the arguments of agentcore.run.
    root.setLevel(max(level, logging.INFO))
    for package in OURS:
        logging.getLogger(package).setLevel(level)
    for noisy in NOISY:
        logging.getLogger(noisy).setLevel(logging.WARNING)
    for variable, near in unknown_variables(os.environ).items():
        log.warning(
            "unknown_setting", variable=variable, **({"did_you_mean": near} if near else {})
        )
