"""Reddit's API as a crawl uses it, over PRAW: read-only, patient, and each refusal told for what it is."""

import configparser
import logging
from contextlib import suppress
from typing import Any

import praw
import prawcore
from praw.exceptions import MissingRequiredAttributeException, PRAWException

from corpus_lonely.errors import CrawlError, first_line
from corpus_lonely.ingest.crawl.patience import NoAnswerError, Patience, PatientRequestor

# prawcore warns of what it tries again, and logging prints warnings that nobody asked for
logging.getLogger("prawcore").addHandler(logging.NullHandler())

_WAYS = (
    "Give them in praw.ini or as praw_client_id, praw_client_secret and praw_user_agent. Reddit gives "
    "them after approval alone; dumps need none: corpus-lonely ingest dump. See docs/crawl.md"
)
_TRIPPED = (AssertionError, KeyError, TypeError, ValueError)
"""What PRAW and prawcore raise over a 400, a 401 or a token that tells less than they expect."""
_NO_JSON = "Reddit answers with what is no JSON"
_TRIES_OF_BAD_JSON = 4
_REASONS = {
    "private": "is private",
    "banned": "was banned by Reddit",
    "quarantined": "is quarantined, which a read-only crawl cannot enter",
    "gold_only": "is for subscribers of Reddit alone",
}
_STATUS = {
    400: "is refused by Reddit as a bad request (400)",
    403: "is refused by Reddit (403): private, quarantined, or your access does not cover it",
    404: "is not there (404): misspelled, banned or deleted",
    451: "is withheld by Reddit for legal reasons (451)",
}


class RefusedError(Exception):
    """Reddit answers, and will not give this one thing: says why, in words that follow its name."""


class RedditClient:
    """Raw JSON from Reddit's API; PRAW sees to tokens and rate limits."""

    def __init__(self, site: str | None, patience: Patience) -> None:
        """site: the section of praw.ini. CrawlError when credentials are missing."""
        self.patience = patience
        self._reddit = _opened(site, patience)
        self._reddit.read_only = True

    @property
    def requests(self) -> int:
        """Made so far, those for tokens and those that were made again included."""
        return self.patience.requests

    def get(self, path: str, params: dict[str, str | int]) -> Any:
        """The answer to a GET. RefusedError, NoAnswerError, or CrawlError for wrong credentials."""
        return self._request("GET", path, params=params)

    def post(self, path: str, data: dict[str, Any]) -> Any:
        """The answer to a POST; raises what `get` does."""
        return self._request("POST", path, data=data)

    def _request(self, method: str, path: str, **content: Any) -> Any:
        try:
            return self._answer(method, path, **content)
        except prawcore.Redirect as error:
            raise RefusedError("is not there: misspelled, or never made") from error
        except (
            prawcore.OAuthException,
            prawcore.InvalidToken,
            prawcore.InsufficientScope,
        ) as error:
            raise _credentials(first_line(error)) from error
        except prawcore.ResponseException as error:
            token = "access_token" in error.response.url
            raise self._refusal(error.response.status_code, _reason(error), token=token) from error
        except prawcore.RequestException as error:
            raise CrawlError(f"Reddit cannot be asked ({first_line(error)})") from error
        except PRAWException as error:
            raise RefusedError(f"is refused by Reddit ({first_line(error)})") from error
        except _TRIPPED as error:
            if self.patience.status == 200:
                raise NoAnswerError("Reddit answers with what is no token") from error
            raise self._refusal(self.patience.status) from error

    def _answer(self, method: str, path: str, **content: Any) -> Any:
        for attempt in range(_TRIES_OF_BAD_JSON):
            if attempt:
                self.patience.wait(attempt, None, _NO_JSON)
            with suppress(prawcore.BadJSON):  # a page for people that breaks in when servers do
                return self._reddit.request(method=method, path=path, **content)
        raise NoAnswerError(_NO_JSON)

    @staticmethod
    def _refusal(status: int, reason: str = "", *, token: bool = False) -> Exception:
        if status == 401 or token:
            return _credentials(f"it answers {status}")
        told = _REASONS.get(reason, _STATUS.get(status))
        return RefusedError(told or f"is refused by Reddit ({status})")


def _opened(site: str | None, patience: Patience) -> praw.Reddit:
    try:
        return praw.Reddit(
            site,
            requestor_class=PatientRequestor,
            requestor_kwargs={"patience": patience},
            check_for_updates=False,
            check_for_async=False,
        )
    except MissingRequiredAttributeException as error:
        missing = str(error).partition("'")[2].partition("'")[0]
        raise CrawlError(f"Reddit's credentials lack {missing}", hint=_WAYS) from error
    except configparser.NoSectionError as error:
        raise CrawlError(f"praw.ini has no section [{error.section}]", hint=_WAYS) from error
    except (configparser.Error, UnicodeDecodeError, ValueError) as error:
        raise CrawlError(f"praw.ini is not readable ({first_line(error)})") from error


def _credentials(what: str) -> CrawlError:
    hint = (
        "Check client_id and client_secret, and that Reddit approved the access. See docs/crawl.md"
    )
    return CrawlError(f"Reddit refuses the credentials ({what})", hint=hint)


def _reason(error: prawcore.ResponseException) -> str:
    try:
        content = error.response.json()
    except ValueError:
        return ""
    return str(content.get("reason")) if isinstance(content, dict) else ""
