# One image for every place it runs: CUDA base, Python of the distribution, the locked packages,
# then our own code. Three layers carry the size (CUDA, torch, the rest); a changed source line
# rebuilds the last ones alone, which are some hundred kilobytes.
# No `# syntax=` line: it would pull a builder from a registry, by a tag.
ARG BASE_IMAGE=nvidia/cuda:13.0.3-base-ubuntu24.04@sha256:7c7413a56200486f71f181cad9310f6fd31b6bb21816ade15fc9c1e1e927a5c1

# hadolint ignore=DL3006
FROM ${BASE_IMAGE} AS base
# The distribution's packages as they were at this moment (its snapshot service); empty: as the
# base's own sources have them today, which is what a base without that service gets.
ARG APT_SNAPSHOT=20261101T000000Z
# Versions come with the snapshot. NVIDIA's own package list is dropped, nothing is wanted from it.
# Logs and ldconfig's cache hold the time of the build, and every file that this step touches gets
# one fixed time, so that the layer is the same next time; what the base has is emptied rather than
# deleted, for the mark of a deletion has a time of its own that nobody can set.
# (The secret lies in /dev, which is no part of a layer: a mount's traces have the build's time.)
# What only other users' programs need goes: setuid bits, and folders that everybody may write to.
# /tmp is group 0's, which every user of this image is in; a tmpfs there has modes of its own.
# hadolint ignore=DL3008,DL3009
RUN --mount=type=secret,id=ca,target=/dev/ca,mode=0444 \
    touch /before \
    && find /etc/apt/sources.list.d -name 'cuda*' -exec truncate --size 0 {} + \
    && if [ -f /dev/ca ]; then set -- -o Acquire::https::CAInfo=/dev/ca; fi \
    && if [ -n "$APT_SNAPSHOT" ]; then set -- "$@" --snapshot "$APT_SNAPSHOT"; fi \
    && apt-get "$@" update \
    && apt-get "$@" install -y --no-install-recommends ca-certificates python3 \
    && apt-get clean \
    && find /var/lib/apt/lists -type f ! -name lock -delete \
    && find /var/log /var/cache/ldconfig -type f -exec truncate --size 0 {} + \
    && install -d -m 0755 /data /config /models \
    && install -d -m 0775 /checkpoints \
    && find / -xdev -perm /6000 ! -type l -exec chmod ug-s {} + \
    && find / -xdev ! -path '/proc/*' -type d -perm -0002 -exec chmod 0775 {} + \
    && find / -xdev ! -path /before -newer /before -exec touch --no-dereference --date=@315532800 {} + \
    && rm /before \
    && touch --date=@315532800 /


