"""How a request ended, in a closed vocabulary, and how a client is told."""

# Refused before anything is dialled, beside the words of `policy`.
BAD_REQUEST = "bad_request"  # not HTTP, not SOCKS, or a form that smuggling uses
BAD_HOST = "invalid_host"  # no host name and no address; a word of `policy`, too
BAD_SCHEME = "bad_scheme"  # absolute-form is for http:// alone; https:// goes by CONNECT
BAD_COMMAND = "bad_command"  # SOCKS: only CONNECT
HEADER_TIMEOUT = "header_timeout"  # the request did not come in time
QUOTA_EXCEEDED = "quota_exceeded"  # max_network_requests
TOO_MANY_CONNECTIONS = "too_many_connections"
BYTE_LIMIT = "byte_limit"  # also ends what is open
# Refused after the connection was made, before a byte was passed on.
NOT_TLS = "not_tls"  # port 443 is for TLS
NO_SERVER_NAME = "server_name_missing"
OTHER_SERVER_NAME = "server_name_mismatch"

# Allowed.
CLOSED = "closed"  # ended as such things end
UNRESOLVABLE = "unresolvable"
RESOLVE_TIMEOUT = "resolve_timeout"
CONNECT_FAILED = "connect_failed"
CONNECT_REFUSED = "connect_refused"
CONNECT_TIMEOUT = "connect_timeout"
UPSTREAM_FAILED = "upstream_failed"  # broke off
BAD_RESPONSE = "bad_response"  # not HTTP
IDLE_TIMEOUT = "idle_timeout"
CLIENT_GONE = "client_gone"
GATE_CLOSED = "gate_closed"  # the sandbox is being removed
INTERNAL = "internal_error"  # a fault of ours

# HTTP status codes of what was allowed and failed (RFC 9110, section 15.6); others are 502.
TIMEOUTS = frozenset({RESOLVE_TIMEOUT, CONNECT_TIMEOUT, IDLE_TIMEOUT})


def failure_status(reason: str) -> int:
    """Return the HTTP status for what was allowed and failed."""
    if reason == BYTE_LIMIT:
        return 403
    return 504 if reason in TIMEOUTS else 502


# SOCKS5 reply codes (RFC 1928, section 6).
SOCKS_OK, SOCKS_GENERAL, SOCKS_DENIED = 0, 1, 2
_SOCKS = {
    UNRESOLVABLE: 4,  # host unreachable
    RESOLVE_TIMEOUT: 4,
    CONNECT_FAILED: 4,
    CONNECT_REFUSED: 5,
    CONNECT_TIMEOUT: 6,  # "TTL expired", the nearest there is
    BAD_COMMAND: 7,
}


def socks_code(reason: str, *, denied: bool) -> int:
    """Return the SOCKS5 reply code of a reason."""
    return _SOCKS.get(reason, SOCKS_DENIED if denied else SOCKS_GENERAL)
