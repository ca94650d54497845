"""Labelled posts: FIG-Loneliness's layout, from a folder or the hub, as texts and distributions."""

# N posts, L labels of all groups

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from corpus_lonely.errors import LabelsError, first_line
from corpus_lonely.metrics import Targets
from corpus_lonely.taxonomy import Category, Taxonomy
from corpus_lonely.text import normalise

SPLITS = {
    "train": ("train", "train_set"),
    "dev": ("dev", "dev_set", "validation", "valid", "val"),
    "test": ("test", "test_set"),
}
"""The splits and the names that data sets give them."""


@dataclass(frozen=True)
class LabelledPosts:
    """One split of a labelled data set."""

    texts: list[str]
    """Normalised as scored posts are."""
    targets: Targets
    held_out: bool = False
    """Taken out of the train split, for want of a dev split."""

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def fingerprint(self) -> str:
        """Sixteen hex digits that change with any text, target or order."""
        digest = hashlib.sha256(self.targets.values_NL.tobytes())
        digest.update("\x00".join(self.texts).encode())
        return digest.hexdigest()[:16]

    def take(self, rows: list[int]) -> "LabelledPosts":
        """Some of the posts, in the order of `rows`."""
        chosen = Targets(self.targets.taxonomy, self.targets.values_NL[rows])
        return LabelledPosts([self.texts[row] for row in rows], chosen)


def load_labels(source: str | Path, taxonomy: Taxonomy) -> dict[str, LabelledPosts]:
    """The splits `train`, `dev` and `test`, as far as the source has them.

    source: a folder that `save_to_disk` wrote (one split, or a folder of splits), any folder that
    `datasets.load_dataset` reads, or the id of a data set on the hub.
    Raises LabelsError in one line when it has no such columns or no votes.
    """
    return {
        name: read_split(table, taxonomy, f"{source} ({name})")
        for name, table in open_splits(source).items()
    }


def check_targets(posts: LabelledPosts, where: str) -> None:
    """LabelsError when a group has no target in any post: nothing can be learnt or judged there."""
    for group in posts.targets.taxonomy.groups:
        if not posts.targets.group(group)[1].any():
            raise LabelsError(f"has no post with a {group.name} label", where=where)


def open_splits(source: str | Path) -> dict[str, Any]:
    """The splits as `datasets.Dataset`s, whatever their columns; see `load_labels`."""
    path = Path(source).expanduser()
    if path.is_dir():
        return _open_folder(path, source)
    if path.exists() or path.is_absolute() or str(source).startswith("."):
        problem = "is a file, not a folder" if path.exists() else "does not exist"
        raise LabelsError(
            problem, where=source, hint="Give a folder that `save_to_disk` wrote, or a hub id"
        )
    return _open_folder(_download(str(source)), source)


def _download(hub_id: str) -> Path:
    from huggingface_hub import snapshot_download  # noqa: PLC0415  (needed for the hub alone)
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError  # noqa: PLC0415

    try:
        return Path(snapshot_download(hub_id, repo_type="dataset"))
    except (OSError, HfHubHTTPError, HFValidationError, ValueError) as error:
        raise LabelsError(
            f"is neither a folder here nor to be had from the hub ({first_line(error)})",
            where=hub_id,
        ) from error


def _open_folder(path: Path, source: str | Path) -> dict[str, Any]:
    import datasets  # noqa: PLC0415  (takes a second to import)

    datasets.disable_progress_bars()
    if (path / "state.json").is_file():
        return {_split_name(path.name): _from_disk(path)}
    found = {
        name: _from_disk(path / alias)
        for name, aliases in SPLITS.items()
        for alias in aliases
        if (path / alias / "state.json").is_file()
    }
    return found or _load_any(path, source)


def _from_disk(folder: Path) -> Any:
    import datasets  # noqa: PLC0415  (takes a second to import)

    try:
        return datasets.load_from_disk(str(folder))
    except (OSError, ValueError, TypeError, KeyError, pa.ArrowException) as error:
        raise LabelsError(f"is damaged ({first_line(error)})", where=folder) from error


def _load_any(path: Path, source: str | Path) -> dict[str, Any]:
    import datasets  # noqa: PLC0415  (takes a second to import)

    try:
        splits = datasets.load_dataset(str(path))
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise LabelsError(
            f"holds no labelled data set ({first_line(error)})",
            where=source,
            hint="It should hold train_set/ and dev_set/ as `save_to_disk` writes them",
        ) from error
    return {_split_name(name): table for name, table in splits.items()}


def _split_name(name: str) -> str:
    for split, aliases in SPLITS.items():
        if name in aliases:
            return split
    return name


def read_split(table: Any, taxonomy: Taxonomy, where: str) -> LabelledPosts:
    """Checks the columns and turns votes into distributions.

    table: a `datasets.Dataset`. Only posts under the root's second label have targets in the
    categories; elsewhere they are zero, which the losses and metrics leave out.
    """
    needed = ["text", *(group.column for group in taxonomy.groups)]
    missing = [column for column in needed if column not in table.column_names]
    if missing:
        raise LabelsError(
            f"has no column {', '.join(missing)}; its columns are {', '.join(table.column_names)}",
            where=where,
        )
    if len(table) == 0:
        raise LabelsError("has no rows", where=where)
    votes = {group.name: _votes(table, group, where) for group in taxonomy.groups}
    root_NK = votes[taxonomy.root.name]
    _check_root(root_NK, taxonomy.root, where)
    under_root_N = root_NK[:, 1] > root_NK[:, 0]
    targets = [_shares(root_NK)]
    for category in taxonomy.categories:
        votes_NK = votes[category.name] * under_root_N[:, None]
        _check_votes(votes_NK, under_root_N, category, where)
        targets.append(_shares(votes_NK))
    texts = [normalise(text or "") for text in table["text"]]
    return LabelledPosts(texts, Targets(taxonomy, np.concatenate(targets, axis=1)))


def _votes(table: Any, group: Category, where: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    rows = table[group.column]
    for position, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(group.labels):
            raise LabelsError(
                f"column {group.column!r} must hold {len(group.labels)} vote counts a row, "
                f"row {position} holds {_shape(row)}",
                where=where,
            )
    votes_NK = np.asarray(list(rows), dtype=np.float64)
    if not np.isfinite(votes_NK).all() or (votes_NK < 0).any():
        raise LabelsError(f"column {group.column!r} holds negative or missing votes", where=where)
    return votes_NK


def _shape(row: object) -> str:
    return f"{len(row)}" if isinstance(row, list) else f"a {type(row).__name__}"


def _check_root(votes_NK: np.ndarray[Any, Any], root: Category, where: str) -> None:
    tied = np.flatnonzero(votes_NK[:, 0] == votes_NK[:, 1])
    if len(tied):
        raise LabelsError(
            f"column {root.column!r} names neither {root.labels[0]} nor {root.labels[1]} "
            f"in {len(tied)} rows, the first of them row {tied[0]}",
            where=where,
        )


def _check_votes(
    votes_NK: np.ndarray[Any, Any],
    under_root_N: np.ndarray[Any, Any],
    category: Category,
    where: str,
) -> None:
    if under_root_N.any() and not votes_NK.any():
        raise LabelsError(
            f"column {category.column!r} has no votes on any lonely post", where=where
        )


def _shares(votes_NK: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    totals_N1 = votes_NK.sum(axis=1, keepdims=True)
    shares_NK: np.ndarray[Any, np.dtype[np.float64]] = np.divide(
        votes_NK, totals_N1, out=np.zeros_like(votes_NK), where=totals_N1 > 0
    )
    return shares_NK
