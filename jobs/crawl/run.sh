#!/usr/bin/env bash
# A night's crawl: what some subreddits show of their posts and comments, added to one folder.
# Options given here go to the command: bash jobs/crawl/run.sh --restart
set -euo pipefail

settings="$(dirname "${BASH_SOURCE[0]}")/settings.toml"
posts="runs/crawl/posts"
status=0

crawl() {
    # a refused subreddit is told by the status, and keeps nothing from being done
    corpus-lonely ingest reddit --config "$settings" --out "$posts" "$@" || status=$?
}

# A crawl that was interrupted is ended first; then this night's begins.
if [ -e "$posts.about/crawl/checkpoint.json" ]; then
    crawl "$@"
fi
crawl "$@"
exit "$status"
