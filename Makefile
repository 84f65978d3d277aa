VENV ?= .venv
PY := $(VENV)/bin/python
PHOTO ?=
VIDEO ?=
OUTPUT ?= demo/demo.mp4
MINUTES ?= 10

.PHONY: help install uninstall demo test test-fast fuzz lint docs format clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: ## install visavis for yourself, by uv or pipx where there is one (EXTRAS=call,c2pa,camera PREFIX=~/.local)
	@scripts/install.sh

uninstall: ## take it away again; avatars stay
	@scripts/install.sh remove

demo: ## make Mona Lisa and an astronaut talk, write demo/demo.mp4 (PHOTO=me.jpg VIDEO=clip.mp4 for your own)
	@VENV=$(VENV) scripts/setup.sh demo
	@$(PY) scripts/demo.py --output "$(OUTPUT)" $(if $(PHOTO),--photo "$(PHOTO)") $(if $(VIDEO),--video "$(VIDEO)")

test: ## everything that can be tested here, with real kernels and devices
	@VENV=$(VENV) scripts/setup.sh test
	@$(PY) scripts/run_tests.py

test-fast: ## the tests without the end-to-end ones
	@VENV=$(VENV) scripts/setup.sh test
	@$(PY) scripts/run_tests.py unit realtime

fuzz: ## made-up input for whatever reads a file or a message, MINUTES=10 each (ONLY=bundle for those so named)
	@VENV=$(VENV) scripts/setup.sh test
	@VISAVIS_FUZZ_SECONDS=$$(( $(MINUTES) * 60 )) $(PY) -m pytest -m hypothesis --timeout 0 $(if $(ONLY),-k "$(ONLY)")

lint: ## ruff (rules and format), mypy --strict, who imports whom, whether docs/ makes a site
	@VENV=$(VENV) scripts/setup.sh test
	@$(PY) -m ruff check
	@$(PY) -m ruff format --check
	@$(PY) -m mypy
	@$(VENV)/bin/lint-imports --no-logo
	@$(PY) scripts/folder_graph.py
	@$(PY) scripts/api_docs.py --check
	@NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs --quiet build --strict

docs: ## the documentation as a site: open site/index.html
	@VENV=$(VENV) scripts/setup.sh test
	@NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs --quiet build --strict

format: ## let ruff mend and lay out the code
	@VENV=$(VENV) scripts/setup.sh test
	@$(PY) -m ruff check --fix
	@$(PY) -m ruff format

clean: ## remove the environment, caches and the demo's output (avatars and the tracker model stay)
	rm -rf $(VENV) demo site build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find avatar engines export tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +
