# Everything runs in .venv, which is made on first use: uv if present, else python3 -m venv and pip.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.ready

.PHONY: help demo demo-hawkbit test check docs examples schema clean

help:            ## list the targets
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/: *[^#]*## */\t/' | expand -t 15

$(STAMP): pyproject.toml constraints.txt
	@if command -v uv >/dev/null 2>&1; then \
	    uv venv --quiet --allow-existing .venv && \
	    uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[dev]'; \
	else \
	    $(PYTHON) -m venv .venv && \
	    $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'; \
	fi
	@touch $(STAMP)

demo: $(STAMP)  ## simulate scenarios/quickstart.yaml and say where its report is
	$(BIN)/fotasim run scenarios/quickstart.yaml --out reports/demo

demo-hawkbit: $(STAMP) ## run 300 modules against goosebit, a DDI server from PyPI, started on loopback
	$(BIN)/python -m demos.hawkbit

test: $(STAMP)  ## run the whole test suite
	$(BIN)/python -m pytest

check: $(STAMP) ## format, lint, types, imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy sim
	$(BIN)/lint-imports

docs: $(STAMP)  ## build the documentation site into site/, warnings are errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

examples: $(STAMP) ## make reports/examples/ and the picture of the README anew
	$(BIN)/python reports/examples/make.py

schema: $(STAMP) ## write scenarios/schema.json and reports/report.schema.json anew
	$(BIN)/fotasim schema > scenarios/schema.json
	$(BIN)/fotasim schema --of report > reports/report.schema.json

clean:           ## remove the environment and what tools leave behind
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache build dist site
