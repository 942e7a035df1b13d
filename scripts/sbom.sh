#!/usr/bin/env bash
# Write dist/sbom.cdx.json, what is installed in an image, and check its licences: sbom.sh IMAGE
set -euo pipefail
cd "$(dirname "$0")/.."
[ -n "${1:-}" ] || { echo "usage: sbom.sh IMAGE" >&2; exit 2; }
mkdir -p dist
docker run --rm --interactive --network none --read-only --entrypoint python "$1" - \
  <scripts/sbom.py >dist/sbom.cdx.json
python3 scripts/licences.py dist/sbom.cdx.json >dist/licences.txt
echo "dist/sbom.cdx.json: $(grep -c '"bom-ref": "pkg:' dist/sbom.cdx.json) components;" \
  "dist/licences.txt: all of the Python packages' licences are allowed"
