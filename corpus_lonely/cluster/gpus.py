"""The GPUs of a machine, counted without torch, and each worker's own."""

import os
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def count_gpus() -> int:
    """NVIDIA GPUs that this process may use, found without importing torch."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if not _torch_has_cuda():
        return 0
    if chosen is not None:
        return len(_gpu_names(chosen))
    tool = shutil.which("nvidia-smi")
    if tool is None:  # as in containers that bring the driver's library alone
        return len(list(Path("/proc/driver/nvidia/gpus").glob("*")))
    try:
        listed = subprocess.run([tool, "-L"], capture_output=True, timeout=20, check=True)  # noqa: S603  (no user's words in it)
    except (OSError, subprocess.SubprocessError):
        return 0
    return sum(line.startswith(b"GPU ") for line in listed.stdout.splitlines())


def pin(index: int, gpus: int) -> dict[str, str]:
    """The environment that shows the worker of this index on its host its own GPU and no other.

    Where CUDA_VISIBLE_DEVICES is set already, by a user or by SLURM's --gres, its names are dealt out.
    """
    if not gpus:
        return {}
    names = _gpu_names(os.environ.get("CUDA_VISIBLE_DEVICES", "")) or [str(n) for n in range(gpus)]
    return {"CUDA_VISIBLE_DEVICES": names[index % len(names)]}


def _gpu_names(visible: str) -> list[str]:
    return [name.strip() for name in visible.split(",") if name.strip() not in ("", "-1")]


def _torch_has_cuda() -> bool:
    try:
        return "+cpu" not in version("torch")
    except PackageNotFoundError:
        return False
