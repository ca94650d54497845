"""The exceptions of this package; each says what is wrong, where, and what to do.

CorpusLonelyError            exit status 1
├── InputError               a file or folder that was given cannot be used
│   ├── TruncatedFileError   a compressed file ends before its last frame does
│   ├── CorruptFileError     a compressed file holds bytes that its format does not allow
│   ├── LabelsError          a labelled data set without the columns or votes that training needs
│   └── ModelError           a folder that is no model, or a model of another kind
├── OutputError              the output cannot be written: a conflict, a full disk, no permission
│   └── BusyError            another process is at work in that folder, and may be left to it
├── StorageError             a store such as S3 that does not answer now, and may later
├── CrawlError               Reddit refuses the credentials, or does not answer
├── ScoringError             shards that could not be scored, by name
└── SettingsError            a setting that breaks a rule (exit status 2)
"""


class CorpusLonelyError(Exception):
    """Anything this package refuses to do, told in one line.

    what: the rule that is broken, with the value that breaks it.
    where: the file, folder, URL or key concerned, if there is one.
    hint: what to do about it.
    """

    exit_status = 1

    def __init__(self, what: str, *, where: object = None, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        line = f"{self.where}: {self.what}" if self.where is not None else self.what
        return f"{line}. {self.hint}" if self.hint else line

    def __reduce__(self) -> tuple[object, ...]:
        # keyword-only arguments do not survive the default pickling, and errors cross process borders
        return _rebuild, (type(self), self.what, self.where, self.hint)


def first_line(error: BaseException) -> str:
    """The first line of what another library says, fit to stand in brackets in a line of ours."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def _rebuild(
    kind: type[CorpusLonelyError], what: str, where: str | None, hint: str | None
) -> CorpusLonelyError:
    return kind(what, where=where, hint=hint)


class InputError(CorpusLonelyError):
    """A file or folder that was given cannot be used."""


class TruncatedFileError(InputError):
    """A compressed file ends before its last frame does."""


class CorruptFileError(InputError):
    """A compressed file holds bytes that its format does not allow."""


class LabelsError(InputError):
    """A labelled data set lacks the columns or the votes that training needs."""


class ModelError(InputError):
    """A folder is no model, or holds a model of another kind."""


class OutputError(CorpusLonelyError):
    """The output cannot be written: a conflict with what is there, a full disk, no permission."""


class BusyError(OutputError):
    """Another process is at work in that folder, and may be left to it."""


class StorageError(CorpusLonelyError):
    """A store such as S3 does not answer, though it was asked again and again; it may later."""


class CrawlError(CorpusLonelyError):
    """Reddit's API cannot be used: no or wrong credentials, no access, or no answer for long."""


class ScoringError(CorpusLonelyError):
    """Some shards could not be scored."""


class SettingsError(CorpusLonelyError):
    """A setting breaks a rule."""

    exit_status = 2
