#!/usr/bin/env bash
# Make the GitHub release of a tag from the kit in dist/airgap: release.sh
#
# The pieces of the archive, the list of digests with its two signatures (the kit's key, and
# Sigstore's without a key), the bill of materials. Needs gh (GH_TOKEN) and cosign.
set -euo pipefail
cd "$(dirname "$0")/.."
tag=${GITHUB_REF_NAME:?the tag to release}
kit=dist/airgap
notes=$(mktemp)
trap 'rm -f "$notes"' EXIT
scripts/release-notes.sh >"$notes"
cosign sign-blob --yes --bundle dist/SHA256SUMS.sigstore.json "$kit/SHA256SUMS"
# What is small in one archive, the image's pieces as they are: together they are the kit.
tar --create --zstd --sort=name --owner=0 --group=0 --numeric-owner --exclude='image.tar.zst.*' \
  --file dist/airgap-kit.tar.zst --directory dist airgap
gh release create "$tag" --verify-tag --title "MedLoRA ${tag#v}" --notes-file "$notes" \
  "$kit"/image.tar.zst.* dist/airgap-kit.tar.zst "$kit/SHA256SUMS" "$kit/SHA256SUMS.sig" \
  "$kit/signing-key.pub" dist/SHA256SUMS.sigstore.json "$kit/sbom.cdx.json"
