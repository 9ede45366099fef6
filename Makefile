# make demo   set everything up and serve the app on http://127.0.0.1:7860
# make test   set everything up and run all checks and tests, the browser's included
# make test-space  the Space's folder in an environment that pip installs from scratch, which takes minutes
# make notebooks   run the notebooks at full size and keep what they show
# make fuzz   ten minutes of random sequences through the codec on all cores
# All need Python 3.11 or newer and reuse what is installed already.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN = $(VENV)/bin
SUDO = $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.PHONY: demo test test-space lint fuzz notebooks clean chromium

demo: $(VENV)/.demo-installed
	$(BIN)/python app.py

test: $(VENV)/.dev-installed chromium lint
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

test-space: $(VENV)/.dev-installed chromium
	METATOK_CLEAN_VENV=1 $(BIN)/python -m pytest tests/browser/test_space.py

lint: $(VENV)/.dev-installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

fuzz: $(VENV)/.dev-installed
	$(BIN)/python -m tests.fuzz --minutes 10

notebooks: $(VENV)/.dev-installed chromium
	$(BIN)/python scripts/notebooks.py

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find metatok -name '*.nb[ic]' -delete

# A browser for the tests: one that is there, or Debian's, or Playwright's own.
chromium: $(VENV)/.dev-installed
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null \
	|| { command -v apt-get >/dev/null && $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq chromium; } \
	|| $(BIN)/playwright install chromium

# Debian keeps venv in a package of its own.
$(BIN)/python:
	$(PYTHON) -m venv $(VENV) \
	|| { $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq python3-venv && $(PYTHON) -m venv --clear $(VENV); }

$(VENV)/.demo-installed: requirements.txt pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install -q -r requirements.txt
	$(BIN)/python -m pip install -q --no-deps -e .
	touch $@

$(VENV)/.dev-installed: requirements.txt requirements-dev.txt pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install -q -r requirements-dev.txt
	$(BIN)/python -m pip install -q --no-deps -e .
	touch $@ $(VENV)/.demo-installed
