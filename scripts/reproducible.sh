#!/usr/bin/env bash
# Build this commit twice, each layer anew, and compare the trees: reproducible.sh [BASE_IMAGE]
# Exit code 0: no difference; 1: the first one is printed.
set -euo pipefail
cd "$(dirname "$0")/.."
names=("medlora:one-$$" "medlora:two-$$")
trap 'docker image rm --force "${names[@]}" >/dev/null 2>&1 || :' EXIT
for name in "${names[@]}"; do
  NO_CACHE=1 scripts/build-image.sh "$name" "${1:-}"
done
for name in "${names[@]}"; do
  docker image inspect --format '{{.Id}} {{len .RootFS.Layers}} layers' "$name"
done
python3 scripts/compare_images.py "${names[@]}"
