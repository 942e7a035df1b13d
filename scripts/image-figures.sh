#!/usr/bin/env bash
# Print sizes by layer and times of an image: image-figures.sh IMAGE [BASE_IMAGE]
#
# Compressed as a registry keeps it (gzip, level 6) and as the kit does (zstd, level 6). With
# BASE_IMAGE the image is built again after one changed line of source (which is put back).
set -euo pipefail
cd "$(dirname "$0")/.."
[ -n "${1:-}" ] || { echo "usage: image-figures.sh IMAGE [BASE_IMAGE]" >&2; exit 2; }
image=$1
work=$(mktemp -d)
trap 'rm -rf "$work"; git checkout -q -- medlora/logs.py 2>/dev/null || :' EXIT

seconds() { # seconds WORDS COMMAND...
  local words=$1 began
  shift
  began=$(date +%s.%N)
  "$@" >/dev/null 2>&1
  printf '%8.2f s  %s\n' "$(echo "$(date +%s.%N) - $began" | bc)" "$words"
}

echo "layers of $image: MB unpacked, gzip -6, zstd -6"
docker save "$image" | python3 -c '
import gzip, subprocess, sys, tarfile
total = [0, 0, 0]
with tarfile.open(fileobj=sys.stdin.buffer, mode="r|") as archive:
    for member in archive:
        if not member.name.startswith("blobs/") or member.size < 8192:
            continue
        tools = [subprocess.Popen(c, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for c in (
            ["sh", "-c", "gzip -6 | wc -c"], ["sh", "-c", "zstd -6 -q | wc -c"])]
        blob = archive.extractfile(member)
        while chunk := blob.read(1 << 20):
            for tool in tools:
                tool.stdin.write(chunk)
        sizes = [member.size]
        for tool in tools:
            tool.stdin.close()
            sizes.append(int(tool.stdout.read()))
        total = [a + b for a, b in zip(total, sizes)]
        print("  ", *(f"{size / 1e6:10.2f}" for size in sizes))
print("  ", *(f"{size / 1e6:10.2f}" for size in total), " all")
'
run=(docker run --rm --network none --read-only --tmpfs /tmp --user "12345:0")
seconds "start to --help" "${run[@]}" "$image" --help
seconds "start to import torch" "${run[@]}" --entrypoint python "$image" -c 'import torch'
mkdir -m 0777 "$work/checkpoints"
seconds "start to the demo's first step, and its checkpoint" "${run[@]}" \
  --volume "$work/checkpoints:/checkpoints" "$image" train --set training.max_steps=1 \
  --set training.warmup_steps=0 --set gate.suites= \
  --set gate.max_degenerate=null --set gate.min_escalation=null --set gate.max_diagnosis=null
if [ -n "${2:-}" ] && git diff --quiet -- medlora/logs.py; then
  seconds "build again, nothing changed" scripts/build-image.sh "$image" "$2"
  echo "# changed" >>medlora/logs.py
  seconds "build again, one line of source changed" scripts/build-image.sh "medlora:changed-$$" "$2"
  git checkout -q -- medlora/logs.py
  docker image rm --force "medlora:changed-$$" >/dev/null
fi
