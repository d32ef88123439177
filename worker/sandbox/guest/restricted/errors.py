"""What the policy raises."""


class PolicyViolationError(Exception):
    """The program did what the policy does not allow.

    A program may catch it as any other exception: what it asked for did not happen.
    """
