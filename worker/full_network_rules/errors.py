"""What keeps the command from doing its work, in words that say what to do.

FullNetworkRulesError
├── NotHereError        this host, or this user, cannot have the rules
├── NameServerError     an address that is no name server's
└── TablesError         the kernel's tables could not be read or changed
"""


class FullNetworkRulesError(Exception):
    """Base of this package's errors; its text is one line for a person to act on."""


class NotHereError(FullNetworkRulesError):
    """Not root, no iptables, or no Docker engine on this host."""


class NameServerError(FullNetworkRulesError):
    """A name server is given by its IPv4 address, and this is none."""


class TablesError(FullNetworkRulesError):
    """A program of iptables failed; nothing was changed."""
