"""What can go wrong with a call to the API server, one type per thing that a caller acts on."""


class KubeError(Exception):
    """A call that the API server did not carry out; the message is the server's, or says why there was no answer."""


class NotFoundError(KubeError):
    """The object, its namespace or its kind does not exist."""


class NamespaceGoneError(NotFoundError):
    """The namespace does not exist, or is about to go with everything in it."""


class ConflictError(KubeError):
    """The object is not the one that the caller meant: another uid, another resourceVersion, or it exists already."""


class AlreadyExistsError(ConflictError):
    """An object of this name exists."""


class ExpiredError(KubeError):
    """The resourceVersion, or the page token, is too old (410): list again."""


class RefusedError(KubeError):
    """The API server's definite no: invalid content, a quota, an admission policy, missing rights."""


class TransientError(KubeError):
    """No definite answer: throttled, overloaded, unreachable or too slow; `retry_after` is the server's wish in s."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NotLeaderError(KubeError):
    """This process may not write: it does not hold the lease, or could not renew it in time."""
