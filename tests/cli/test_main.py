"""How errors, settings files and progress reach the user."""

import io
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from rich.console import Console

from corpus_lonely.cli.main import main
from corpus_lonely.cli.options import common
from corpus_lonely.cli.progress import TerminalProgress
from corpus_lonely.errors import OutputError, SettingsError


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A command `probe` that records its options, and raises what it is told to."""
    record: dict[str, Any] = {}

    @click.command()
    @click.option("--in", "source", default="nothing")
    @click.option("--many", multiple=True)
    @click.option("--count", type=int, default=1)
    @common
    def probe(**options: Any) -> None:
        record.update(options)
        if "raises" in record:
            raise record["raises"]

    monkeypatch.setitem(main.commands, "probe", probe)
    return record


def run(*arguments: str) -> Any:
    return CliRunner().invoke(main, ["probe", *arguments])


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (
            OutputError("is full", where="a/b", hint="Free some"),
            1,
            "Error: a/b: is full. Free some",
        ),
        (SettingsError("--x must be 1, got 2"), 2, "Error: --x must be 1, got 2"),
        (KeyboardInterrupt(), 130, "Interrupted. What is done is kept"),
        (OSError(28, "No space left on device", "f"), 1, "Error: f: no space left on the disk"),
    ],
)
def test_an_error_is_one_line_with_its_status(
    command: dict[str, Any], error: BaseException, status: int, line: str
) -> None:
    command["raises"] = error
    result = run()
    assert result.exit_code == status
    assert line in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""


def test_debug_shows_the_traceback(command: dict[str, Any]) -> None:
    command["raises"] = OutputError("is full")
    result = run("--debug")
    assert isinstance(result.exception, OutputError)


def test_a_settings_file_fills_options_and_the_command_line_wins(
    command: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "settings.toml"
    path.write_text("count = 7\n[probe]\nin = 'file'\nmany = ['a', 'b']\n[score]\nx = 1\n")
    assert run("--config", str(path)).exit_code == 0
    assert command == {"source": "file", "many": ("a", "b"), "count": 7}
    run("--config", str(path), "--count", "9")
    assert command["count"] == 9


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("[probe]\ncuont = 7\n", "`probe` has no setting 'cuont'; it has count, in, many"),
        ("= what", "is no TOML"),
        ("[porbe]\ncount = 7\n", "[porbe] is no command; there are"),
        ("probe = 7\n", "probe is a command: write [probe]"),
        ("[probe]\nmany = 'a'\n", "many takes a list, like ['a']"),
    ],
)
def test_a_bad_settings_file(
    command: dict[str, Any], tmp_path: Path, content: str, problem: str
) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(content)
    result = run("--config", str(path))
    assert result.exit_code == 2
    assert problem in result.stderr


def test_progress_without_a_terminal_is_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr("corpus_lonely.cli.progress.time.monotonic", lambda: next(clock))
    out = io.StringIO()
    with TerminalProgress(Console(file=out, width=200)) as progress:
        progress.start("Scoring", 100, "posts")
        for _ in range(4):
            progress.advance(10, "2 workers")
        progress.note("a note " + "that is long " * 20)
    lines = out.getvalue().splitlines()
    assert lines[0] == "Scoring ..."
    assert any("of 100 posts" in line and "left" in line for line in lines[1:-1])
    assert lines[-1].startswith("a note")


def test_progress_in_a_terminal_shows_rate_and_time() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=140)
    with TerminalProgress(console) as progress:
        progress.start("Scoring", 4, "posts")
        progress.advance(4, "detail")
    assert "100%" in out.getvalue()
    assert "posts/s" in out.getvalue()


@pytest.mark.parametrize(("terminal", "told"), [(False, "16:24 left"), (True, " 16:20 ")])
def test_time_left_counts_only_what_this_run_has_done(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, told: str
) -> None:
    now = [1000.0]
    monkeypatch.setattr("corpus_lonely.cli.progress.time.monotonic", lambda: now[0])
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=160, get_time=lambda: now[0])
    with TerminalProgress(console) as progress:
        progress.start("Scoring", 1_000_000, "posts", done=900_000)
        for _ in range(10):  # 100 posts a second: 98,400 left after 16 s, 98,000 after 20 s
            now[0] += 2
            progress.advance(200, "9 tokens/s")
    assert told in out.getvalue()