FROM base AS deps
ARG APT_SNAPSHOT=20261101T000000Z
# hadolint ignore=DL3008
RUN --mount=type=secret,id=ca,mode=0444 \
    if [ -f /run/secrets/ca ]; then set -- -o Acquire::https::CAInfo=/run/secrets/ca; fi \
    && if [ -n "$APT_SNAPSHOT" ]; then set -- "$@" --snapshot "$APT_SNAPSHOT"; fi \
    && chmod 1777 /tmp \
    && apt-get "$@" update \
    && apt-get "$@" install -y --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/*
COPY requirements-uv.txt /opt/uv/
RUN --mount=type=secret,id=ca --mount=type=secret,id=pip-index \
    if [ -f /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi \
    && if [ -f /run/secrets/pip-index ]; then \
         PIP_INDEX_URL="$(cat /run/secrets/pip-index)" && export PIP_INDEX_URL; fi \
    && python3 -m venv /opt/uv \
    && /opt/uv/bin/pip install --no-cache-dir --require-hashes -r /opt/uv/requirements-uv.txt
# Bytecode that Python trusts without looking at the source: a root file system that is read-only
# and files of one fixed time can neither refresh nor outdate it.
# triton (690 MB) can make no kernel without a C compiler and Python's headers, which stay out.
ENV PATH=/opt/uv/bin:$PATH \
    UV_PYTHON=/usr/bin/python3 \
    UV_PYTHON_DOWNLOADS=never \
    UV_LINK_MODE=copy \
    UV_COMPILE_BYTECODE=1 \
    PYC_INVALIDATION_MODE=UNCHECKED_HASH \
    PYTHONHASHSEED=0 \
    SYNC="--frozen --no-dev --extra plots --extra qlora --extra dp --extra cloud --extra formats --no-install-package triton"
WORKDIR /opt/medlora
COPY pyproject.toml uv.lock ./
COPY scripts/prune.sh scripts/
# .lock is uv's own and writable by everybody. The fixed time keeps the layers the same next time,
# and so do the parent folders under /layers (hard links: no second copy), which COPY would date.
# hadolint ignore=DL4006,SC2086
RUN --mount=type=secret,id=ca --mount=type=cache,target=/root/.cache/uv \
    if [ -f /run/secrets/ca ]; then export SSL_CERT_FILE=/run/secrets/ca; fi \
    && uv sync $SYNC --no-install-project \
    && rm -f .venv/.lock \
    && scripts/prune.sh .venv /layers uv.lock


FROM deps AS project
COPY README.md LICENSE ./
COPY medlora medlora
# What the install adds to the environment is set apart, so that the image gets it as layers of
# its own: the demo's model and data, which seldom change, and the code. No network: the build backend is part of uv, which would compile everything anew (18 s).
# No cache either: by its own rules uv would take the wheel of an earlier source for this one.
# uv_cache.json holds the time of the build.
# hadolint ignore=SC2086
RUN --network=none \
    UV_COMPILE_BYTECODE=0 uv sync $SYNC --no-editable --offline --no-cache \
    && .venv/bin/python -m compileall -q --invalidation-mode unchecked-hash \
         .venv/lib/python3*/site-packages/medlora \
    && mkdir -p /demo/opt/medlora /ours/opt/medlora \
    && cp -a --parents .venv/lib/python3*/site-packages/medlora/demo /demo/opt/medlora/ \
    && rm -rf .venv/lib/python3*/site-packages/medlora/demo \
    && cp -a --parents .venv/bin/medlora .venv/lib/python3*/site-packages/medlora \
         .venv/lib/python3*/site-packages/medlora-*.dist-info /ours/opt/medlora/ \
    && find /ours -name uv_cache.json -delete \
    && sed -i '/uv_cache\.json/d' /ours/opt/medlora/.venv/lib/python3*/site-packages/*/RECORD \
    && chmod -R u=rwX,go=rX /demo /ours \
    && find /demo /ours -exec touch --no-dereference --date=@315532800 {} +


# What the labels say, where the program itself can read it.
FROM base AS facts
ARG BASE_IMAGE
ARG BASE_DIGEST=unknown
ARG VERSION=unknown
ARG REVISION=unknown
ARG SOURCE=unknown
ARG LOCK_SHA256=unknown
RUN mkdir -p /facts/opt/medlora \
    && printf '{"version": "%s", "revision": "%s", "source": "%s", "base": "%s", "base_digest": "%s", "lock_sha256": "%s"}\n' \
         "$VERSION" "$REVISION" "$SOURCE" "${BASE_IMAGE%%@*}" "$BASE_DIGEST" "$LOCK_SHA256" \
         >/facts/opt/medlora/image.json \
    && find /facts -exec touch --no-dereference --date=@315532800 {} +


FROM base AS runtime
COPY --link --from=deps /layers/cuda /
COPY --link --from=deps /layers/torch /
COPY --link --from=deps /layers/rest /
COPY --link --from=project /demo /
COPY --link --from=project /ours /
COPY --link --from=facts /facts /
# Nothing a user could want to set: on some runtimes an image's variable beats the host's.
ENV PATH=/opt/medlora/.venv/bin:$PATH \
    PYTHONNOUSERSITE=1
ARG BASE_IMAGE
ARG BASE_DIGEST=unknown
ARG VERSION=unknown
ARG REVISION=unknown
ARG SOURCE=unknown
ARG LOCK_SHA256=unknown
LABEL org.opencontainers.image.title="MedLoRA" \
      org.opencontainers.image.description="Fine-tune a medical language model with LoRA, offline and reproducibly" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.source="$SOURCE" \
      org.opencontainers.image.base.name="$BASE_IMAGE" \
      org.opencontainers.image.base.digest="$BASE_DIGEST" \
      org.medlora.lock-sha256="$LOCK_SHA256"
# Any uid works; group 0 is what the writable folders belong to.
USER 10001:0
STOPSIGNAL SIGTERM
HEALTHCHECK NONE
ENTRYPOINT ["medlora"]
CMD ["--help"]
