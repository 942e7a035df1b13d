#!/usr/bin/env bash
# Print the changelog's part of this version; refuse a tag that is not the version: release-notes.sh
set -euo pipefail
cd "$(dirname "$0")/.."
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml | head -1)
tag=${GITHUB_REF_NAME:-v$version}
[ "$tag" = "v$version" ] || {
  printf 'error: the tag is %s and the version %s\n  fix: tag v%s, or change pyproject.toml\n' \
    "$tag" "$version" "$version" >&2
  exit 65
}
notes=$(awk -v want="$version" '
  /^## / { inside = index($2, want) == 1 || $2 == "[" want "]"; next }
  inside { print }' CHANGELOG.md)
[ -n "$notes" ] || {
  printf 'error: CHANGELOG.md has no part ## %s\n  fix: name the part of what is new\n' "$version" >&2
  exit 65
}
echo "$notes"
