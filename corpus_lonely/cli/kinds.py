"""Which kind of folder a command was given, told by what lies in it and beside it."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from corpus_lonely.files import about_folder

if TYPE_CHECKING:
    from corpus_lonely.storage import Place

Kind = Literal["posts", "marks", "scores", "model", "encoder", "report", "unknown"]


def kind_of(folder: "Place") -> Kind:
    """`unknown` where nothing tells; a place in a store can hold scores alone."""
    if not isinstance(folder, Path):
        return "scores"
    about = about_folder(folder)
    signs: tuple[tuple[Kind, bool], ...] = (
        ("scores", (about / "scores.json").exists() or any(folder.glob("part-*.parquet"))),
        ("posts", (about / "ingest.json").exists() or any(folder.glob("month=*/*.parquet"))),
        ("marks", (folder / "marks.parquet").exists()),
        ("encoder", (folder / "adaptation.json").exists()),
        ("model", (folder / "config.json").exists()),
        ("report", (folder / "study.json").exists()),
    )
    return next((kind for kind, found in signs if found), "unknown")
