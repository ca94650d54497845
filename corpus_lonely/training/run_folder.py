"""The folder that a run of training makes: finished before or not, its checkpoints, and how it comes into place."""

import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from corpus_lonely.errors import OutputError
from corpus_lonely.files import about_folder, output_error, read_json, sync, write_json
from corpus_lonely.progress import Progress
from corpus_lonely.training.checkpoints import clear_torn, whole
from corpus_lonely.training.devices import Computing

_RUN = "run.json"
"""Beside the checkpoints: what their run was told, and how it computes."""
_CONTENTS = "its labels, posts or encoder"


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

    def begin(
        self,
        fingerprint: str,
        settings: dict[str, Any],
        computing: Computing,
        *,
        overwrite: bool,
        progress: Progress,
    ) -> Computing:
        """Makes the place for this run's checkpoints, or finds it; how it is to compute, which is as it began.

        Raises OutputError where checkpoints would be lost or could not be gone on from, unless they are
        to be overwritten; torn ones go.
        """
        ours = self.checkpoints_of(fingerprint)
        try:
            for other in unfinished(self.out):
                if other != ours and not overwrite:
                    raise lost(other, differing(other, settings))
            keep_only(ours)
            ours.mkdir(parents=True, exist_ok=True)
            clear_torn(ours)
            began = self.computing_of(fingerprint)
            if began and any(whole(ours)):
                computing = _as_it_began(began, computing, ours, overwrite, progress)
            if began is None or not any(whole(ours)):
                told = {"settings": settings, "computed": asdict(computing)}
                write_json(ours / _RUN, told)
        except OSError as error:
            raise output_error(error, ours.parent) from error
        return computing

    def computing_of(self, fingerprint: str) -> Computing | None:
        """How the run of that fingerprint began to compute; None when there is none that tells."""
        told = _told(self.checkpoints_of(fingerprint)).get("computed")
        return Computing(**told) if told else None

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


def unfinished(out: Path) -> list[Path]:
    """The folders of checkpoints beside `out` that a run could go on from."""
    place = about_folder(out) / "checkpoints"
    return [run for run in sorted(place.iterdir()) if any(whole(run))] if place.is_dir() else []


def differing(checkpoints: Path, settings: dict[str, Any]) -> dict[str, str]:
    """Setting to what the run of these checkpoints was told and what it is told now, where they differ."""
    told = _told(checkpoints).get("settings", settings)
    return {
        name: f"{told.get(name)}, not {settings.get(name)}"
        for name in {**told, **settings}
        if told.get(name) != settings.get(name)
    }


def lost(checkpoints: Path, differences: dict[str, str]) -> OutputError:
    """That a run of other settings would throw these checkpoints away."""
    told = [f"{name.replace('_', '-')} ({values})" for name, values in differences.items()]
    return OutputError(
        f"holds checkpoints of an unfinished run that differs in {', '.join(told) or _CONTENTS}",
        where=checkpoints,
        hint="Give another --out, or remove that folder, as --overwrite does, to begin anew",
    )


def _as_it_began(
    began: Computing, here: Computing, checkpoints: Path, overwrite: bool, progress: Progress
) -> Computing:
    """How a run goes on that began there and is here now; it computes in float32 everywhere."""
    if began.precision in (here.precision, "fp32"):
        if began != here:
            progress.note(
                f"Begun on {began.device} in {began.precision}, and going on in that on {here.device}."
            )
        return replace(here, precision=began.precision)
    if overwrite:
        for path in whole(checkpoints):
            shutil.rmtree(path)
        return here
    raise OutputError(
        f"holds checkpoints of a run in {began.precision} on {began.device}; on this {here.device}, "
        f"--precision auto is {here.precision}, which comes to other weights",
        where=checkpoints,
        hint="Go on where it began, or remove that folder, as --overwrite does, to begin anew",
    )


def _told(checkpoints: Path) -> dict[str, Any]:
    """What was told of a run as it began; nothing by versions that did not."""
    path = checkpoints / _RUN
    found: dict[str, Any] = read_json(path) if path.is_file() else {}
    return found


def keep_only(ours: Path) -> None:
    """Removes what lies beside `ours`: it belongs to runs that were given up."""
    if ours.parent.is_dir():
        for other in ours.parent.iterdir():
            if other != ours:
                shutil.rmtree(other)
