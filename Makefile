# Everything runs in .venv, made on first use: with uv if present, else with python3 -m venv and pip. The demo installs the
# package alone; what develops, tests, documents or goes over real sockets adds everything else to it.
PYTHON ?= python3
BIN := .venv/bin
BASE := .venv/.base
DEV := .venv/.dev

.PHONY: help demo demo-live demo-hawkbit test test-all coverage check audit docs examples schema release clean

help:            ## list the targets
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/: *[^#]*## */\t/' | expand -t 15

# Installs into .venv as pinned; what is already there stays.
define install
if command -v uv >/dev/null 2>&1; then \
    uv pip install --quiet --python $(BIN)/python -c constraints.txt $(1); \
else \
    $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt $(1); \
fi
endef

$(BASE): pyproject.toml constraints.txt
	@echo 'installing fotasim into .venv (once)'
	@if command -v uv >/dev/null 2>&1; then uv venv --quiet --allow-existing .venv; else $(PYTHON) -m venv .venv; fi
	@$(call install,-e .)
	@touch $@

$(DEV): $(BASE)
	@echo 'installing everything else into .venv (once)'
	@$(call install,-e '.[dev]')
	@touch $@

demo: $(BASE)    ## simulate scenarios/quickstart.yaml and say where its report is
	$(BIN)/fotasim run scenarios/quickstart.yaml --out reports/demo --overwrite

demo-live: $(DEV) ## 500 modules over real sockets against the mock cloud, then the report
	$(BIN)/python scenarios/live_demo.py --out reports/live-demo

demo-hawkbit: $(BASE) ## 300 modules against goosebit, a DDI server from PyPI, started on loopback
	$(BIN)/python -m demos.hawkbit

test: $(DEV)     ## run the tests, without notebooks, browsers, the documentation's commands and PostgreSQL
	$(BIN)/python -m pytest -m 'not slow and not long and not hawkbit'

test-all: $(DEV) ## run the whole test suite
	$(BIN)/python -m pytest

coverage: $(DEV) ## branch coverage of the pure rooms by their own tests; what is not covered is listed
	$(BIN)/python -m coverage run -m pytest -n 0 -q -p no:cacheprovider --timeout 0 \
	    -m 'not slow and not long and not hypothesis' \
	    tests/module tests/cloud tests/strategy tests/wire -k 'not mutation'
	$(BIN)/python -m coverage report

check: $(DEV)    ## format, lint, types, imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy sim
	$(BIN)/lint-imports

audit: $(DEV)    ## bill of materials, and known vulnerabilities of the pinned versions where the network allows it
	PYTHON=$(PYTHON) .ci/audit

docs: $(DEV)     ## build the documentation site into site/, warnings are errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

examples: $(DEV) ## make reports/examples/sample/, docs/examples/ and the pictures anew
	$(BIN)/python reports/examples/make.py

schema: $(DEV)   ## write scenarios/schema.json, reports/report.schema.json, docs/parameters.md and docs/states.md anew
	$(BIN)/fotasim schema > scenarios/schema.json
	$(BIN)/fotasim schema --of report > reports/report.schema.json
	$(BIN)/python docs/_build.py parameters > docs/parameters.md
	$(BIN)/python docs/_build.py states > docs/states.md

release: $(DEV)  ## build wheel and source archive, check them, try the wheel in a clean environment (TAG=v1.2.3)
	PYTHON=$(PYTHON) .ci/release $(TAG)

clean:           ## remove the environment and what tools leave behind
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache build dist site
