"""What a training step costs on this CPU, with and without three choices that `corpus-lonely train` makes.

    python benchmarks/train_step.py [--encoder minilm] [--rounds 3] [--steps 6]

Each variant runs in a process of its own, in turn (A B C, A B C, ...), on the same synthetic posts, whose
lengths are log-normal (median 120 tokens, cut at 512) and grouped as the Trainer groups them. Prints the
median tokens per CPU-second, page faults and peak memory of each, and ratios against the first.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

# freed memory kept, attention dropout, attention by plain products
VARIANTS: dict[str, tuple[bool, float, bool]] = {
    "as `train` does": (True, 0.0, True),
    "freed memory handed back": (False, 0.0, True),
    "attention dropout 0.1": (True, 0.1, True),
    "fused attention": (True, 0.0, False),
    "fused attention, dropout 0.1": (True, 0.1, False),
}


def measure(
    encoder: str, steps: int, keep_memory: bool, attention_dropout: float, products: bool
) -> None:
    """Runs one variant in this process and prints its figures as JSON."""
    import numpy as np
    import torch

    from corpus_lonely.inference.batching import pad, padded_length
    from corpus_lonely.inference.device import computes_bf16
    from corpus_lonely.memory import keep_freed_memory
    from corpus_lonely.model.encoder import load_pretrained
    from corpus_lonely.model.network import LonelinessConfig, LonelinessModel

    if keep_memory:
        keep_freed_memory()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    pretrained, _tokenizer = load_pretrained(encoder, attention_dropout)
    if not products:
        pretrained.set_attn_implementation("sdpa")
    config = LonelinessConfig(encoder_config=pretrained.config.to_dict())
    model = LonelinessModel(config, pretrained).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-5)
    bf16 = computes_bf16(torch.device("cpu"))

    dice = np.random.default_rng(0)
    lengths = np.clip(np.exp(dice.normal(np.log(120), 0.8, 16 * 50)), 8, 512).astype(int)
    batches = np.sort(lengths).reshape(-1, 16)[dice.permutation(50)]
    before, began, tokens = resource.getrusage(resource.RUSAGE_SELF), time.process_time(), 0
    for step, batch in enumerate(batches[: steps + 2]):
        if step == 2:  # the first two pay for compiling kernels and for the first growth of memory
            before, began, tokens = resource.getrusage(resource.RUSAGE_SELF), time.process_time(), 0
        ids = [dice.integers(1000, 20000, length).tolist() for length in batch]
        ids_BT, mask_BT = pad(ids, padded_length(int(batch.max()), 512), 0)
        labels_BL = torch.rand(16, 21)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            loss = model(input_ids=ids_BT, attention_mask=mask_BT, labels=labels_BL).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        tokens += int(batch.sum())
    after = resource.getrusage(resource.RUSAGE_SELF)
    print(
        json.dumps(
            {
                "tokens_per_cpu_s": tokens / (time.process_time() - began),
                "page_faults": after.ru_minflt - before.ru_minflt,
                "peak_gb": after.ru_maxrss / 1e6,
            }
        )
    )


def main() -> None:
    """Runs the variants in turn and prints their medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoder", default="minilm")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--variant", choices=VARIANTS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.variant:
        measure(asked.encoder, asked.steps, *VARIANTS[asked.variant])
        return
    found: dict[str, list[dict[str, float]]] = {name: [] for name in VARIANTS}
    for _ in range(asked.rounds):
        for name in VARIANTS:
            command = [sys.executable, __file__, "--variant", name]
            command += ["--encoder", asked.encoder, "--steps", str(asked.steps)]
            run = subprocess.run(command, check=True, capture_output=True, text=True)
            found[name].append(json.loads(run.stdout.splitlines()[-1]))
    first = None
    for name, runs in found.items():
        median = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        first = first or median
        ratio = median["tokens_per_cpu_s"] / first["tokens_per_cpu_s"]
        print(
            f"{name:<30}{median['tokens_per_cpu_s']:>8,.0f} tokens/CPU-s ({ratio:.2f}x) "
            f"{median['page_faults']:>12,.0f} page faults {median['peak_gb']:>6.2f} GB"
        )


if __name__ == "__main__":
    main()
