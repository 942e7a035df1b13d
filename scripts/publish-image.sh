#!/usr/bin/env bash
# Sign an image that was pushed and tested, then give it its names: IMAGE_NAME, DIGEST publish-image.sh
#
# Signed without a key: by the identity of the job that runs this (cosign, Sigstore). The names: the
# version of a tag v1.2.3 and `latest`, else `main`; each also by its commit.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -n "${IMAGE_NAME:-}" ] && [ -n "${DIGEST:-}" ] || {
  echo "usage: IMAGE_NAME=host/name DIGEST=sha256:... publish-image.sh" >&2
  exit 2
}
cosign sign --yes "$IMAGE_NAME@$DIGEST"
names=("sha-$(git rev-parse HEAD)")
case ${GITHUB_REF:-} in
  refs/tags/v*) names+=("${GITHUB_REF#refs/tags/v}" latest) ;;
  refs/heads/main) names+=(main) ;;
esac
options=()
for name in "${names[@]}"; do options+=(--tag "$IMAGE_NAME:$name"); done
docker buildx imagetools create "${options[@]}" "$IMAGE_NAME@$DIGEST"
