# Everything a person runs here. `make` alone lists it. Each target makes its own environment first (.venv, see requirements/install).
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
READY := .venv/.ready
BIN := .venv/bin

# Nobody is told that this was run, and nothing is written outside the checkout but caches.
export DO_NOT_TRACK := 1
export GX_ANALYTICS_ENABLED := false
export DBT_SEND_ANONYMOUS_USAGE_STATS := false
export SCARF_ANALYTICS := false
export PYTHONUTF8 := 1
export PYTHON LOG FAULTS_SEED
# compiled modules are kept: without them every process compiles Airflow and Great Expectations anew
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test test-long test-faults bench lint format docs lock airflow clean

help:  ## list these targets
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/' | expand -t 18

demo: $(READY)  ## a small marketplace through the whole of Kampeky, in two minutes (the first time three); LOG=/path/access.log takes your own log
	@$(BIN)/python -m dags.demo

test: lint  ## lint, then the tests, a quarter of an hour on two cores
	@$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not long and not faults"

test-long: lint  ## the same with what takes longer: a whole marketplace against its truth, retention stopped at every stage
	@$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not faults"

test-faults: $(READY)  ## erasure, retention and their steps killed at over 300 moments, each finished by the next run: an hour; FAULTS_SEED=… tries others
	@$(BIN)/pytest tests/test_faults.py -m faults

lint: $(READY)  ## style, types, the order of the rooms, SQL; the quickest check first
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff check --quiet --preview --select AIR dags
	@$(BIN)/ty check
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/sqlfluff lint dbt_project/models

bench: $(READY)  ## how fast, as ratios to plain copies in the same run; ROWS=1000000 for a short one (default 20000000, a quarter of an hour)
	@$(BIN)/python -m benchmarks $(or $(ROWS),20000000) $(or $(MEMBERS),200000) $(or $(BUILD_MEMBERS),1000000) $(or $(BUILD_EVENTS),50000000)

format: $(READY)  ## mend what a machine can: imports, idioms, SQL
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/sqlfluff fix --quiet dbt_project/models

docs: $(READY)  ## write what is generated from the rules: pages, schemas, dbt sources, the clause table
	@$(BIN)/kampeky contracts docs
	@$(BIN)/python .ci/clauses.py

docs-site: $(READY)  ## dbt's documentation of all models as one file, .demo/models.html, for any browser, without a network
	@mkdir -p .demo && $(BIN)/kampeky contracts docs --site .demo/models.html

lock: $(READY)  ## resolve requirements/*.txt anew from pyproject.toml, keeping versions that still fit; UPGRADE=1 takes the newest
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --no-header $(if $(UPGRADE),--upgrade) \
	  --group pyproject.toml:bootstrap -o requirements/bootstrap.txt
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --no-header $(if $(UPGRADE),--upgrade) \
	  pyproject.toml --group transform --group quality --group airflow --group dev -o requirements/all.txt

airflow: $(READY)  ## Airflow on 127.0.0.1 with the DAGs in it; Ctrl-C stops it. PORT=8080
	@exec $(BIN)/python -m dags.serve $(PORT)

clean:  ## remove what the targets above made, except a home (.kampeky)
	rm -rf .venv .demo .airflow .pytest_cache .ruff_cache .import_linter_cache .hypothesis dbt_project/target dbt_project/logs

# An environment does not survive being moved or copied with its checkout: then it is made anew.
$(shell [ "$$(cat .venv/.made-in 2>/dev/null)" = "$$(pwd -P)" ] || rm -f $(READY))
$(READY): pyproject.toml requirements/install requirements/bootstrap.txt requirements/all.txt
	@requirements/install
	@touch $@
