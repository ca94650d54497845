"""Which device computes, how precisely, and with how many threads."""

import torch

from corpus_lonely.errors import SettingsError, first_line

PRECISIONS = ("auto", "fp32", "mixed", "bf16", "fp16")
"""`mixed`: bfloat16, and float32 once more for the posts that the root is not sure of."""


_USUAL_THREADS = torch.get_num_threads()


def use_threads(count: int | None) -> None:
    """Sets the CPU threads of this process; None: those that torch began with.

    Other counts give other last bits, so what an earlier engine of the process had must not stay.
    """
    torch.set_num_threads(count or _USUAL_THREADS)


def find_device(name: str) -> torch.device:
    """The device of that name; `auto` takes CUDA, then Apple's MPS, then the CPU.

    Raises SettingsError when the device is not there.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise SettingsError(
            f"--device {name!r} is not there ({first_line(error)})", hint="Try --device auto"
        ) from error
    return device


def exact_products() -> None:
    """Has a GPU multiply as it is told: in float32 where that is asked for, and sum halves in float32.

    The environment may say otherwise: NVIDIA's containers ask for TF32, which rounds to ten bits.
    """
    torch.set_float32_matmul_precision("highest")
    products = torch.backends.cuda.matmul
    products.allow_fp16_reduced_precision_reduction = False
    products.allow_bf16_reduced_precision_reduction = False


def find_precision(name: str, device: torch.device) -> str:
    """One of PRECISIONS for scoring; `auto` is the fastest that agrees with float32 (docs/scoring.md).

    On a GPU that is `fp16`: as fast as bfloat16 there, and it keeps three more bits. On a CPU it is
    `mixed` where there are units for bfloat16; few CPUs have any for float16.
    """
    if name not in PRECISIONS:
        raise SettingsError(f"--precision must be one of {', '.join(PRECISIONS)}, got {name!r}")
    if name != "auto":
        return name
    if device.type == "cuda":
        return "fp16"
    return "mixed" if computes_bf16(device) else "fp32"


def computes_bf16(device: torch.device) -> bool:
    """Whether the device has units for bfloat16; without them it is emulated, and slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        capabilities = torch.backends.cpu.get_cpu_capability()
        return capabilities.startswith("AVX512") and _cpu_has("amx_bf16", "avx512_bf16")
    return False


def _cpu_has(*flags: str) -> bool:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123  (no file, a view)
            line = next((line for line in file if line.startswith("flags")), "")
    except OSError:
        return False
    return any(flag in line.split() for flag in flags)
