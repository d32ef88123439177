"""Everything this package raises on purpose.

ProfileError
├── UnknownProfileError      a profile name that does not exist
├── SyscallRequestError      a request to change a profile's system calls that is refused
│   ├── UnknownSyscallError      the name is no system call
│   ├── DangerousSyscallError    the call is blocked in every profile
│   └── RequiredSyscallError     without the call no container starts
└── RenderError              a profile file cannot be written or read
    ├── InvalidAgentIdError      the agent id is no safe file name
    └── UnsafeDirectoryError     the directory is missing or open to other users
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
    """The call is blocked in every profile and cannot be allowed by a request."""


class RequiredSyscallError(SyscallRequestError):
    """The call cannot be blocked: the container runtime needs it to start the program."""


class RenderError(ProfileError):
    """A rendered profile cannot be written or compared."""


class InvalidAgentIdError(RenderError):
    """The agent id cannot be part of a file name."""


class UnsafeDirectoryError(RenderError):
    """The profile directory is missing, or users other than its owner may write to it."""
