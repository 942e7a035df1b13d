#!/usr/bin/env bash
# A Docker engine, and a stand-in for the CUDA base image, on a machine that may have neither.
#
#   engine.sh up            use the engine that runs (23 or newer, with buildx), or bring one up
#                           beside the system (Debian, as root). Prints `export ...` lines for
#                           eval; MEDLORA_ENGINE_PID is among them only if this call started it.
#   engine.sh base [SUITE]  make local/cuda-base:SUITE (default: bookworm) and print that name.
#
# Talk goes to stderr. Exit 77: it cannot be had here; the last line says why.
# MEDLORA_ENGINE_DIR: where an engine of our own lives (default /var/lib/medlora-engine).
set -euo pipefail

dir=${MEDLORA_ENGINE_DIR:-/var/lib/medlora-engine}
socket=$dir/run/docker.sock
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
suite_of_engine=trixie # the first Debian with an engine that knows COPY --link and secrets

say() { echo "engine: $*" >&2; }
cannot() {
  say "$*"
  exit 77
}

os() { # one field of /etc/os-release
  sed -nE "s/^$1=\"?([^\"]*)\"?\$/\1/p" /etc/os-release 2>/dev/null
}

# The Debian mirror that this machine's own apt is set up with, whatever file format it uses.
mirror() {
  local codename
  codename=$(os VERSION_CODENAME)
  # shellcheck disable=SC2016  # apt fills these in
  apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
    awk -v release="$codename" '$1 == release && $2 == "main" { print $3; exit }'
}

on_debian() {
  [ "$(os ID)" = debian ] || cannot "$1 needs Debian"
  [ "$(id -u)" = 0 ] || cannot "$1 needs root"
}

# apt with settings, lists and cache of its own: the system's packages stay as they are.
private_apt() {
  apt-get -qq -o Dir::Etc::SourceList="$dir/apt/sources.list" -o Dir::Etc::SourceParts=/dev/null \
    -o Dir::State::Lists="$dir/apt/lists" -o Dir::Cache="$dir/apt/cache" \
    -o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::Retries=3 "$@" >&2
}

install_missing() {
  command -v "$1" >/dev/null && return
  { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y \
    --no-install-recommends "$1"; } >&2 || cannot "apt cannot install $1"
}

answers() { docker version --format '{{.Server.Version}}' 2>/dev/null; }
usable() { # the engine that `docker` talks to, where it is new enough for the Dockerfile
  local version
  version=$(answers) && [ "${version%%.*}" -ge 23 ] 2>/dev/null && docker buildx version >/dev/null 2>&1
}

ours() { # from here on, `docker` means the engine under $dir
  export DOCKER_HOST=unix://$socket DOCKER_CONFIG=$dir/config PATH=$dir/root/usr/bin:$PATH
}
print_exports() {
  # shellcheck disable=SC2016  # the caller's PATH, at the time of its eval
  printf 'export DOCKER_HOST=%q DOCKER_CONFIG=%q PATH=%q:"$PATH"\n' \
    "$DOCKER_HOST" "$DOCKER_CONFIG" "$dir/root/usr/bin"
}

fetch() { # unpack Debian's packages beside the system, so that nothing has to be uninstalled
  [ -d "$dir/root" ] && return
  local uri deb
  uri=$(mirror)
  [ -n "$uri" ] || cannot "apt has no Debian mirror set up"
  rm -rf "$dir/root.new" "$dir/debs"
  mkdir -p "$dir"/apt/{lists,cache/archives}/partial "$dir/debs" "$dir/config/cli-plugins"
  echo "deb [signed-by=$keyring] $uri $suite_of_engine main" >"$dir/apt/sources.list"
  private_apt update || cannot "the Debian mirror does not answer"
  (cd "$dir/debs" && private_apt download docker.io docker-cli docker-buildx docker-compose \
    containerd) || cannot "the engine's packages cannot be downloaded"
  for deb in "$dir"/debs/*.deb; do dpkg -x "$deb" "$dir/root.new"; done
  mv "$dir/root.new" "$dir/root"
  ln -sf "$dir"/root/usr/libexec/docker/cli-plugins/* "$dir/config/cli-plugins/"
  rm -rf "$dir/debs" "$dir/apt"
}

start() { # no bridge: builds and runs use --network host or none, so no firewall is touched
  local log=$dir/run/log
  mkdir -p "$dir/run"
  rm -f "$socket" "$dir/run/pid"
  # A file of our own, or the system's would be read. Each change of the lock leaves 10 GB in the
  # build cache, which an engine does not clear by itself.
  echo '{"builder": {"gc": {"enabled": true, "defaultKeepStorage": "20GB"}}}' >"$dir/daemon.json"
  PATH=$PATH:$dir/root/usr/sbin setsid nohup dockerd --config-file "$dir/daemon.json" \
    --data-root "$dir/data" --exec-root "$dir/run/exec" --pidfile "$dir/run/pid" \
    --host "unix://$socket" --bridge=none --iptables=false --ip6tables=false \
    >"$log" 2>&1 </dev/null 9>&- &
  for _ in $(seq 300); do
    answers >/dev/null && return
    kill -0 $! 2>/dev/null || break
    sleep 0.1
  done
  kill $! 2>/dev/null || :
  cannot "the engine did not start: $(tail -1 "$log")"
}

up() {
  if usable; then
    say "using the engine that runs: $(answers)"
    return
  fi
  on_debian "bringing up an engine"
  mkdir -p "$dir"
  exec 9>"$dir/lock"
  flock 9 # a second call at the same time waits, then finds the first one's engine
  ours
  if usable; then
    say "using our own engine, which runs already: $(answers)"
    print_exports
    return
  fi
  fetch
  install_missing runc
  start
  say "started $(answers), data under $dir"
  print_exports
  echo "export MEDLORA_ENGINE_PID=$(cat "$dir/run/pid")"
}

base() { # Debian's smallest system with the settings of the real base that containers see
  local suite=$1 tag=local/cuda-base:$1 uri
  if docker image inspect "$tag" >/dev/null 2>&1; then
    say "$tag is there"
  else
    on_debian "making a base image"
    uri=$(mirror)
    install_missing mmdebstrap
    SOURCE_DATE_EPOCH=0 mmdebstrap --quiet --variant=minbase --include=ca-certificates \
      --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
      --dpkgopt='path-exclude=/usr/share/locale/*' "$suite" - "$uri" |
      docker import --change 'ENV NVIDIA_VISIBLE_DEVICES=all' \
        --change 'ENV NVIDIA_DRIVER_CAPABILITIES=compute,utility' - "$tag" >/dev/null
    say "made $tag"
  fi
  echo "$tag"
}

case ${1:-} in
  up) up ;;
  base) base "${2:-bookworm}" ;;
  *)
    echo "usage: engine.sh up | base [SUITE]" >&2
    exit 2
    ;;
esac
