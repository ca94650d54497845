"""The GPUs of a machine, counted without torch, and each worker's own."""

import ast
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

_NVIDIA_DRIVER = Path("/proc/driver/nvidia/gpus")
_DEVICES = Path("/dev")
_MIG_INSTANCE = re.compile(r"^\s+MIG .*\(UUID: (MIG-[^)\s]+)\)")
_PATIENCE_S = 20.0
_AMD_NODES = Path("/sys/class/kfd/kfd/topology/nodes")
_NONE = ("", "-1", "NoDevFiles")
"""What hides all GPUs; the last one is SLURM's."""

_CUDA = ("CUDA_VISIBLE_DEVICES",)
_VARIABLES = {"cuda": _CUDA, "hip": ("HIP_VISIBLE_DEVICES", *_CUDA)}
"""What a build of torch is told its GPUs by; the first that is set counts."""


def count_gpus() -> int:
    """GPUs that this process may use and the installed torch computes on, without importing it."""
    platform = _platform_of_torch()
    if platform is None:
        return 0
    if (chosen := _chosen(platform)) is not None:
        return len(_gpu_names(chosen))
    return len(_nvidia_names()) if platform == "cuda" else _count_amd()


def pin(index: int, gpus: int) -> dict[str, str]:
    """The environment that shows the worker of this index on its host its own GPU and no other.

    Where CUDA_VISIBLE_DEVICES is set already, by a user or by SLURM's --gres, its names are dealt out.
    """
    if not gpus:
        return {}
    platform = _platform_of_torch()
    names = _gpu_names(_chosen(platform) or "")
    if not names and platform == "cuda":
        names = _nvidia_names()
    names = names or [str(number) for number in range(gpus)]
    return dict.fromkeys(_VARIABLES.get(platform or "", _CUDA), names[index % len(names)])


def _chosen(platform: str | None) -> str | None:
    """What a user or SLURM lets this process see, if they say so."""
    names = _VARIABLES.get(platform or "", _CUDA)
    return next((os.environ[name] for name in names if name in os.environ), None)


def _gpu_names(visible: str) -> list[str]:
    return [name.strip() for name in visible.split(",") if name.strip() not in _NONE]


def _nvidia_names() -> list[str]:
    """What CUDA calls each GPU: its number, or the name of each instance of one that is cut up (MIG)."""
    tool = shutil.which("nvidia-smi")
    listed = None if tool is None else _listed(tool)
    if listed is None:  # as in containers that bring the driver's library alone
        # or not even that: the kernel tells of all GPUs in containers that may use none
        count = min(len(list(there)) for there in (_NVIDIA_DRIVER.glob("*"), _nodes()))
        return [str(number) for number in range(count)]
    cards: list[list[str]] = []
    for line in listed.splitlines():
        if line.startswith("GPU "):
            cards.append([])
        elif (instance := _MIG_INSTANCE.search(line)) and cards:
            cards[-1].append(instance[1])
    return [name for number, card in enumerate(cards) for name in card or [str(number)]]


def _nodes() -> Iterator[Path]:
    """The files through which processes reach GPUs of NVIDIA."""
    return _DEVICES.glob("nvidia[0-9]*")


@cache
def _listed(tool: str) -> str | None:
    """What `nvidia-smi -L` says; nothing where it fails, None where it says nothing for long.

    So it is with many GPUs whose driver is loaded anew for each command. A worker's process asks once.
    """
    try:
        listed = subprocess.run(  # noqa: S603  (no user's words in it)
            [tool, "-L"], capture_output=True, timeout=_PATIENCE_S, check=True, text=True
        )
    except subprocess.TimeoutExpired:
        return None
    except (OSError, ValueError, subprocess.SubprocessError):
        return ""
    return listed.stdout


def _count_amd() -> int:
    """Nodes of the kernel's driver that are no CPU, or those that the runtime below HIP shows."""
    chosen = os.environ.get("ROCR_VISIBLE_DEVICES")
    if chosen is not None:
        return len(_gpu_names(chosen))
    try:
        return sum(node.read_text().strip() != "0" for node in _AMD_NODES.glob("*/gpu_id"))
    except OSError:
        return 0


def _platform_of_torch() -> str | None:
    """`cuda` or `hip`, as `torch/version.py` says of any build; names of versions differ by who built it."""
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    try:
        tree = ast.parse(Path(spec.origin).with_name("version.py").read_text("utf-8"))
    except (OSError, SyntaxError):
        return None
    for statement in tree.body:
        match statement:
            case (
                ast.Assign(targets=[ast.Name(id="cuda" | "hip" as name)], value=value)
                | ast.AnnAssign(target=ast.Name(id="cuda" | "hip" as name), value=value)
            ) if isinstance(value, ast.Constant) and value.value:
                return name
    return None
