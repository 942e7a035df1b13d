#!/usr/bin/env bash
# Build the image: build-image.sh IMAGE [BASE_IMAGE]
#
# Behind a proxy that opens TLS, set SSL_CERT_FILE to its CA bundle; PIP_INDEX_URL names a mirror
# for uv itself (the packages come from the addresses in uv.lock). Both travel as build secrets:
# neither ends up in the image or its history. SOURCE_URL fills the label of that name, else the
# checkout's origin does. NO_CACHE=1 builds every layer anew. IMAGE_OUTPUT=FILE writes an OCI archive
# with rewritten time stamps there instead of loading the image, IMAGE_METADATA=FILE pushes it by its
# digest and leaves BuildKit's metadata there (both need a builder that can rewrite).
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
  printf 'error: %s\n  fix: %s\n' "$1" "$2" >&2
  exit 69
}

[ -n "${1:-}" ] || { echo "usage: build-image.sh IMAGE [BASE_IMAGE]" >&2; exit 2; }
image=$1 base=${2:-}
# shellcheck disable=SC2016  # shown to the reader, not run
up='eval "$(scripts/engine.sh up)"'
command -v docker >/dev/null || fail "docker is not on the PATH" "install Docker 23 or newer, or on Debian: $up"
docker buildx version >/dev/null 2>&1 || fail "docker has no buildx" "install its buildx plugin, or on Debian: $up"
docker version >/dev/null 2>&1 || fail "no Docker engine answers" "start one, or on Debian: $up"

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml | head -1)
revision=$(git describe --always --dirty --abbrev=40 --exclude='*' 2>/dev/null) || revision=unknown
lock=$(sha256sum uv.lock)
origin=$(git config --get remote.origin.url 2>/dev/null) || origin=
case $origin in https://*@*) origin= ;; https://*) ;; *) origin= ;; esac # no path, no password
source_url=${SOURCE_URL:-$origin}
if [ -n "$base" ]; then # a local one has no digest of a registry, but an id, and no snapshots
  digest=$(docker image inspect --format '{{.Id}}' "$base" 2>/dev/null) || digest=unknown
else
  digest=$(sed -n 's/^ARG BASE_IMAGE=.*@//p' Dockerfile)
fi
options=(
  --network host
  --build-arg "VERSION=$version"
  --build-arg "REVISION=$revision"
  --build-arg "LOCK_SHA256=${lock%% *}"
)
options+=(--build-arg "BASE_DIGEST=$digest")
[ -z "$base" ] || options+=(--build-arg "BASE_IMAGE=$base" --build-arg "APT_SNAPSHOT=${APT_SNAPSHOT:-}")
[ -z "$source_url" ] || options+=(--build-arg "SOURCE=$source_url")
[ "${NO_CACHE:-}" != 1 ] || options+=(--no-cache)
[ ! -f "${SSL_CERT_FILE:-}" ] || options+=(--secret "id=ca,src=$SSL_CERT_FILE")
[ -z "${PIP_INDEX_URL:-}" ] || options+=(--secret "id=pip-index,env=PIP_INDEX_URL")
for name in HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy; do
  [ -z "${!name:-}" ] || options+=(--build-arg "$name")
done
# The commit's time, so that the same commit gives the same image config.
epoch=$(git log -1 --format=%ct 2>/dev/null) && options+=(--build-arg "SOURCE_DATE_EPOCH=$epoch")

if [ -n "${IMAGE_OUTPUT:-}" ]; then
  options+=(--tag "$image" --output "type=oci,dest=$IMAGE_OUTPUT,rewrite-timestamp=true")
elif [ -n "${IMAGE_METADATA:-}" ]; then
  options+=(--provenance mode=max --metadata-file "$IMAGE_METADATA" --output
    "type=image,name=$image,push=true,push-by-digest=true,name-canonical=true,rewrite-timestamp=true")
else
  options+=(--load --tag "$image")
fi
docker buildx build "${options[@]}" .
