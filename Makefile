# Two commands on a fresh machine: `make demo` and `make test`. The rest is for developers.
# `PYTHON=python3.12 make …` chooses the interpreter, `DEMO_OUT=folder make demo` the demo's folder.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO_OUT ?= demo-output/$(shell date +%Y%m%d-%H%M%S)
FLOORS := acquisition analysis drivers gui simulators
SOURCES := pyproject.toml

export QT_QPA_PLATFORM ?= offscreen

.PHONY: demo test kernels quick quick-xvfb quick-pyqt6 lint types floors wheel soak formats lost benchmarks clean help

help:
	@echo "make demo        simulated microscope: time series, map, analysis, report (headless)"
	@echo "make test        everything CI checks: style, types, floors, wheel, tests"
	@echo "make quick       the tests alone"
	@echo "make quick-xvfb  the windows' tests on a virtual X11 display instead of off screen"
	@echo "make quick-pyqt6 the windows' tests with PyQt6, in an environment of its own"
	@echo "make soak        the slow tests: random faults and kills (SOAK_KILLS=52 SOAK_SEED=…), ten hours at high speed, new examples"
	@echo "make lost        of those: kills, power cuts, damaged files"
	@echo "make formats     our files in other people's programs, h5web's engine included where there is node"
	@echo "make benchmarks  speed against the named peers, one after the other"

demo: $(VENV)/.installed-gui
	$(BIN)/halidescope demo --headless --out "$(DEMO_OUT)"

test: $(VENV)/.installed-dev lint types floors quick wheel

# three at a time on two cores: while some wait for simulated instruments, others compute
quick: kernels $(VENV)/.h5wasm
	$(BIN)/python -m pytest -n 3 --dist worksteal -m "not slow and not benchmark"

# once after installation: what is compiled is kept, and no process of the tests waits for a compiler
kernels: $(VENV)/.installed-dev
	$(BIN)/python -m halidescope.acquisition.compiling

# real X11 events and fonts: what off screen cannot show
quick-xvfb: $(VENV)/.installed-dev
	sh .ci/system-packages xvfb xauth openbox libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxcb-xkb1 libxcb-shape0
	QT_QPA_PLATFORM=xcb xvfb-run -a -s "-screen 0 1920x1200x24" sh -c 'openbox & \
	  $(BIN)/python -m pytest -m "not slow and not benchmark" tests/gui; result=$$?; kill $$!; exit $$result'

# PyQt6 is GPL and never a dependency: an environment of its own, without PySide6
PYQT6 := .venv-pyqt6
quick-pyqt6: $(PYQT6)/.installed
	QT_API=pyqt6 PYTEST_QT_API=pyqt6 $(PYQT6)/bin/python -m pytest -n 2 -p no:cacheprovider \
	  -m "not slow and not benchmark" tests/gui

$(PYQT6)/.installed: $(SOURCES)
	$(PYTHON) -m venv $(PYQT6)
	$(PYQT6)/bin/python -m pip install --quiet PyQt6 qtpy pyqtgraph tomli-w pytest pytest-qt pytest-timeout pytest-xdist \
	  hypothesis --editable .
	@touch $@

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .

# mypy sees the five folders as halidescope.* through a link folder on its path
types: $(VENV)/.installed-dev
	@mkdir -p $(VENV)/typing && ln -sfn "$(CURDIR)" $(VENV)/typing/halidescope
	MYPYPATH=$(VENV)/typing $(BIN)/mypy --namespace-packages $(foreach f,$(FLOORS),-p halidescope.$(f))

floors: $(VENV)/.installed-dev
	$(BIN)/lint-imports

# the wheel must hold every module and run from anywhere, in an environment of its own
wheel: $(VENV)/.installed-dev
	$(BIN)/python tests/packaging/check_wheel.py

soak: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m slow --timeout 3600
	$(BIN)/python -m pytest -m "hypothesis and not slow" --hypothesis-profile search

# h5web's engine, where there is node: a second to fetch, half a second to test; without it that test is skipped
$(VENV)/.h5wasm: $(VENV)/.installed-dev
	@if command -v npm >/dev/null; then \
	  npm install --silent --no-audit --no-fund --fetch-retries=0 --fetch-timeout=20000 --prefix $(VENV)/node h5wasm@0.10 \
	  || echo "h5wasm cannot be fetched: the test with h5web's engine is skipped"; fi
	@touch $@

# what `make test` checks of this already, with the reasons of what is skipped
formats: $(VENV)/.installed-dev $(VENV)/.h5wasm
	$(BIN)/python -m pytest -rs tests/acquisition/test_everyone.py tests/acquisition/test_importers.py

# kill -9 while writing and finishing, power cuts, full disks, damaged files by the thousand
lost: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m slow -s --timeout 3600 tests/acquisition/test_kills.py tests/acquisition/test_lost_power.py \
	  tests/acquisition/test_places.py tests/acquisition/test_hostile.py

benchmarks: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m benchmark --timeout 3600 -s tests/benchmarks/bench_drivers.py tests/benchmarks/bench_kmc.py \
	  tests/benchmarks/bench_engine.py
	$(BIN)/python tests/benchmarks/bench_analysis.py

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Halidescope needs Python 3.11 or newer; set PYTHON=…"; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); sh .ci/system-packages python3-venv && $(PYTHON) -m venv $(VENV); }

$(VENV)/.installed-gui: $(VENV)/bin/python $(SOURCES)
	$(BIN)/python -m pip install --quiet --editable ".[gui]"
	sh .ci/qt-libraries $(BIN)/python
	@touch $@

$(VENV)/.installed-dev: $(VENV)/bin/python $(SOURCES)
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	sh .ci/qt-libraries $(BIN)/python
	@touch $@ $(VENV)/.installed-gui

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
