"""Everything this package raises on purpose.

ProfileError
├── UnknownProfileError      a profile name that does not exist
├── SyscallRequestError      a request to change a profile's system calls that is refused
│   ├── UnknownSyscallError      the name is no system call
│   ├── DangerousSyscallError    no profile has the call, and the operator does not permit it
│   └── RequiredSyscallError     without the call no container starts
├── CapabilityRequestError   a request to add capabilities that is refused
│   ├── UnknownCapabilityError   the name is no capability
│   └── DangerousCapabilityError it owns the host, and the operator does not permit it
├── RenderError              a profile file cannot be written or read
│   ├── InvalidAgentIdError      the agent id is no safe file name
│   └── UnsafeDirectoryError     the directory is missing or open to other users
└── LoadError                the kernel did not take an AppArmor profile
"""


class ProfileError(Exception):
    """Base of all errors of this package; its text is one line for a person to act on."""


class UnknownProfileError(ProfileError):
    """No profile has this name."""


class SyscallRequestError(ProfileError):
    """A request to add or remove a system call is refused."""


class UnknownSyscallError(SyscallRequestError):
    """The name is not a Linux system call known to this package."""


class DangerousSyscallError(SyscallRequestError):
    """The call is blocked in every profile; only the operator's settings can permit it."""


class RequiredSyscallError(SyscallRequestError):
    """The call cannot be blocked: the container runtime needs it to start the program."""


class CapabilityRequestError(ProfileError):
    """A request to add capabilities is refused."""


class UnknownCapabilityError(CapabilityRequestError):
    """The name is not a Linux capability in upper case without CAP_."""


class DangerousCapabilityError(CapabilityRequestError):
    """The capability owns the host; only the operator's settings can permit it."""


class RenderError(ProfileError):
    """A rendered profile cannot be written or compared."""


class InvalidAgentIdError(RenderError):
    """The agent id cannot be part of a file name."""


class UnsafeDirectoryError(RenderError):
    """The profile directory is missing, or users other than its owner may write to it."""


class LoadError(ProfileError):
    """The AppArmor profiles could not be loaded: no parser, no kernel support, or a refusal."""
