# `make` sets up and runs the main job, `make test` sets up and tests. No logic lives here.
# uv is the machine's own where there is one; otherwise it is put into .tools/, inside this checkout.
.PHONY: all sitting verify gpu test test-rest test-all lint lock record unlock help clean known

CORES ?= all
PRESET ?= quick
PRESETS ?= $(PRESET)
RUNS ?= 4
PRESET_FILE = $(firstword $(wildcard $(filter %.yaml,$(PRESET)) workflow/presets/$(PRESET).yaml))
KNOWN := quick $(patsubst workflow/presets/%.yaml,%,$(wildcard workflow/presets/*.yaml))
UV := $(shell command -v uv 2>/dev/null || echo .tools/bin/uv)
SNAKEMAKE = $(UV) run snakemake --logger brief --cores $(CORES) $(addprefix --configfile ,$(PRESET_FILE)) $(ARGS)

all: known .venv/ready ## set up, then run the whole of PRESET (default: quick): data, training, figures, claims, report
	$(SNAKEMAKE)
	@$(UV) run python -m understanding_bn verdicts $(PRESET)

.DEFAULT: # make fig3: one figure or table, or any other target of Snakemake
	@$(MAKE) --no-print-directory known .venv/ready
	$(SNAKEMAKE) -- $@

sitting: known .venv/ready ## run the next RUNS runs (default: 4) that neither results nor PRESET's record has
	$(UV) run python -m understanding_bn missing $(PRESET) --first $(RUNS) | xargs -r $(SNAKEMAKE) --

verify: .venv/ready ## compare results/PRESET (default: quick) with its kept record: the same numbers and verdicts?
	@$(UV) run python -m understanding_bn verify $(PRESET)

gpu: PRESET = paper-short
gpu: known .venv/ready ## with a GPU and an evening: test and measure it, train PRESET (here: paper-short), keep the record
	$(UV) run python -m understanding_bn benchmark train --device cuda --archs resnet-110 --sizes 32 --steps 30 \
		--out results/reference/benchmark/engine.json
	$(UV) run pytest -m gpu
	$(SNAKEMAKE) -- ahead
	$(SNAKEMAKE)
	@$(UV) run python -m understanding_bn verdicts $(PRESET)
	@$(MAKE) --no-print-directory record PRESETS=$(PRESET)

test: .venv/ready ## set up, then run the tests that a newcomer needs: at most 6 minutes on 2 cores
	$(UV) run pytest

test-rest: .venv/ready ## the others of continuous integration: faults, clusters, one's own data and code
	$(UV) run pytest -m "slow and not evidence" --numprocesses 4

test-all: .venv/ready ## every test once, with all commands of the pages, which take many minutes
	$(UV) run pytest -m ""

lint: .venv/ready ## ruff, mypy, snakefmt and snakemake --lint
	$(UV) run ruff check .
	$(UV) run ruff format --check .
	$(UV) run mypy
	$(UV) run snakefmt --check Snakefile workflow/rules
	$(UV) run snakemake --lint

lock: ## pin every package anew: pyproject.toml, requirements.lock and envs/*.yaml
	PATH="$(abspath $(dir $(UV))):$$PATH" python3 envs/lock.py

record: .venv/ready ## keep the small results of PRESETS (default: quick) and rewrite the numbers in README and docs
	$(UV) run python -m understanding_bn record $(PRESETS)
	$(UV) run snakemake --rulegraph mermaid-js > results/reference/rules.mmd
	$(UV) run python -m understanding_bn keys
	$(UV) run python -m understanding_bn fill README.md docs/*.md codecheck.yml

help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10
	@echo "fig3      one figure or table with the jobs that it needs; likewise every other name that the README lists"
	@echo "PRESET=P  with any of these: another preset than quick, one of $(filter-out quick,$(KNOWN)), or your own file"
	@echo "ARGS=A    more arguments for Snakemake, such as ARGS=--dry-run; CORES=N: so many processor cores"

unlock: ## let a new run begin where one was killed: Snakemake does not know by itself that it has ended
	$(SNAKEMAKE) --unlock

clean: ## remove the results of every preset (not results/reference) and nothing else
	find results -mindepth 1 -maxdepth 1 ! -name reference -exec rm -r {} +

known:
	@$(if $(filter quick,$(PRESET))$(PRESET_FILE),true,echo "error: no preset $(PRESET); expected one of $(KNOWN), or a file of your own that ends in .yaml" >&2; exit 2)

# It holds where it was set up, so that a checkout that was moved or copied is set up anew, for itself.
ifneq ($(shell cat .venv/ready 2>/dev/null),$(CURDIR))
.PHONY: .venv/ready
endif
.venv/ready: pyproject.toml $(filter .tools/%,$(UV))
	@test -e $@ || echo "setting up .venv: some 3 GB to fetch, and 6 GB on disk"
	@test -e $@ || $(UV) venv --quiet --relocatable --allow-existing .venv
	$(UV) sync --compile-bytecode $(if $(wildcard .venv/ready),--reinstall-package understanding-bn)
	@echo "$(CURDIR)" > $@

pyproject.toml: ; # a rule of its own: where it is missing, .DEFAULT would call make for it, without end

.tools/bin/uv:
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed" >&2; exit 1; }
	python3 -m venv .tools 2>/dev/null || python3 -m pip --version >/dev/null || { echo "neither venv nor pip: install uv, or your system's python3-venv" >&2; exit 1; }
	if [ -x .tools/bin/pip ]; then .tools/bin/pip install --quiet uv==0.13.9; else python3 -m pip install --quiet --target .tools uv==0.13.9; fi
