"""GPUs are counted without torch, and each worker sees its own."""

from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from corpus_lonely.cluster import count_gpus, gpus
from corpus_lonely.cluster.processes import SHARDS_PER_GPU, environment, nanny_options

HEAD = "from typing import Optional\n\n__all__ = ['__version__', 'cuda', 'hip']\n"
CUDA = "__version__ = '2.9.0+cu128'\ncuda: Optional[str] = '12.8'\nhip: Optional[str] = None\n"
ROCM = "__version__ = '2.9.0+rocm6.4'\ncuda: Optional[str] = None\nhip: Optional[str] = '6.4.4'\n"
# as conda builds them: nothing in the version says so
CONDA = "__version__ = '2.9.0'\ndebug = False\ncuda = None\nhip = None\n"
CONDA_CUDA = "__version__ = '2.9.0'\ndebug = False\ncuda = '12.9'\nhip = None\n"
VISIBLE = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")


@pytest.fixture
def torch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The `version.py` of a torch that is found first, but cannot be imported; no GPU is hidden."""
    folder = tmp_path / "site" / "torch"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise AssertionError('torch was imported')\n")
    spec = ModuleSpec("torch", None, origin=str(folder / "__init__.py"))
    monkeypatch.setattr(gpus, "find_spec", lambda _name: spec)
    for name in VISIBLE:
        monkeypatch.delenv(name, raising=False)
    return folder / "version.py"


@pytest.fixture
def two_nvidia(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine with two GPUs of NVIDIA."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'GPU 0: one (UUID: GPU-a)'\necho 'GPU 1: two (UUID: GPU-b)'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")


@pytest.fixture
def three_amd(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine with a CPU and three GPUs of AMD, as their driver shows them."""
    for number, gpu in enumerate((0, 51234, 7, 9)):
        (tmp_path / "nodes" / str(number)).mkdir(parents=True)
        (tmp_path / "nodes" / str(number) / "gpu_id").write_text(f"{gpu}\n")
    monkeypatch.setattr(gpus, "_AMD_NODES", tmp_path / "nodes")


@pytest.mark.usefixtures("two_nvidia", "three_amd")
@pytest.mark.parametrize(
    ("build", "expected"), [(CUDA, 2), (CONDA_CUDA, 2), (CONDA, 0), (ROCM, 3), ("cuda = (", 0)]
)
def test_gpus_are_counted_that_the_build_of_torch_computes_on(
    torch: Path, build: str, expected: int
) -> None:
    torch.write_text(HEAD + build)
    assert count_gpus() == expected


@pytest.fixture
def listing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, torch: Path) -> Callable[[str], None]:
    """Has `nvidia-smi` do what a script does."""
    torch.write_text(HEAD + CUDA)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    def made(script: str) -> None:
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "nvidia-smi").chmod(0o755)

    return made


def test_instances_of_a_gpu_that_is_cut_up_are_dealt_out(listing: Callable[[str], None]) -> None:
    listing(
        "echo 'GPU 0: NVIDIA A100 (UUID: GPU-a)'\n"
        "echo '  MIG 3g.20gb     Device  0: (UUID: MIG-one)'\n"
        "echo '  MIG 3g.20gb     Device  1: (UUID: MIG-two)'\n"
        "echo 'GPU 1: NVIDIA A100 (UUID: GPU-b)'"
    )
    assert count_gpus() == 3
    assert [gpus.pin(n, 3)["CUDA_VISIBLE_DEVICES"] for n in range(3)] == ["MIG-one", "MIG-two", "1"]


def test_a_tool_that_is_slow_or_fails(
    listing: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for number in range(4):
        (tmp_path / "driver" / str(number)).mkdir(parents=True)
        (tmp_path / f"nvidia{number}").touch()
    monkeypatch.setattr(gpus, "_NVIDIA_DRIVER", tmp_path / "driver")
    monkeypatch.setattr(gpus, "_DEVICES", tmp_path)
    monkeypatch.setattr(gpus, "_PATIENCE_S", 0.2)
    listing("exec sleep 5")
    assert count_gpus() == 4  # the driver has them, and loads for each command anew
    monkeypatch.setattr(gpus, "_DEVICES", tmp_path / "driver")
    assert count_gpus() == 0  # a container that may use none
    gpus._listed.cache_clear()
    listing("exit 9")
    assert count_gpus() == 0  # no driver, or one that does not fit


def test_without_torch_there_is_no_gpu(torch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert count_gpus() == 0  # its version.py is not there
    monkeypatch.setattr(gpus, "find_spec", lambda _name: None)
    assert count_gpus() == 0


@pytest.mark.usefixtures("two_nvidia")
@pytest.mark.parametrize(
    ("visible", "expected"), [("", 0), ("-1", 0), ("NoDevFiles", 0), ("3", 1), ("GPU-a,GPU-b", 2)]
)
def test_gpus_that_are_hidden_are_not_counted(
    torch: Path, monkeypatch: pytest.MonkeyPatch, visible: str, expected: int
) -> None:
    torch.write_text(HEAD + CUDA)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert count_gpus() == expected


@pytest.mark.usefixtures("three_amd")
@pytest.mark.parametrize("name", VISIBLE)
def test_gpus_of_amd_have_other_names_to_be_hidden_by(
    torch: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    torch.write_text(HEAD + ROCM)
    monkeypatch.setenv(name, "4,6")
    assert count_gpus() == 2
    # HIP counts anew what the runtime below it shows
    dealt = "1" if name == "ROCR_VISIBLE_DEVICES" else "6"
    assert gpus.pin(1, 2) == {"HIP_VISIBLE_DEVICES": dealt, "CUDA_VISIBLE_DEVICES": dealt}


def test_each_worker_sees_its_own_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert [gpus.pin(i, 2) for i in range(3)] == [
        {"CUDA_VISIBLE_DEVICES": "0"},
        {"CUDA_VISIBLE_DEVICES": "1"},
        {"CUDA_VISIBLE_DEVICES": "0"},
    ]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    assert gpus.pin(1, 2) == {"CUDA_VISIBLE_DEVICES": "7"}
    assert gpus.pin(0, 0) == {}


def test_those_of_a_slurm_job_are_dealt_out_by_the_names_it_was_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,GPU-8f,MIG-1")
    assert [environment(i, 4, 3)["CUDA_VISIBLE_DEVICES"] for i in range(4)] == [
        "2",
        "GPU-8f",
        "MIG-1",
        "2",
    ]
    assert environment(0, 4, 3)["OMP_NUM_THREADS"] == "4"
    assert "CUDA_VISIBLE_DEVICES" not in environment(0, 4, 0)


def test_a_worker_that_is_told_its_gpu_has_shards_in_hand_and_sees_all_gpus() -> None:
    pinned, told = (nanny_options(0, 4, 2, None, pinned=pinned) for pinned in (True, False))
    assert pinned["nthreads"] == told["nthreads"] == SHARDS_PER_GPU
    assert "CUDA_VISIBLE_DEVICES" in pinned["env"]
    assert "CUDA_VISIBLE_DEVICES" not in told["env"]
