"""Frames between worker and supervisor: one byte of kind, four bytes of length, the payload.

To the guest: INSPECT, answered by a REPORT each time; then one JOB, one DATA for each input file
and one for standard input, later perhaps a KILL. From the guest, after the job: STARTED, output
frames, artifacts, EXIT.

A batch's JOB names the sizes of its inputs, which come last, without gaps, in DATA of any length.
In the place of output frames there is a RUN for each input, in their order.
"""

import struct

HEADER = struct.Struct(">cI")
RUN_HEAD = struct.Struct(">I")  # bytes of JSON, with which a RUN begins
MAX_GUEST_FRAME = 65_536  # bytes of payload in one frame from the guest
MAX_HOST_FRAME = 16_777_216  # bytes of payload in one frame to the guest
MAX_POLICY_REPORT = 2_000  # bytes read of what the policy refused

# RestrictedPython is run by its own program, named in the job's argv: an image without it fails
# to run the job instead of running it unchecked. What it refuses it writes to this descriptor.
POLICY_RUNNER = "/usr/local/lib/agentcore/guest/restricted"
POLICY_FD = 3
POLICY_REFUSED = "refused by RestrictedPython, a policy and no security boundary"

# Where a sandbox that may reach hosts finds its egress proxy: a folder of the host, read-only.
EGRESS_FOLDER = "/run/agentcore"
EGRESS_SOCKET = f"{EGRESS_FOLDER}/egress.sock"
EGRESS_PORT = 3128  # on loopback inside, where programs find it; as many HTTP proxies have it

INSPECT = b"I"  # JSON: `patience_seconds`, how long to wait for the next word after this
JOB = b"J"  # JSON: what to run
DATA = b"D"  # bytes of the next input file, of standard input, or of inputs
KILL = b"K"  # end the program now, then report as usual

REPORT = b"R"  # JSON: the isolation in force, read anew each time, and before any user byte
STARTED = b"S"  # user code is about to run
STDOUT = b"O"
STDERR = b"E"
STDOUT_TAIL = b"o"  # what was kept of the end, once the head was full
STDERR_TAIL = b"e"
RUN = b"U"  # length, JSON, and what one run of a batch wrote, cut to a frame's cap
REST = b"u"  # what of it the frame before had no room for
ARTIFACT = b"A"  # JSON: path and size of the artifact whose CONTENT frames follow
CONTENT = b"C"
EXIT = b"X"  # JSON: how the program ended; the last frame

GUEST_KINDS = frozenset(
    {REPORT, STARTED, STDOUT, STDERR, STDOUT_TAIL, STDERR_TAIL, RUN, REST, ARTIFACT, CONTENT, EXIT}
)


def frame(kind: bytes, payload: bytes = b"") -> bytes:
    """Return one frame, ready to be written."""
    return HEADER.pack(kind, len(payload)) + payload
