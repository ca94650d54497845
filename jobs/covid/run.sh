#!/usr/bin/env bash
# The pre/post-COVID study: dumps of r/lonely, r/loneliness, r/youngadults and r/college to a report.
# Stopped at any time, the same line goes on where it was.
set -euo pipefail

if [ $# -eq 0 ]; then
    echo "Usage: bash jobs/covid/run.sh DUMP..." >&2
    exit 2
fi
settings="$(dirname "${BASH_SOURCE[0]}")/settings.toml"

corpus-lonely ingest dump --config "$settings" "$@"
corpus-lonely train --config "$settings"
corpus-lonely evaluate --config "$settings"
corpus-lonely score --config "$settings"
corpus-lonely study --config "$settings"
