# Both commands set themselves up: they need Python 3.11 or newer, and nothing else.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
TOOLS := .venv-tools/bin

.PHONY: book quick full lab check test soak fuzz faults pages pdf serve lint lock lowest licences audit validator newest benchmark \
	clean

# Several processes of one thread each share the cores.
PYTEST := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4

book: $(READY)
	$(BIN)/neuroglot book

# The whole book on little text, to check it; every page says so.
quick: $(READY)
	$(BIN)/neuroglot book --quick

# The book to be cited: some five hours on two cores; stopped, it goes on where it was.
full: $(READY)
	$(BIN)/neuroglot book --full

# The chapters as notebooks, in JupyterLab on this machine.
lab: $(READY)
	$(BIN)/neuroglot lab

# While working: format, lint, the rooms' contract, types, and the tests that need no model.
check: $(READY) lint
	$(BIN)/mypy & types=$$!; $(PYTEST) --dist worksteal -m "not model"; tests=$$?; wait $$types && exit $$tests

# Everything; a file's tests stay together, since they share what takes long to make.
test: $(READY) lint
	$(BIN)/mypy & types=$$!; $(PYTEST) --dist loadfile; tests=$$?; wait $$types && exit $$tests

# The chapters again and again, with random parameters on odd texts; make test does it once.
soak: $(READY)
	SOAK=40 $(PYTEST) --dist worksteal tests/soak

# Hostile files for every reader, an hour of them: 600 cases for each; make test does a dozen.
fuzz: $(READY)
	FUZZ=$${FUZZ:-600} $(PYTEST) --dist worksteal tests/hostile

# Every stage stopped at many moments; make test tries one for each stage and fault.
faults: $(READY)
	FAULTS=$${FAULTS:-20} $(PYTEST) --dist worksteal tests/test_faults.py

# The built pages, in headless Chromium with every other host refused; a file's tests share a book or a JupyterLab.
pages: $(READY)
	$(PYTEST) --dist loadfile tests/pages --override-ini testpaths=tests/pages

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
	$(BIN)/pip install --quiet --editable ".[benchmark]"
	for name in coverage collect answers packing deactivation rounding cost explorer families; do $(BIN)/python benchmarks/$$name.py || exit; done

# The locked versions, each file by its hash: torch's build for the CPU where the indexes have it, else PyPI's, which on
# Linux is for NVIDIA's GPUs and brings what is in cuda.txt.
$(READY): pyproject.toml $(wildcard requirements/*.txt)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "neuroglot needs Python 3.11 or newer; run: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps --requirement requirements/book.txt
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements/cpu.txt 2> /dev/null || \
		$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements/torch.txt \
			--constraint requirements/cuda.txt
	command -v npm > /dev/null || $(BIN)/python -m pip install --quiet --require-hashes --requirement requirements/node.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

# The tests that need no model on the lowest versions that pyproject.toml allows, in an environment of their own (by uv).
lowest: .venv-tools/ready
	$(TOOLS)/uv venv --quiet --clear --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" .venv-lowest
	$(TOOLS)/uv pip install --quiet --python .venv-lowest --resolution lowest-direct --editable ".[align,book,hub,test]"
	.venv-lowest/bin/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal -m "not model"

# The page of licences, from what is locked and what is installed here.
licences: $(READY)
	$(BIN)/python requirements/licences.py

# Programs that look at what is made and need other versions than the book: uv, pip-audit, rocrate-validator.
.venv-tools/ready: requirements/tools.txt
	$(PYTHON) -m venv .venv-tools
	$(TOOLS)/python -m pip install --quiet --require-hashes --requirement requirements/tools.txt
	touch $@

# Known vulnerabilities of what is locked, by PyPI's list: it needs a network, and fails where a library is not on that list.
audit: .venv-tools/ready
	for name in book torch cuda node tools; do \
		echo "$$name.txt"; $(TOOLS)/pip-audit --strict --require-hashes --disable-pip --requirement requirements/$$name.txt || exit; done

# Whether RO-Crate's own validator accepts an archive.
validator: $(READY) .venv-tools/ready
	$(BIN)/python -m pytest tests/book/test_archiving.py -k "validator or rules"

# The tests on the newest versions of everything, in an environment of their own.
newest: .venv-tools/ready
	$(TOOLS)/uv venv --quiet --clear --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" .venv-newest
	$(TOOLS)/uv pip install --quiet --python .venv-newest --editable ".[align,book,hub,models,test]"
	.venv-newest/bin/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

# Lock again what pyproject.toml and these files ask for; newer versions: make lock UPGRADE=--upgrade
lock: $(READY) .venv-tools/ready
	PATH="$(CURDIR)/$(TOOLS):$$PATH" $(BIN)/python requirements/lock.py $(UPGRADE)

clean:
	rm -rf .venv .venv-lowest .venv-newest .venv-tools _build runs book/vendor book/chapters
