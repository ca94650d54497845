"""Several processes that fill one folder, each with its share and without Dask between them."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from corpus_lonely.errors import OutputError, SettingsError
from corpus_lonely.scoring.parts import Output
from corpus_lonely.scoring.plan import Run
from tests.scoring.test_job import contents, run
from tests.scoring.test_plan import RUN
from tests.scoring.test_runs import COMMAND


def described(out: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Output(out).description.read_text())
    return content


def test_members_make_what_one_process_makes(posts: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "scores"
    run(posts, model, tmp_path / "whole", shard_rows=90)
    reports = [
        run(posts, model, out, shard_rows=90, shard_index=index, num_shards=3)
        for index in (2, 0, 1)
    ]
    assert contents(out) == contents(tmp_path / "whole")
    assert described(out) == described(tmp_path / "whole")
    assert [report.shards for report in reports] == [4, 4, 4]  # of 12 parts, 1,000 posts by 90
    assert [report.standing for report in reports] == [4, 8, 12]
    assert [report.counts.rows for report in reports] == [3 * 90 + 10, 360, 360]


def test_the_command_without_a_share_finishes_what_members_left(
    posts: Path, model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "scores"
    run(posts, model, out, shard_index=1, num_shards=2)
    assert described(out)["totals"] is None
    kept = (out / "part-000001.parquet").stat().st_mtime_ns
    report = run(posts, model, out)
    assert (report.shards, report.shards_before, report.standing) == (4, 2, 4)
    assert (out / "part-000001.parquet").stat().st_mtime_ns == kept
    assert described(out)["totals"]["rows"] == 1000


def test_totals_that_nobody_wrote_are_written_by_the_command_that_checks(
    posts: Path, model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "scores"
    run(posts, model, out)
    whole = described(out)
    Output(out).describe({**whole})
    assert described(out)["totals"] is None
    assert run(posts, model, out).shards_before == 4
    assert described(out) == whole


def test_the_default_size_of_parts_does_not_depend_on_the_number_of_members(
    posts: Path, model: Path, tmp_path: Path
) -> None:
    run(posts, model, tmp_path / "whole", shard_rows=None)
    for index in range(7):  # more members than parts: some have nothing to do
        run(posts, model, tmp_path / "shared", shard_rows=None, shard_index=index, num_shards=7)
    assert contents(tmp_path / "shared") == contents(tmp_path / "whole")


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_the_first_member_decides_what_is_left_open(
    posts: Path, model: Path, tmp_path: Path, precision: str
) -> None:
    out = tmp_path / "scores"
    run(posts, model, out, precision=precision, shard_index=0, num_shards=2)
    run(posts, model, out, precision="auto", shard_rows=None, shard_index=1, num_shards=2)
    run(posts, model, tmp_path / "whole", precision=precision)
    assert contents(out) == contents(tmp_path / "whole")


def test_a_member_that_loses_the_race_to_be_first_does_as_the_first_has_decided(
    posts: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, claim = tmp_path / "scores", Output.claim

    def beaten(self: Output, content: dict[str, Any]) -> Run:
        # between this member's look at the folder and its claim, another described the run
        decided = replace(Run.from_dict(content["run"]), shard_rows=150, precision="bf16")
        claim(self, {**content, "run": decided.to_dict()})
        return claim(self, content)

    monkeypatch.setattr(Output, "claim", beaten)
    given: dict[str, Any] = {"precision": "auto", "shard_rows": None}
    run(posts, model, out, shard_index=0, num_shards=2, **given)
    monkeypatch.undo()
    run(posts, model, out, shard_index=1, num_shards=2, **given)
    run(posts, model, tmp_path / "whole", shard_rows=150, precision="bf16")
    assert contents(out) == contents(tmp_path / "whole")


def test_a_member_with_other_settings_is_refused(posts: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "scores"
    run(posts, model, out, shard_index=0, num_shards=2)
    whole = contents(out)
    with pytest.raises(OutputError, match=r"--max-tokens 64, not 16\. Give all processes the same"):
        run(posts, model, out, max_tokens=16, shard_index=1, num_shards=2)
    for part in out.iterdir():  # the first has described the run and not finished a part yet
        part.unlink()
    with pytest.raises(OutputError, match="--max-tokens 64, not 16"):
        run(posts, model, out, max_tokens=16, shard_index=1, num_shards=2)
    assert whole
    assert contents(out) == {}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"shard_index": 0}, "must be given together"),
        ({"num_shards": 2}, "must be given together"),
        ({"shard_index": 2, "num_shards": 2}, "--shard-index must be from 0 to 1 with --num-sh"),
        ({"shard_index": 0, "num_shards": 0}, "--num-shards must be at least 1, got 0"),
        (
            {"shard_index": 0, "num_shards": 2, "overwrite": True},
            "the others may be writing there. Choose another --out, or begin once with --overwrite",
        ),
    ],
)
def test_a_share_that_cannot_be_is_refused(
    posts: Path, model: Path, tmp_path: Path, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(SettingsError) as raised:
        run(posts, model, tmp_path / "scores", **options)
    assert told in str(raised.value)
    assert not (tmp_path / "scores.about").exists()


def test_members_share_the_folder_and_keep_a_whole_run_out(tmp_path: Path) -> None:
    output = Output(tmp_path / "scores")
    refused = pytest.raises(OutputError, match="another run is writing there")
    with output.locked(shared=True), output.locked(shared=True), refused, output.locked():
        pass
    with output.locked(), refused, output.locked(shared=True):
        pass


def test_of_many_that_claim_at_once_one_decides(tmp_path: Path) -> None:
    output = Output(tmp_path / "scores")
    about = tmp_path / "scores.about"
    about.mkdir()
    code = (
        "import sys; from pathlib import Path\n"
        "from corpus_lonely.scoring.parts import Output; from corpus_lonely.scoring.plan import Run\n"
        "from tests.scoring.test_plan import RUN; from dataclasses import replace\n"
        "run = replace(RUN, shard_rows=int(sys.argv[2])); input()\n"
        "print(Output(Path(sys.argv[1])).claim({'run': run.to_dict()}).shard_rows)"
    )
    members = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(output.folder), str(1000 + index)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for index in range(4)
    ]
    for member in members:
        assert member.stdin is not None
        member.stdin.write("\n")
        member.stdin.flush()
    told = {member.communicate()[0].strip() for member in members}
    assert len(told) == 1
    standing = output.described()
    assert standing is not None
    assert told == {str(standing.shard_rows)}
    assert [path.name for path in about.iterdir()] == ["scores.json"]
    assert replace(RUN, shard_rows=standing.shard_rows) == standing


@pytest.mark.slow
@pytest.mark.long
def test_members_that_write_at_the_same_time(posts: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "scores"
    fixed = ["--input", posts, "--model", model, "--out", out, "--shard-rows", 50]
    given = [*map(str, fixed), "--workers", "0", "--threads", "1"]
    members = [
        subprocess.Popen(
            [*COMMAND, *given, "--shard-index", str(index), "--num-shards", "2"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(2)
    ]
    for member in members:
        stdout, stderr = member.communicate(timeout=120)
        assert member.returncode == 0, stderr
        last = stdout.splitlines()[-1]
        assert last.startswith("Next: corpus-lonely study ") or last.endswith(
            f"corpus-lonely score --input {posts} --model {model} --out {out} --shard-rows 50 "
            "--workers 0 --threads 1"
        )
    alone = [*COMMAND, *given, "--out", str(tmp_path / "whole")]  # the last of two options counts
    subprocess.run(alone, capture_output=True, check=True)
    assert contents(out) == contents(tmp_path / "whole")
    assert described(out)["totals"] == described(tmp_path / "whole")["totals"]
