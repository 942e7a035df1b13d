#!/usr/bin/env bash
# Verify this kit and load its image: install.sh --fingerprint HEX [--engine docker|podman] [--verify]
#
#   --fingerprint HEX  of the signing key, as its maker told it by another way than this kit came
#   --accept-key       trust the key that lies here: finds damage, not somebody who signs anew
#   --verify           verify alone
#
# Needs bash, sha256sum, openssl; zstd where it is there. No network. Exit code 0: done; 69: a part
# is missing; 77: something is not what was signed, by name; 2: usage.
set -euo pipefail
cd "$(dirname "$0")"

refuse() {
  printf 'error: %s\n  fix: do not use this kit; fetch it again and compare the fingerprint\n' "$1" >&2
  exit 77
}
missing() {
  printf 'error: %s\n  fix: %s\n' "$1" "$2" >&2
  exit 69
}
usage() {
  sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
  exit 2
}

fingerprint='' accept='' engine='' only=''
while [ $# -gt 0 ]; do
  case $1 in
    --fingerprint) fingerprint=${2:-} ;;
    --engine) engine=${2:-} ;;
    --accept-key) accept=1 ;;
    --verify) only=1 ;;
    *) usage ;;
  esac
  case $1 in
    --fingerprint | --engine) [ -n "${2:-}" ] || usage; shift 2 ;;
    *) shift ;;
  esac
done
[ -n "$fingerprint$accept" ] || usage
for tool in sha256sum openssl; do
  command -v "$tool" >/dev/null || missing "$tool is not here" "install it from the system's packages"
done

# 1. The key is the one that was told.
for name in signing-key.pub SHA256SUMS SHA256SUMS.sig; do
  [ -f "$name" ] || refuse "$name is missing"
done
found=$(openssl pkey -pubin -in signing-key.pub -outform DER 2>/dev/null | sha256sum) || found=
found=${found%% *}
if [ -n "$fingerprint" ]; then
  wanted=$(tr -d ': ' <<<"$fingerprint" | tr '[:upper:]' '[:lower:]')
  [ "$found" = "$wanted" ] || refuse "signing-key.pub: its fingerprint is $found, not $wanted"
fi
echo "signing key  $found${fingerprint:+, as told}"

# 2. The list of digests was signed with it.
openssl dgst -sha256 -verify signing-key.pub -signature SHA256SUMS.sig SHA256SUMS >/dev/null 2>&1 ||
  refuse "SHA256SUMS: the signature does not agree, so it was changed"
echo "signature    SHA256SUMS"

# 3. Every file is as listed, and there is no other.
if ! said=$(LC_ALL=C sha256sum --check --strict --quiet SHA256SUMS 2>&1); then
  refuse "not as it was signed: $(sed -nE 's/^(.*): FAILED.*$/\1/p' <<<"$said" | sort -u | paste -sd' ')"
fi
listed=$(sed -E 's/^[0-9a-f]{64} [ *]//' SHA256SUMS | sort)
here=$(find . -type f ! -name SHA256SUMS ! -name 'SHA256SUMS.*' ! -name signing-key.pub -printf '%P\n' | sort)
others=$(comm -13 <(echo "$listed") <(echo "$here"))
[ -z "$others" ] || refuse "not in the list: $(paste -sd' ' <<<"$others")"
echo "files        $(wc -l <<<"$listed"), all as signed"
[ -z "$only" ] || exit 0

# 4. Load, and see that the engine has the very layers.
if [ -z "$engine" ]; then
  engine=$(command -v docker >/dev/null && echo docker || echo podman)
fi
command -v "$engine" >/dev/null || missing "neither docker nor podman is here" \
  "install one; for apptainer see docs/security-office.md"
LAYERS='' MEDLORA_IMAGE=''
# shellcheck source=/dev/null
. ./image.env # both, signed like all the rest
unpack() { if command -v zstd >/dev/null; then zstd --decompress --stdout --quiet; else cat; fi; }
cat image.tar.zst.* | unpack | "$engine" load --quiet
layers=$("$engine" image inspect --format '{{range .RootFS.Layers}}{{println .}}{{end}}' "$MEDLORA_IMAGE" |
  sed '/^$/d' | sha256sum)
[ "${layers%% *}" = "$LAYERS" ] || refuse "$MEDLORA_IMAGE: the engine has other layers than were signed"
echo "loaded       $MEDLORA_IMAGE"
echo "try it:      $engine run --rm --network none $MEDLORA_IMAGE version"
