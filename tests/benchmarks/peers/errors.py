"""Why a peer cannot be measured here."""


class PeerError(Exception):
    """A peer does not install or does not run; the message becomes its row's note."""
