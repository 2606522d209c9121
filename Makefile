PYTHON ?= python3
VENV ?= .venv
DEMO ?= configs/dcgan.py
RUN := $(VENV)/bin/python

.PHONY: demo test test-slow parity walk lint docs clean

demo: $(VENV)/run.ok   ## Train the DCGAN on the embedded digits.
	$(RUN) -m gan.main --config=$(DEMO) --workdir=runs/dcgan
	@echo "Open runs/dcgan/report.html in a browser. Draw more: $(RUN) -m gan.sample --workdir=runs/dcgan --out=grid.png"

test: lint   ## Linter and quick tests; `make parity` has its own.
	$(RUN) -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations=20 --ignore=tests/parity

test-slow: lint   ## Drills and trainings, minutes each.
	$(RUN) -m pytest -m slow

parity: $(VENV)/parity.ok   ## Ours against other people's scores; needs PyTorch (TORCH_INDEX=--index-url=... where it is another).
	$(RUN) -m pytest tests/parity

walk: $(VENV)/run.ok   ## README's commands, made small, in a fresh clone with its own environment; a page shows what they did.
	$(RUN) -m tests.walk $(WALK)

lint: $(VENV)/dev.ok
	$(RUN) -m ruff check .
	$(RUN) -m pyrefly check

$(VENV)/run.ok: requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet -r requirements.txt
	@touch $@

$(VENV)/dev.ok: $(VENV)/run.ok requirements-dev.txt requirements-prepare.txt requirements-ray.txt requirements-tools.txt
	$(RUN) -m pip install --quiet -r requirements-dev.txt
	@touch $@

$(VENV)/parity.ok: $(VENV)/dev.ok requirements-parity.txt
	$(RUN) -m pip install --quiet torch==2.13.0 $(TORCH_INDEX)
	$(RUN) -m pip install --quiet --no-deps -r requirements-parity.txt
	@touch $@

docs: $(VENV)/run.ok   ## The list of all settings, from their declarations.
	$(RUN) -m gan.config.document > docs/configuration.md

clean:   ## Remove the environment and caches; runs stay.
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis
