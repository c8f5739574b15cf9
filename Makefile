# Every target makes its own .venv from pinned constraints; nothing needs to be installed by hand.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

EDITOR := gnet_inspect/serving/page/editor.js

.PHONY: demo test check format bench gpu gpu-full goldens pictures editor clean

## demo: GoogLeNet stage by stage and block by block (no torch needed)
demo: $(VENV)/.installed
	@$(BIN)/gnet-inspect summary googlenet

## test: the whole test suite, with torch; tests of the editor's page are skipped where there is no npm to build it
test: $(VENV)/.developing $(if $(shell command -v npm),$(EDITOR))
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses=4 --dist loadfile --no-loadscope-reorder

## check: what CI runs besides the tests
check: $(VENV)/.developing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

## format: let ruff rewrite what it can
format: $(VENV)/.developing
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

## bench: the budgets, each as a ratio beside the peer
bench: $(VENV)/.developing
	$(BIN)/python -m benchmarks

## gpu: measure one network on the GPU at hand, in under eight minutes, write docs/measurements.md, and run the tests for it
gpu: $(VENV)/.developing
	$(BIN)/python -m benchmarks.gpu; code=$$?; [ $$code = 3 ] || $(BIN)/python -m pytest -q -m cuda tests/test_cuda.py; exit $$code

## gpu-full: the same for two networks at batch 1, 16 and 128 in fp16 and bf16, and torch's autotuning beside; hours
gpu-full: $(VENV)/.developing
	$(BIN)/python -m benchmarks.gpu --full

## goldens: write the expected outputs of tests/golden anew, and what the README quotes
goldens: $(VENV)/.developing
	$(BIN)/python -m pytest tests/test_goldens.py tests/test_catalogue.py tests/test_spec_errors.py tests/test_flops.py --overwrite
	$(BIN)/python -m tests.readme

## pictures: draw the pictures of the README and of docs/gallery.md anew
pictures: $(VENV)/.installed
	$(BIN)/python -m tests.gallery

## editor: build the script of the editor's page, with CodeMirror from npm; a wheel that is built then holds it
editor: $(EDITOR)

$(EDITOR): editor/node_modules/.installed editor/build.js $(wildcard editor/src/*.js)
	cd editor && npm run --silent build

editor/node_modules/.installed: editor/package.json editor/package-lock.json
	@command -v npm >/dev/null || { echo "the editor is built by npm, which is not installed" >&2; exit 3; }
	cd editor && npm ci --silent
	@touch $@

$(VENV)/.created:
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/.created
	$(PIP) --editable .
	@touch $@

# The tests need the models of torchvision and timm only, not compiled operators and what else those pull in.
$(VENV)/.developing: pyproject.toml constraints.txt | $(VENV)/.created
	$(PIP) torch==2.13.0
	$(PIP) --editable ".[dev]"
	$(PIP) --no-deps torchvision==0.28.0 timm==1.0.31 || echo "no torchvision or timm to be had here: their tests will be skipped"
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache dist editor/node_modules $(EDITOR)
