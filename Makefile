# Every target is one line that also works by hand. `make demo` and `make test` set up what they need.
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
ROOTS   = gateway drivers fusion firmware-sim
DEBIAN_TEST_PACKAGES = mosquitto mosquitto-clients influxdb nginx-light openssl gcc libc6-dev libmodbus-dev dbus bluez

.PHONY: help setup demo test check unit property sim e2e night bench system schemas clean
help:            ## show the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: set PYTHON=python3.11"; exit 3; }
	@$(PYTHON) -m venv $(VENV) || { echo "the venv module is missing: apt-get install python3-venv"; exit 3; }
$(VENV)/.runtime: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing the gateway into $(VENV) (once, about a minute) …"
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e . && touch $@
$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing the gateway and its test tools into $(VENV) (once, a few minutes) …"
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]' && touch $@ $(VENV)/.runtime

setup: $(VENV)/.dev  ## create the virtual environment with the test tools
demo: $(VENV)/.runtime  ## a whole simulated square on this machine; prints each alert
	@$(BIN)/cbrn-gateway demo $(DEMO)
system:          ## install the Debian packages that the tests' real parts need
	@bash deploy/test-packages.sh $(DEBIAN_TEST_PACKAGES)
test: setup system  ## all tests: unit, property, sim, e2e
	@$(BIN)/pytest tests -m "not night"
unit property sim e2e: setup  ## one group of tests
	@$(BIN)/pytest tests/$@ -m "not night"
night: setup system  ## the long tests (hours)
	@CBRN_HYPOTHESIS=night $(BIN)/pytest tests -m "night or not night" --timeout 0
check: setup     ## format, lint, types, imports, size budget
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy && $(BIN)/lint-imports --no-logo && $(BIN)/pytest -q tests/unit/house
bench: setup     ## speed and memory beside a peer or the limit; BENCH="--save docs/figures" keeps them
	@missed=0; for bench in tests/bench/bench_*.py; do $(BIN)/python $$bench $(BENCH) || missed=1; done; exit $$missed
schemas: setup   ## write the JSON Schemas anew from the types
	@$(BIN)/python -m cbrn_gateway.schemas.generate
clean:           ## remove what the targets made
	rm -rf $(VENV) demo-out .pytest_cache .mypy_cache .ruff_cache .hypothesis
