#!/usr/bin/env bash
# Scores posts on hosts that SSH reaches.
# Stopped at any time, the same line goes on where it was.
set -euo pipefail

settings="$(dirname "${BASH_SOURCE[0]}")/settings.toml"
corpus-lonely score --config "$settings" "$@"
