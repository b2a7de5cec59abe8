# Thin fronts of the `ib` command. EXPERIMENT names a file in experiments/, ARGS are further options of `ib`:
#   make figures EXPERIMENT=digits ARGS="--encoder.width 32"
# `make bench` runs every script in benchmarks/ as it is; BENCH names one of them, which ARGS are for:
#   make bench BENCH=sampler ARGS="--size 16"
PYTHON ?= python3
VENV ?= .venv
EXPERIMENT ?= default
ARGS ?=
BENCH ?=

BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install base train estimate-mi figures samples describe audit budget calibrate controls convergence \
	cost-quality stream-ablation residual-blocks two-step yardsticks pareto-front search test test-slow bench \
	lint format clean

help:
	@echo "make figures      run everything that is missing, then draw (EXPERIMENT=$(EXPERIMENT))"
	@echo "make base         fit the unconditional model of the images, once for all experiments on them"
	@echo "make train        train the encoders and dump their activations"
	@echo "make estimate-mi  fit the decoders and measure information"
	@echo "make samples      sample images from what the layers know, and write the page"
	@echo "make describe     what an experiment will cost, before anything runs"
	@echo "make audit        one decoder for many cells against decoders of single cells"
	@echo "make budget       how every number moves with the decoders' steps and size"
	@echo "make convergence  whether fits four times as long keep to the widened intervals"
	@echo "make calibrate    estimates of information whose truth is known, against the truth"
	@echo "make controls     checks of the instrument where it is known what it must find"
	@echo "make cost-quality accuracy of number formats and sizes, against what they cost"
	@echo "make stream-ablation  accuracy of a ResNet in ResNet with one stream of one block at zero"
	@echo "make residual-blocks  plain CNN, ResNet, ResNet Init and ResNet in ResNet of equal size"
	@echo "make two-step     binary networks trained in one step and in two"
	@echo "make yardsticks   published accuracies beside those of EXPERIMENT, and what keeps them from a comparison"
	@echo "make pareto-front  networks between classification and reconstruction (EXPERIMENT=pareto-front)"
	@echo "make search       methods of architecture search side by side, on tables under the data root"
	@echo "make test         the tests; make test-slow: the long ones; make lint"
	@echo "make bench        the benchmarks; BENCH=sampler ARGS=...: one of them with options"
	@echo "make clean        remove what EXPERIMENT has made"

install: $(INSTALLED)

# A half-made environment has no marker, so that the next call goes on with it.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed, $(PYTHON) is older: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	@touch $@

base train estimate-mi figures samples describe audit budget controls convergence cost-quality stream-ablation \
residual-blocks two-step yardsticks pareto-front: $(INSTALLED)
	@$(BIN)/ib $@ $(EXPERIMENT) $(ARGS)

calibrate: $(INSTALLED)
	@$(BIN)/ib calibrate $(ARGS)

search: $(INSTALLED)
	@$(BIN)/ib search architecture-search $(ARGS)

test: $(INSTALLED)
	$(BIN)/python -m pytest -q -n auto --maxprocesses 8 --dist loadfile $(ARGS)

test-slow: $(INSTALLED)
	$(BIN)/python -m pytest -q -m slow $(ARGS)

bench: $(INSTALLED)
ifeq ($(strip $(BENCH)),)
	@test -z "$(ARGS)" || { echo "ARGS are for one benchmark: name it, BENCH=sampler for instance." >&2; exit 2; }
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done
else
	@test -f "benchmarks/$(BENCH).py" || { echo "There is no benchmark $(BENCH); BENCH is one of:" \
		$(basename $(notdir $(wildcard benchmarks/*.py))) >&2; exit 2; }
	$(BIN)/python benchmarks/$(BENCH).py $(ARGS)
endif

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The name goes through the environment, so that no character in it means anything to the shell.
clean: export NAME := $(EXPERIMENT)
clean:
	@case "$$NAME" in *[![:space:]]*) ;; *) NAME=/ ;; esac; case "$$NAME" in \
		*/*|*\\*|.*|*..*) echo "make clean needs the name of one experiment, without '/' and '..':" \
			"make clean EXPERIMENT=digits, for instance." >&2; exit 2 ;; esac
	rm -rf -- "checkpoints/$$NAME" "figures/$$NAME"
