"""The folder that a run of training makes: finished before or not, its checkpoints, and how it comes into place."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpus_lonely.errors import OutputError
from corpus_lonely.files import about_folder, output_error, read_json, sync
from corpus_lonely.training.checkpoints import clear_torn


@dataclass(frozen=True)
class RunFolder:
    """Where a run's model goes; what is on its way lies in the folder beside."""

    out: Path
    command: str
    """The command that makes such folders."""
    record: str
    """The JSON file in the folder that says what was done; it holds the run's fingerprint."""
    others: str
    """What the folder holds when its fingerprint is not the run's."""

    @property
    def about(self) -> Path:
        """The folder beside, for what is on its way."""
        return about_folder(self.out)

    def finished(self, fingerprint: str, overwrite: bool) -> dict[str, Any] | None:
        """The record of the same run finished before; OutputError when `out` holds anything else."""
        out = self.out
        if not out.exists() or (out.is_dir() and not any(out.iterdir())):
            return None
        record = out / self.record
        if not record.is_file():
            what = (
                f"was not made by `corpus-lonely {self.command}`"
                if overwrite
                else "exists and is not empty"
            )
            raise OutputError(what, where=out, hint="Give another --out")
        if overwrite:
            return None
        found: dict[str, Any] = read_json(record)
        if found.get("fingerprint") != fingerprint:
            raise OutputError(
                f"holds {self.others}",
                where=out,
                hint="Give another --out, or --overwrite to replace it",
            )
        return found

    def checkpoints_of(self, fingerprint: str) -> Path:
        """Where the checkpoints of the run of that fingerprint lie."""
        return self.about / "checkpoints" / fingerprint

    def clear_checkpoints(self, fingerprint: str) -> Path:
        """Makes the place for this run's checkpoints; those of another run and torn ones go."""
        ours = self.checkpoints_of(fingerprint)
        try:
            keep_only(ours)
            ours.mkdir(parents=True, exist_ok=True)
            clear_torn(ours)
        except OSError as error:
            raise output_error(error, ours.parent) from error
        return ours

    def publish(self, write: Callable[[Path], None]) -> None:
        """The model folder, made beside by `write` and renamed into place; then the rest is let go."""
        draft = self.about / "model"
        try:
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir(parents=True)
            write(draft)
            for path in draft.iterdir():
                path.chmod(
                    0o644
                )  # some writers leave files to their owner alone; a lab shares models
                sync(path)
            sync(draft)
            if self.out.exists():  # aside first: half removed, nobody would know whose it was
                shutil.rmtree(self.about / "replaced", ignore_errors=True)
                self.out.rename(self.about / "replaced")
            self.out.parent.mkdir(parents=True, exist_ok=True)
            draft.rename(self.out)
            sync(self.out.parent)
            for name in ("checkpoints", "tokens", "replaced"):
                if (self.about / name).is_dir():
                    shutil.rmtree(self.about / name)
            if not any(self.about.iterdir()):
                self.about.rmdir()
        except OSError as error:
            raise output_error(error, self.out) from error


def keep_only(ours: Path) -> None:
    """Removes what lies beside `ours`: it belongs to runs that were given up."""
    if ours.parent.is_dir():
        for other in ours.parent.iterdir():
            if other != ours:
                shutil.rmtree(other)
