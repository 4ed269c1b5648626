# make reports: the embedded demo, from download to page.   make test: the tests.
# Both make the environment first, when it is missing or older than the lock.
.PHONY: setup reports satellite plan test check lock clean-env
.DELETE_ON_ERROR:

PYTHON ?= python3
# more jobs than cores only get into each other's way
CORES ?= $(shell getconf _NPROCESSORS_ONLN)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# jobs find the environment's programs first; bytecode is kept, because importing torch is slow
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DVC_NO_ANALYTICS := true

setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; try: make PYTHON=python3.12")'
	$(PYTHON) -m venv --clear $(VENV)
	awk '/^[^ ]/ { keep = /^uv==/ } keep' requirements.lock > $(VENV)/uv.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/uv.lock
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip sync --require-hashes requirements.lock
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m compileall -q -j 0 $(VENV)/lib >/dev/null || true
	$(BIN)/dmn bench warm
	touch $(STAMP)

reports: setup
	dmn run --cores $(CORES)

# features of three released CLIPs: 5 MB, no image, no GPU; in runs/satellite, beside the demo
satellite: setup
	dmn run --cores $(CORES) --config config/satellite.yaml

# what a configuration downloads, stores, computes and runs: make plan CONFIG=config/paper.yaml
plan: setup
	dmn plan $(if $(CONFIG),--config $(CONFIG))

test: setup
	python -m pytest

check: setup
	bash .ci/run

lock: setup
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-annotate --no-header \
		--extra dev --extra s3 pyproject.toml --output-file requirements.lock
