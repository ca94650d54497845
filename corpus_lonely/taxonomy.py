"""The label hierarchy: one binary root and its categories, read from TOML; knows names, slices and columns."""

import hashlib
import json
import tomllib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable
from os import PathLike
from pathlib import Path
from typing import Any, Self

from corpus_lonely.errors import InputError


@dataclass(frozen=True)
class Category:
    """One group of labels whose probabilities sum to 1."""

    name: str
    title: str
    """The name as a table shows it."""
    column: str
    """The column of a labelled data set that holds the votes."""
    labels: tuple[str, ...]
    """In the order of the votes."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of scores, one a label."""
        return tuple(f"{self.name}_{label}" for label in self.labels)


@dataclass(frozen=True)
class Taxonomy:
    """A binary root, and categories that are defined where the root's second label holds."""

    name: str
    votes_per_post: int
    """How many raters labelled each post."""
    root: Category
    categories: tuple[Category, ...]

    @property
    def groups(self) -> tuple[Category, ...]:
        """The root, then the categories, in the order of the outputs."""
        return (self.root, *self.categories)

    @cached_property
    def slices(self) -> dict[str, slice]:
        """Where each group stands among the outputs."""
        starts, position = {}, 0
        for group in self.groups:
            starts[group.name] = slice(position, position + len(group.labels))
            position += len(group.labels)
        return starts

    @property
    def num_outputs(self) -> int:
        """The number of labels over all groups: 21 for loneliness."""
        return sum(len(group.labels) for group in self.groups)

    @property
    def score_columns(self) -> tuple[str, ...]:
        """The label columns of a scores table: P(root), then one a label of each category."""
        return (
            self.root.name,
            *(column for category in self.categories for column in category.columns),
        )

    def category_of(self, name: str) -> Category:
        """The category of that name; KeyError names those that exist."""
        for category in self.categories:
            if category.name == name:
                return category
        raise KeyError(
            f"no category {name!r}; there are {', '.join(c.name for c in self.categories)}"
        )

    @property
    def fingerprint(self) -> str:
        """Sixteen hex digits that change with any name, label or order."""
        return hashlib.sha256(json.dumps(self.to_dict()).encode()).hexdigest()[:16]

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and strings, as the model's config keeps them."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """The reverse of `to_dict`; ValueError when a key is missing or a rule is broken."""
        try:
            taxonomy = cls(
                name=content["name"],
                votes_per_post=int(content["votes_per_post"]),
                root=_category(content["root"]),
                categories=tuple(_category(entry) for entry in content["categories"]),
            )
        except KeyError as missing:
            raise ValueError(f"key {missing} is missing") from None
        _check(taxonomy)
        return taxonomy

    @classmethod
    def from_toml(cls, path: str | PathLike[str] | Traversable) -> Self:
        """Read a taxonomy file; InputError says what is wrong with it."""
        source = Path(path) if isinstance(path, str | PathLike) else path
        try:
            return cls.from_dict(tomllib.loads(source.read_text("utf-8")))
        except FileNotFoundError:
            raise InputError("does not exist", where=str(path)) from None
        except (ValueError, TypeError) as error:
            raise InputError(f"is no taxonomy: {error}", where=str(path)) from error


def _category(entry: dict[str, Any]) -> Category:
    return Category(
        name=entry["name"],
        title=entry.get("title", entry["name"].capitalize()),
        column=entry.get("column", entry["name"]),
        labels=tuple(entry["labels"]),
    )


def _check(taxonomy: Taxonomy) -> None:
    if len(taxonomy.root.labels) != 2:
        raise ValueError(f"the root must have 2 labels, got {len(taxonomy.root.labels)}")
    for name in _repeated(group.name for group in taxonomy.groups):
        raise ValueError(f"the name {name!r} is used twice")
    for group in taxonomy.groups:
        for label in _repeated(iter(group.labels)):
            raise ValueError(f"{group.name} has the label {label!r} twice")


def _repeated(names: Iterator[str]) -> Iterator[str]:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            yield name
        seen.add(name)


def schema_file(name: str) -> Traversable:
    """A file of schemas/: inside an installed package, or beside it in a checkout."""
    package = files("corpus_lonely")
    installed = package / "schemas" / name
    return installed if installed.is_file() else Path(str(package)).parent / "schemas" / name


@cache
def loneliness() -> Taxonomy:
    """The taxonomy of FIG-Loneliness: lonely or not; duration, context, interpersonal, interaction."""
    return Taxonomy.from_toml(schema_file("loneliness.toml"))
