"""What can go wrong while deploying. Each message is one line that says what to do next.

DeployError
├── BootstrapError          the Python environment could not be made
├── SystemPackageError      a package of the operating system is missing and cannot be installed
├── EngineError             no Docker engine answers and none could be started
├── ImageError              an image could not be built
├── ComposeError            the stack of docker-compose.yml could not be started or stopped
└── LocalStackError         the embedded local stack
    ├── StateDirectoryError     the state directory, its secrets or its sockets are unusable
    ├── DiskFullError           too little room to start safely
    ├── PortInUseError          somebody else listens where we must
    └── ServiceStartError       a service did not start, or died while starting
"""

from __future__ import annotations


class DeployError(Exception):
    """Base of everything in this package; `str(error)` is one line for people."""


class BootstrapError(DeployError):
    """The Python environment could not be made."""


class SystemPackageError(DeployError):
    """A package of the operating system is missing and cannot be installed from here."""


class EngineError(DeployError):
    """No Docker engine answers and none could be started."""


class ImageError(DeployError):
    """An image could not be built."""


class ComposeError(DeployError):
    """The stack of docker-compose.yml could not be started or stopped."""


class LocalStackError(DeployError):
    """The embedded local stack could not do what was asked."""


class StateDirectoryError(LocalStackError):
    """The state directory, its secrets or its sockets are unusable."""


class DiskFullError(LocalStackError):
    """Too little room on disk to start safely."""


class PortInUseError(LocalStackError):
    """Somebody else listens on a port that the stack needs."""


class ServiceStartError(LocalStackError):
    """A service did not start, or died while starting."""
