#!/usr/bin/env bash
# Try the kit as a hospital would: airgap-test.sh [FOLDER]   (default: dist/airgap)
#
# A second Docker engine with folders of its own, in a network namespace that has no network. The
# kit is verified and loaded there, the demo trained and verified, a base model packed and carried;
# then everything that could be tampered with is, and each time install or verify must refuse with
# the file's name. Needs root and dockerd (scripts/engine.sh brings one). Exit code 77: not here.
set -euo pipefail
kit=$(realpath "${1:-"$(dirname "$0")/../dist/airgap"}")
engine=${MEDLORA_ENGINE_DIR:-/var/lib/medlora-engine}
export PATH=$PATH:$engine/root/usr/bin:$engine/root/usr/sbin

if [ "$(id -u)" != 0 ] || ! command -v dockerd >/dev/null || ! command -v unshare >/dev/null; then
  echo "skipped: needs root, dockerd and unshare" >&2
  exit 77
fi
[ -f "$kit/SHA256SUMS" ] || { echo "error: no kit in $kit (make airgap)" >&2; exit 69; }

work=$(mktemp -d /var/tmp/medlora-airgap.XXXXXX)
pid=
cleanup() {
  if [ -n "$pid" ]; then
    kill "$pid" 2>/dev/null && timeout 60 tail --pid="$pid" -f /dev/null || :
  fi
  umount -q "$work"/exec/netns/* 2>/dev/null || :
  rm -rf "$work"
}
trap cleanup EXIT
step() { printf '== %4d s  %s\n' "$SECONDS" "$*"; }

step "a second engine, its network cut"
unset DOCKER_CONFIG
echo '{}' >"$work/daemon.json"
unshare --net dockerd --config-file "$work/daemon.json" --data-root "$work/data" \
  --exec-root "$work/exec" --pidfile "$work/pid" --host "unix://$work/docker.sock" \
  --bridge=none --iptables=false --ip6tables=false >"$work/log" 2>&1 &
pid=$!
export DOCKER_HOST=unix://$work/docker.sock
for _ in $(seq 300); do
  docker version >/dev/null 2>&1 && break
  kill -0 "$pid" 2>/dev/null || { tail -3 "$work/log" >&2; exit 70; }
  sleep 0.1
done
[ -z "$(docker image ls --quiet)" ] || { echo "error: the engine is not fresh" >&2; exit 70; }

# expect CODE WORDS COMMAND...: it ends with the code, and says the words
expect() {
  local code=$1 words=$2 said status=0
  shift 2
  said=$("$@" 2>&1) || status=$?
  if [ "$status" != "$code" ] || ! grep -qF -- "$words" <<<"$said"; then
    printf 'FAILED: %s\nexpected %s and "%s", got %s:\n%s\n' "$*" "$code" "$words" "$status" "$said" >&2
    exit 70
  fi
  printf '   %3s  %s\n' "$status" "$(grep -F -- "$words" <<<"$said" | head -1)"
}
flip() { # change one byte in the middle of a file, or change it back
  python3 - "$1" <<'PY'
import os, sys
with open(sys.argv[1], "r+b") as file:
    place = os.path.getsize(sys.argv[1]) // 2
    file.seek(place)
    byte = file.read(1)[0] ^ 1
    file.seek(place)
    file.write(bytes([byte]))
PY
}
resum() { # make the list agree with a changed file, as an attacker would
  local digest
  digest=$(sha256sum "$kit/$1")
  sed -i -E "s|^[0-9a-f]{64}(  $1)$|${digest%% *}\1|" "$kit/SHA256SUMS"
}
fingerprint=$(openssl pkey -pubin -in "$kit/signing-key.pub" -outform DER | sha256sum)
fingerprint=${fingerprint%% *}
verify=("$kit/install.sh" --verify --fingerprint "$fingerprint")
archive=$(basename "$(find "$kit" -name 'image.tar.zst.*' | sort | tail -1)")

step "verify, load"
expect 2 "--fingerprint HEX" "$kit/install.sh"
expect 0 "all as signed" "${verify[@]}"
expect 0 "loaded" "$kit/install.sh" --engine docker --fingerprint "$fingerprint"
step "loaded"
# shellcheck source=/dev/null
. "$kit/image.env"

hardened=(--read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges --user 12345:0)
mkdir "$work/run" "$work/models" && chmod 0775 "$work/run" "$work/models"
step "the network is cut: a container on the host's network reaches nobody"
expect 1 "Network is unreachable" docker run --rm --network host "${hardened[@]}" --entrypoint python \
  "$MEDLORA_IMAGE" -c 'import socket; socket.create_connection(("192.0.2.1", 443), 2)'
step "demo, verify"
expect 0 "finished" docker run --rm --network none "${hardened[@]}" \
  --volume "$work/run:/checkpoints" "$MEDLORA_IMAGE" train
expect 0 "ok       final" docker run --rm --network none "${hardened[@]}" \
  --volume "$work/run:/checkpoints" "$MEDLORA_IMAGE" verify /checkpoints/demo

step "a base model, packed and carried"
demo=$(docker run --rm --network none --entrypoint python "$MEDLORA_IMAGE" -c \
  'from importlib.resources import files; print(files("medlora") / "demo/base")')
expect 0 "SHA-256 of the list" docker run --rm --network none "${hardened[@]}" \
  --volume "$work/models:/models" "$MEDLORA_IMAGE" model-pack "$demo" /models/base
list=$(sha256sum "$work/models/base/SHA256SUMS")
carried=(docker run --rm --network none "${hardened[@]}" --volume "$work/models:/models:ro"
  "$MEDLORA_IMAGE" model-verify /models/base --expect "${list%% *}")
expect 0 "as expected" "${carried[@]}"

step "tampered: the archive, a checksum with it, the key, a document, a file more, a model file"
flip "$kit/$archive"
expect 77 "$archive" "${verify[@]}"
cp "$kit/SHA256SUMS" "$work/sums"
resum "$archive"
expect 77 "SHA256SUMS: the signature does not agree" "${verify[@]}"
cp "$kit/signing-key.pub" "$kit/SHA256SUMS.sig" "$work/"
openssl ecparam -name prime256v1 -genkey -noout -out "$work/other.pem"
openssl pkey -in "$work/other.pem" -pubout -out "$kit/signing-key.pub"
openssl dgst -sha256 -sign "$work/other.pem" -out "$kit/SHA256SUMS.sig" "$kit/SHA256SUMS"
expect 77 "signing-key.pub: its fingerprint" "${verify[@]}"
cp "$work/sums" "$kit/SHA256SUMS"
cp "$work/signing-key.pub" "$work/SHA256SUMS.sig" "$kit/"
flip "$kit/$archive"
flip "$kit/README.md"
expect 77 "README.md" "${verify[@]}"
flip "$kit/README.md"
touch "$kit/configs/more.yaml"
expect 77 "not in the list: configs/more.yaml" "${verify[@]}"
rm "$kit/configs/more.yaml"
mv "$kit/sbom.cdx.json" "$work/"
expect 77 "sbom.cdx.json" "${verify[@]}"
mv "$work/sbom.cdx.json" "$kit/"
flip "$work/models/base/model.safetensors"
expect 77 "model.safetensors: was changed" "${carried[@]}"
digest=$(sha256sum "$work/models/base/model.safetensors")
sed -i -E "s|^[0-9a-f]{64}(  model.safetensors)$|${digest%% *}\1|" "$work/models/base/SHA256SUMS"
expect 77 "SHA256SUMS: its SHA-256 is" "${carried[@]}"
expect 0 "all as signed" "${verify[@]}"
step "passed"
