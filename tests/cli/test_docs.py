"""What the pages say about the commands is so, and `--help` is complete and quick."""

import ast
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest

from corpus_lonely.cli.main import main
from corpus_lonely.tables import table_schema
from tests.command_lines import ROOT, commands_in, fenced, leaves, parsed

LINKING = [
    "README.md",
    "CONTRIBUTING.md",
    "docs/data.md",
    "docs/cli.md",
    "docs/clusters.md",
    "docs/crawl.md",
    "docs/paper.md",
    "docs/study.md",
]
LINKING += ["jobs/README.md", "jobs/slurm/README.md", "jobs/ssh/README.md"]
HEAVY = (
    *("torch", "transformers", "datasets", "polars", "pyarrow", "dask", "distributed", "numpy"),
    *("praw", "requests"),
)
LEAVES = dict(leaves())


def write_cli(*arguments: str, script: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def helped(path: str) -> str:
    context = click.Context(LEAVES[path], info_name=f"corpus-lonely {path}")
    return LEAVES[path].get_help(context)


def test_the_page_of_commands_is_in_step() -> None:
    ran = write_cli("--check", script=ROOT / "docs" / "write_cli.py")
    assert ran.returncode == 0, ran.stderr
    page = (ROOT / "docs" / "cli.md").read_text("utf-8")
    for path, command in leaves():
        assert f"\n## corpus-lonely {path}\n" in page
        for option in _options(command):
            assert option.opts[-1] in page


def test_a_stale_page_is_told_in_one_line_and_mended(tmp_path: Path) -> None:
    script = Path(shutil.copy(ROOT / "docs" / "write_cli.py", tmp_path))
    page = tmp_path / "cli.md"
    for content in (None, "# Every command\n"):
        if content:
            page.write_text(content)
        stale = write_cli("--check", script=script)
        assert stale.returncode == 1
        assert stale.stdout == ""
        assert re.fullmatch(r".*cli\.md: is out of step .*write_cli\.py\n", stale.stderr)
        assert page.exists() is bool(content)
    assert write_cli(script=script).returncode == 0
    assert write_cli("--check", script=script).returncode == 0
    assert page.read_bytes() == (ROOT / "docs" / "cli.md").read_bytes()


@pytest.mark.parametrize("path", LEAVES)
def test_every_command_is_in_the_readme(path: str) -> None:
    assert f"corpus-lonely {path} " in (ROOT / "README.md").read_text("utf-8")


@pytest.mark.parametrize("path", LEAVES)
def test_help_ends_with_an_example_that_the_command_takes(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("ca.pem", "cert.pem", "key.pem"):  # click asks whether they are there
        (tmp_path / name).touch()
    after_options = helped(path).partition("Show this message and exit.")[2]
    examples = commands_in(re.sub(r"^ +", "", after_options, flags=re.MULTILINE))
    assert examples
    for words in examples:
        assert parsed(words).command is LEAVES[path]
    last = after_options.rstrip().replace("\\\n", " ").splitlines()[-1]
    assert "corpus-lonely" in last


def test_the_help_of_all_ends_with_an_example() -> None:
    context = click.Context(main, info_name="corpus-lonely")
    assert main.get_help(context).rstrip().splitlines()[-1].strip() == "corpus-lonely demo"


def _options(command: click.Command) -> list[click.Option]:
    return [parameter for parameter in command.params if isinstance(parameter, click.Option)]


@pytest.mark.parametrize("path", LEAVES)
def test_every_option_has_a_help_text(path: str) -> None:
    without = [option.name for option in _options(LEAVES[path]) if not option.help]
    assert without == []
    assert LEAVES[path].help


def test_the_readme_shows_the_commands_in_order() -> None:
    shells = fenced((ROOT / "README.md").read_text("utf-8"), "bash")
    shown = [parsed(words).info_name for shell in shells for words in commands_in(shell)]
    assert shown == [
        "dump",
        "adapt",
        "train",
        "evaluate",
        "ensemble",
        "experiment",
        "score",
        "study",
        "sample",
        "describe",
        "describe",
        "mark",
        "purge",
    ]


@pytest.mark.parametrize("page", LINKING)
def test_links_lead_somewhere(page: str) -> None:
    content = (ROOT / page).read_text("utf-8")
    links = re.findall(r"\]\((?!https?://)([^)#]+)[^)]*\)", content)
    assert links
    missing = [link for link in links if not ((ROOT / page).parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("table", ["posts", "scores", "labels"])
def test_the_page_on_data_has_every_column(table: str) -> None:
    page = (ROOT / "docs" / "data.md").read_text("utf-8")
    section = page.partition(f"\n### {table}\n")[2].partition("\n### ")[0]
    first_cells = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    named = [name for cell in first_cells for name in re.findall(r"`(\w+)`", cell)]
    assert named == table_schema(table).names


def test_the_page_on_data_has_every_reason_in_order() -> None:
    from corpus_lonely.ingest.normalize import DROP_REASONS  # noqa: PLC0415  (beside its use)

    page = (ROOT / "docs" / "data.md").read_text("utf-8")
    section = page.partition("\n## What ingest drops")[2].partition("\n## ")[0]
    assert tuple(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == DROP_REASONS


def test_one_version_everywhere() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text("utf-8")
    assert version in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_help_takes_less_than_half_a_second() -> None:
    def seconds() -> float:
        # of the processor: the clock on the wall also tells what else the machine is doing
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        script = Path(sys.executable).with_name("corpus-lonely")
        subprocess.run([script, "--help"], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

    assert statistics.median(seconds() for _ in range(3)) < 0.5


@pytest.mark.parametrize("path", ["", *LEAVES])
def test_help_imports_nothing_heavy(path: str) -> None:
    program = f"""
import sys
from corpus_lonely.cli.main import main
try:
    main({[*path.split(), "--help"]!r})
except SystemExit as ended:
    assert ended.code == 0
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ast.literal_eval(ran.stdout.splitlines()[-1]) == []
