#!/usr/bin/env bash
# Build the CUDA image and push it without a name, by its digest alone: IMAGE_NAME=host/name push-image.sh
#
# Needs a builder that rewrites time stamps (docker buildx create --driver docker-container --use).
# The digest goes to standard output, and to $GITHUB_OUTPUT where that is set.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -n "${IMAGE_NAME:-}" ] || { echo "usage: IMAGE_NAME=host/name push-image.sh" >&2; exit 2; }
metadata=$(mktemp)
trap 'rm -f "$metadata"' EXIT
IMAGE_METADATA=$metadata scripts/build-image.sh "$IMAGE_NAME" "${1:-}" >&2
digest=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["containerimage.digest"])' "$metadata")
echo "$digest"
[ -z "${GITHUB_OUTPUT:-}" ] || echo "digest=$digest" >>"$GITHUB_OUTPUT"
