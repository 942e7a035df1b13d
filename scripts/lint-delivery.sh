#!/usr/bin/env bash
# Lint what is delivered beside the Python code: Dockerfile, scripts, YAML, workflows, compose.
# One line a tool; what a tool has to say only where it fails. Needs no network and no engine.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=.venv/bin
failed=0

lint() { # lint NAME COMMAND...
  local name=$1 said
  shift
  if said=$("$@" 2>&1); then
    echo "ok      $name"
  else
    printf 'FAILED  %s: %s\n%s\n' "$name" "$*" "$said"
    failed=1
  fi
}

# shellcheck disable=SC2329  # called by name
# CI runs nothing that a person cannot run by the same name.
only_named_steps() {
  ! grep -nE '^ *(- )?run:' "$@" | grep -vE 'run: (make [a-z-]+|scripts/[a-z-]+\.sh|\.ci/run)$'
}

mapfile -t yaml < <(find . -path ./.venv -prune -o \( -name '*.yaml' -o -name '*.yml' \) -print)
workflows=(.github/workflows/*.yml)

lint hadolint "$bin/hadolint" Dockerfile
lint shellcheck "$bin/shellcheck" scripts/*.sh .ci/run
lint yamllint "$bin/yamllint" --strict "${yaml[@]}"
lint zizmor "$bin/zizmor" --offline --quiet "${workflows[@]}"
lint "schema of workflows" "$bin/check-jsonschema" --builtin-schema vendor.github-workflows "${workflows[@]}"
lint "schema of compose.yaml" "$bin/check-jsonschema" --builtin-schema vendor.compose-spec compose.yaml
lint "workflow steps are targets or scripts" only_named_steps "${workflows[@]}"

exit "$failed"
