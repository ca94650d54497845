#!/usr/bin/env bash
# HDLN and the flat head (MLP), three seeds each: a model folder and a JSON of metrics for each of the six.
# Usage: bash jobs/paper/run.sh [LABELS [ENCODER]]
# Tables of mean ± standard deviation over the seeds come later; until then, read the six JSON files.
set -euo pipefail

labels="${1:-FIG-Loneliness/FIG-Loneliness}"
encoder="${2:-bert-base-cased}"
settings="$(dirname "${BASH_SOURCE[0]}")/settings.toml"
out="runs/paper"

for head in hdln mlp; do
    for seed in 0 1 2; do
        model="$out/$head-$seed"
        corpus-lonely train --config "$settings" --labels "$labels" --encoder "$encoder" \
            --head "$head" --seed "$seed" --out "$model"
        corpus-lonely evaluate --config "$settings" --labels "$labels" \
            --model "$model" --out "$model.json"
    done
done
