"""Why a fetch failed, in the words of the adapter's status."""

EX_USAGE = 2
"""Exit code for a command line that is wrong; argparse's."""
EX_REFUSED = 3
"""Exit code for what another attempt would not change: the source, its credentials or its files are to be corrected."""
EX_AGAIN = 4
"""Exit code for what may be different the next time: a server that does not answer, a full volume."""
EX_TERMINATED = 143
"""Exit code after SIGTERM."""


UNTRUSTED = "has a certificate of an authority that is not known here: give the Secret its CA_CERTIFICATE, or renew it"


class FetchError(Exception):
    """A fetch that ends without an adapter: `reason` is a code, the text says what is wrong and what to change."""

    def __init__(self, reason: str, message: str, *, again: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.again = again
        """Whether the same attempt may succeed later."""
