"""What every process of ours does first."""

import resource

import structlog

log = structlog.get_logger()

ENOUGH_DESCRIPTORS = 8192  # a thousand waiting clients, or hundreds of sandboxes, and some more


def raise_descriptor_limit() -> None:
    """Raise the soft limit on open descriptors to the hard one; many systems start at 1,024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard != resource.RLIM_INFINITY and hard < ENOUGH_DESCRIPTORS:
        log.warning("few_descriptors", hard_limit=hard, do=f"raise it to {ENOUGH_DESCRIPTORS}")
