# make test   install what is needed into .venv (first call only), then run the tests
# make slow   the tests that take minutes each: every method killed and resumed, ...
# make pages  test a running server, and the page in a real browser (minutes)
# make run    install, then open the lab at http://127.0.0.1:7860
# make faults replay the planted faults: every one must turn its test red (minutes; MINUTES=20: as many as that allows)
# make figures draw assets/figures/ afresh
# make lint   ruff and pyright
PYTHON ?= python3
BIN := .venv/bin

.PHONY: test slow pages run faults figures lint
test: .venv/installed
	$(BIN)/python -m pytest --ignore=tests/server --ignore=tests/browser

slow: .venv/installed
	$(BIN)/python -m pytest -m slow tests/trainers

pages: .venv/installed
	$(BIN)/python -m pytest -n 0 tests/server tests/browser

run: .venv/installed
	$(BIN)/python -m app

faults: .venv/installed
	$(BIN)/python -m tests.faults $(if $(MINUTES),--minutes $(MINUTES))

figures: .venv/installed
	$(BIN)/python -m toy figure --all --out assets/figures

lint: .venv/installed
	$(BIN)/python -m pip install --quiet -r .ci/requirements.txt
	$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/pyright

.venv/installed: requirements.txt requirements-no-deps.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed; name one with make PYTHON=python3.11 ..."; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off -r requirements.txt
	$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off --no-deps -r requirements-no-deps.txt
	@touch $@
