# Two commands on a fresh machine with Python >= 3.11; each does all the set-up it needs.
#   make reproduce   the article's comparison, into results/article/
#   make test        the tests
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: reproduce test test-slow speed speed-population agreement check setup clean

reproduce: $(READY)
	$(BIN)/experiments reproduce

test: $(READY)
	$(BIN)/python -m pytest

test-slow: $(READY)
	$(BIN)/python -m pytest -m slow

speed: $(READY)
	$(BIN)/experiments speed

speed-population: $(READY)
	$(BIN)/experiments speed population

agreement: $(READY)
	$(BIN)/experiments agreement

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

setup: $(READY)

$(READY): pyproject.toml requirements.txt
	@$(PYTHON) -c "import sys; sys.exit(None if sys.version_info >= (3, 11) else 'Python >= 3.11 is needed; this is ' + sys.version.split()[0] + '. Try: make PYTHON=python3.12')"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $(READY)

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis
