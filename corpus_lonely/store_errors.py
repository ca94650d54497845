"""What the libraries of object stores mean by their errors, told in one line."""

import errno
from dataclasses import dataclass

from corpus_lonely.errors import CorpusLonelyError, OutputError, StorageError, first_line

_PASSING_ERRNOS = frozenset(
    {
        errno.EBUSY,
        errno.EIO,
        errno.ETIMEDOUT,
        errno.ECONNRESET,
        errno.ECONNREFUSED,
        errno.ECONNABORTED,
        errno.ENETUNREACH,
        errno.EHOSTUNREACH,
        errno.EPIPE,
        getattr(errno, "EREMOTEIO", errno.EIO),
    }
)
"""As s3fs translates what a server answers: 500 and 503 are EREMOTEIO and EBUSY."""
_PASSING = frozenset(
    {
        "TimeoutError",
        "ConnectionError",
        "HTTPClientError",
        "ClientConnectionError",
        "ClientPayloadError",  # an answer that breaks off
        "ResponseParserError",  # one that is no XML: a proxy's page
    }
)
_DENIED = frozenset({"PermissionError", "ClientAuthenticationError"})
_UNSUPPORTED_ERRNOS = frozenset({errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP})
_AGAIN = "What is done is kept: run the same command again to go on"


@dataclass(frozen=True)
class StoreTrouble:
    """An error of a store's library; the libraries are known by the names of their classes alone.

    Some of those classes are no OSError, and to import them would be to need every store's library.
    """

    error: Exception

    @property
    def bucket_missing(self) -> bool:
        """Whether it says that the bucket itself is not there."""
        return self._code == "NoSuchBucket"

    @property
    def unsupported(self) -> bool:
        """Whether the store may not know what it was asked for."""
        return getattr(self.error, "errno", None) in _UNSUPPORTED_ERRNOS

    @property
    def passing(self) -> bool:
        """Whether the same request may succeed later."""
        known = getattr(self.error, "errno", None) in _PASSING_ERRNOS
        return known or bool(self._kinds & _PASSING)

    def told(
        self,
        where: str,
        kind: type[CorpusLonelyError] = OutputError,
        otherwise: str = "cannot be written",
    ) -> CorpusLonelyError:
        """The error of ours: StorageError for what may pass, else one of `kind`.

        otherwise: what went wrong, where nothing better is known.
        """
        reason = getattr(self.error, "strerror", None) or first_line(self.error)
        if isinstance(self.error, ImportError):
            what, hint = "needs a package that is not installed", _install(where, reason)
        elif any("Credentials" in name for name in self._kinds):
            what, hint = (
                "no credentials for it were found",
                "docs/storage.md says where to put them",
            )
        elif self._kinds & _DENIED:
            what, hint = (
                f"permission denied ({reason})",
                "Check the credentials and what they allow",
            )
        elif self.bucket_missing:
            what, hint = "the bucket does not exist", "Make it, or check its name"
        elif self.passing:
            return StorageError(f"does not answer ({reason})", where=where, hint=_AGAIN)
        else:
            return kind(f"{otherwise} ({reason})", where=where)
        return kind(what, where=where, hint=hint)

    @property
    def _kinds(self) -> frozenset[str]:
        return frozenset(kind.__name__ for kind in type(self.error).__mro__)

    @property
    def _code(self) -> str:
        answer = getattr(self.error.__cause__ or self.error, "response", None)
        told = answer.get("Error", {}) if isinstance(answer, dict) else {}
        return str(told.get("Code", ""))


def _install(place: str, reason: str) -> str:
    if place.startswith(("s3:", "s3a:")):
        return "Run: pip install 'corpus-lonely[s3]'"
    return reason
