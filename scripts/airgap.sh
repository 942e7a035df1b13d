#!/usr/bin/env bash
# Make the kit for a place without a network: airgap.sh IMAGE [FOLDER]   (default: dist/airgap)
#
# AIRGAP_KEY names a file with an EC private key (openssl ecparam -name prime256v1 -genkey -noout),
# AIRGAP_KEY_PEM holds one. Without either, a key is made for this kit alone and thrown away: the
# kit's fingerprint is then good for this kit only.
# Needs docker, zstd, openssl, sha256sum.
set -euo pipefail
cd "$(dirname "$0")/.."
umask 022

[ -n "${1:-}" ] || { echo "usage: airgap.sh IMAGE [FOLDER]" >&2; exit 2; }
image=$1 kit=${2:-dist/airgap}
for tool in docker zstd openssl sha256sum; do
  command -v "$tool" >/dev/null || { echo "error: $tool is not here" >&2; exit 69; }
done
docker image inspect "$image" >/dev/null 2>&1 || {
  printf 'error: there is no image %s\n  fix: make image, or make pull\n' "$image" >&2
  exit 69
}
secrets=$(mktemp -d)
trap 'rm -rf "$secrets"' EXIT

version=$(docker image inspect --format '{{index .Config.Labels "org.opencontainers.image.version"}}' "$image")
name=medlora:$version
rm -rf "$kit"
mkdir -p "$kit/docs"

# In pieces that a FAT32 stick and a release page take.
docker tag "$image" "$name"
docker save "$name" | zstd -6 --threads=0 --quiet | split --bytes=1900M --numeric-suffixes - "$kit/image.tar.zst."
layers=$(docker image inspect --format '{{range .RootFS.Layers}}{{println .}}{{end}}' "$name" | sed '/^$/d' | sha256sum)
{
  echo "MEDLORA_IMAGE=$name"
  echo "LAYERS=${layers%% *}"
  echo "REVISION=$(docker image inspect --format '{{index .Config.Labels "org.opencontainers.image.revision"}}' "$image")"
} >"$kit/image.env"
scripts/sbom.sh "$image"
cp dist/sbom.cdx.json dist/licences.txt "$kit/"
cp compose.yaml LICENSE airgap/medlora.service "$kit/"
install -m 0755 airgap/install.sh "$kit/install.sh"
cp README.md SECURITY.md CHANGELOG.md "$kit/"
cp -r docs/. "$kit/docs/"
cp -r configs "$kit/configs"

key=${AIRGAP_KEY:-$secrets/key.pem}
if [ -n "${AIRGAP_KEY_PEM:-}" ]; then
  (umask 077 && printf '%s\n' "$AIRGAP_KEY_PEM" >"$key")
elif [ -z "${AIRGAP_KEY:-}" ]; then
  (umask 077 && openssl ecparam -name prime256v1 -genkey -noout -out "$key")
  echo "note: no AIRGAP_KEY: signed with a key for this kit alone"
fi
openssl pkey -in "$key" -pubout -out "$kit/signing-key.pub"
(cd "$kit" && find . -type f ! -name signing-key.pub -printf '%P\0' | LC_ALL=C sort -z |
  xargs -0 sha256sum >"$secrets/sums" && mv "$secrets/sums" SHA256SUMS && chmod 0644 SHA256SUMS)
openssl dgst -sha256 -sign "$key" -out "$kit/SHA256SUMS.sig" "$kit/SHA256SUMS"
fingerprint=$(openssl pkey -pubin -in "$kit/signing-key.pub" -outform DER | sha256sum)
du -sh "$kit"
echo "fingerprint of the signing key, to be told by another way: ${fingerprint%% *}"
