# The words of this project. Each sets up what it needs: Python 3.11 or newer, make and a package index are enough.
PYTHON ?= python3
VENV := .venv
VENV_ALL := .venv-all
# This release has a small CPU build where pip finds one; other releases bring gigabytes for GPUs.
TORCH := torch==2.13.0
# What `make bench` measures from URLs to vectors; BENCH is for the arguments of `make bench-peers`, as --write.
OURS := ceiling pixvec pixvec-fp32 pixvec-in-call transformers-batches transformers-batches-bf16 transformers-one-by-one
BENCH :=

.PHONY: help demo test test-all test-oracle test-long lint docs bench bench-peers golden clean
.DEFAULT_GOAL := help

help:  ## list these words
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

demo: $(VENV)/base.done  ## embed 300 URLs of drawn images over real HTTP, search them with words, make a page
	$(VENV)/bin/python -m tools.demo

test: $(VENV)/test.done  ## run every test that needs no reference implementation
	$(VENV)/bin/python -m pytest

test-all: test test-oracle  ## run the same, and then the tests that compare with torch and transformers

test-oracle: $(VENV_ALL)/all.done  ## run only the tests that compare with torch and transformers
	$(VENV_ALL)/bin/python -m pytest -m "oracle and not long" --forbid-missing

test-long: $(VENV_ALL)/all.done  ## run the long variants of tests: full-size models, and every point where a run can be killed
	$(VENV_ALL)/bin/python -m pytest -m long

lint: $(VENV)/lint.done  ## check style, types and layers
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

docs: $(VENV)/docs.done  ## write the parts of docs/ that the code knows, and build the site in build/site
	$(VENV)/bin/python -m tools.write_docs
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --quiet

bench: $(VENV_ALL)/bench.done  ## time pixvec side by side with what one would otherwise write
	$(VENV_ALL)/bin/python benchmarks/forward_pass.py
	$(VENV_ALL)/bin/python benchmarks/end_to_end.py --only $(OURS)

bench-peers: $(VENV)/bench.done  ## time pixvec beside other packages, each installed by itself
	$(VENV)/bin/python benchmarks/end_to_end.py --install
	$(VENV)/bin/python benchmarks/end_to_end.py $(BENCH)

golden: $(VENV_ALL)/all.done  ## make the golden crops and vectors anew, from transformers
	$(VENV_ALL)/bin/python -m tools.make_golden_crops
	$(VENV_ALL)/bin/python -m tools.make_golden_vectors

clean:  ## remove the virtual environments and what the tools left
	rm -rf $(VENV) $(VENV_ALL) .venv-bench-peers build demo .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

$(VENV)/pip.done $(VENV_ALL)/pip.done: tools/make_venv.sh
	PYTHON=$(PYTHON) sh tools/make_venv.sh $(@D)
	touch $@

$(VENV)/base.done: $(VENV)/pip.done pyproject.toml
	$(@D)/bin/python -m pip install --quiet --editable .
	touch $@

$(VENV)/test.done: $(VENV)/pip.done pyproject.toml
	$(@D)/bin/python -m pip install --quiet --editable '.[test]'
	touch $@ $(@D)/base.done

$(VENV)/lint.done: $(VENV)/test.done
	$(@D)/bin/python -m pip install --quiet --group lint
	touch $@

$(VENV)/docs.done: $(VENV)/test.done
	$(@D)/bin/python -m pip install --quiet --group docs
	touch $@

$(VENV_ALL)/all.done: $(VENV_ALL)/pip.done pyproject.toml
	$(@D)/bin/python -m pip install --quiet $(TORCH)
	$(@D)/bin/python -m pip install --quiet --editable '.[test,oracle]'
	touch $@

$(VENV)/bench.done: $(VENV)/base.done
	$(@D)/bin/python -m pip install --quiet --editable '.[bench]'
	touch $@

$(VENV_ALL)/bench.done: $(VENV_ALL)/all.done
	$(@D)/bin/python -m pip install --quiet --editable '.[bench]'
	touch $@
