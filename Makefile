# `make demo`, `make train-demo` and `make test`. Everything happens in .venv/ inside this checkout.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
DEMO_STORE := .reasonir/demo
QUESTION := The steel cover of our vibrating gravel sieve has a crack that grows by a centimetre every week. The old mechanic drilled a hole exactly at the end of the crack and said that this will stop it. How can making a hole in a damaged sheet make it stronger?

.PHONY: demo train-demo test fast check torture langgraph-dev-check install clean

demo: $(VENV)/.demo
	@$(BIN)/reasonir index examples/corpus --store $(DEMO_STORE)
	@$(BIN)/reasonir ask "$(QUESTION)" --store $(DEMO_STORE)

train-demo: $(VENV)/.train
	@rm -rf .reasonir/train-demo
	@$(BIN)/python examples/12_train.py --out .reasonir/train-demo

test: $(VENV)/.all
	$(BIN)/python -m pytest -n 2 --dist loadfile --cov=reasonir_agent --cov-report=term --cov-fail-under=90

fast: $(VENV)/.all
	$(BIN)/python -m pytest -m "not slow and not torture" -n 2 --dist loadfile

torture: $(VENV)/.all
	$(BIN)/python -m pytest -m "torture or slow" tests/durability tests/trainer/synthesis/test_kills.py

langgraph-dev-check: .venv-langgraph/.done
	.venv-langgraph/bin/python examples/05_langgraph_server/check.py

check: $(VENV)/.all
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tests/check_docs.py

install: $(VENV)/.all

clean:
	rm -rf $(VENV) .venv-langgraph .reasonir

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing into $(VENV) (2 GB with a CPU build of torch, 5.6 GB with the CUDA build that Linux gets by default) ..."
	$(PIP) -e '.[local,agent]'
	@touch $@

$(VENV)/.train: pyproject.toml constraints.txt trainer/pyproject.toml | $(VENV)/bin/python
	@echo "installing into $(VENV) (2 to 2.5 GB with a CPU build of torch, about 6 GB with the CUDA build that Linux gets by default) ..."
	$(PIP) -e '.[local]' -e ./trainer
	@touch $@

$(VENV)/.all: pyproject.toml constraints.txt trainer/pyproject.toml $(wildcard integrations/*/pyproject.toml) | $(VENV)/bin/python
	@echo "installing into $(VENV) (2.5 GB with a CPU build of torch, 6 GB with the CUDA build that Linux gets by default) ..."
	$(PIP) -e '.[all,dev]' -e ./trainer -e ./integrations/langchain-reasonir -e ./integrations/llama-index-reasonir
	@touch $@

# langgraph-cli pins versions of its own, so it gets an environment of its own, with torch alone held to ours
.venv-langgraph/.done: pyproject.toml
	@echo "installing langgraph dev into .venv-langgraph ..."
	$(PYTHON) -m venv .venv-langgraph
	grep '^torch==' constraints.txt > .venv-langgraph/torch.txt
	.venv-langgraph/bin/python -m pip install --quiet --disable-pip-version-check -c .venv-langgraph/torch.txt 'langgraph-cli[inmem]' -e '.[local,agent]'
	@touch $@
