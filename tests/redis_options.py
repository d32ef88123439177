"""Reads a command of redis-server, of Compose or of a pod."""


def redis_options(command: list[str]) -> dict[str, str]:
    """Return what follows the configuration file, by the options' names."""
    assert command[:2] == ["redis-server", "/run/secrets/redis_conf"]
    return dict(zip(command[2::2], command[3::2], strict=True))


def bytes_of(size: str) -> int:
    """Return what Redis writes as `256mb`, and a pod as `512Mi`, in bytes."""
    units = {"mb": 1 << 20, "Mi": 1 << 20, "gb": 1 << 30, "Gi": 1 << 30}
    return int(size[:-2]) * units[size[-2:]]
