# make demo   train, probe and export AVID-CMA on the embedded demo data
# make test   lint and all tests; both sets of packages: make test LANE=first, make test LANE=second
# make lint   ruff only
# make docs   the documentation site, in site/ (open site/index.html)
# make env    the environment (.venv) with the packages for the tests
#
# Each target first creates or updates its environment. Variables:
#   PYTHON   interpreter (default: the first of Python 3.11, 3.10, 3.9, 3.13, 3.12 that works); its
#            version selects the packages: TensorFlow 2.15 up to Python 3.11, 2.21 for newer versions
#   LANE     first or second: a separate environment, .venv-first or .venv-second, with the packages
#            for Python up to 3.11 or those for newer versions (default: .venv)
#   RUN_DIR  folder of the demo run (default: runs/avid_cma)
#   ARGS     additional arguments of the command: make demo ARGS="--gin_param=seed=1",
#            make test ARGS="tests/losses -k memory_bank"

PYTHON ?=
LANE ?=
RUN_DIR ?= runs/avid_cma
ARGS ?=

VENV := .venv$(addprefix -,$(LANE))
DEMO_DATA := data/demo

# The names of the stamp files contain a checksum of the pins: a change updates the environment.
checksum = $(shell cat $(1) tools/bootstrap_env.sh | cksum | cut -d " " -f 1)
RUN_ENV := $(VENV)/run-$(call checksum,requirements.txt)
TEST_ENV := $(VENV)/test-$(call checksum,$(wildcard requirements*.txt))

# An environment of another version than PYTHON is created again.
version = $(shell $(1) -c 'import sys; print(sys.version_info[:2])' 2>/dev/null)
ifneq ($(PYTHON),)
ifneq ($(call version,"$(PYTHON)"),$(call version,$(VENV)/bin/python))
$(shell rm -f $(VENV)/run-* $(VENV)/test-*)
endif
endif

export LANE PYTHON
# Hide log messages of TensorFlow's runtime; its errors are raised as Python exceptions.
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: demo test lint docs env
.DELETE_ON_ERROR:

demo: $(RUN_ENV) $(DEMO_DATA)/dataset_info.json
	$(VENV)/bin/python -m avssl_tf.train --gin_file=gin/avid_cma.gin --model_dir=$(RUN_DIR) $(ARGS)

# The last file of a build; an interrupted build is resumed.
$(DEMO_DATA)/dataset_info.json: | $(RUN_ENV)
	$(VENV)/bin/python tools/make_tfrecords.py --source=demo --output_dir=$(DEMO_DATA)

test: lint
	@tools/bootstrap_browser.sh
	$(VENV)/bin/python -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile $(ARGS)

lint: $(TEST_ENV)
	$(VENV)/bin/ruff check .

docs: $(TEST_ENV)
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/python -m mkdocs build --strict --quiet
	@echo "The site is in site/: open site/index.html."

env: $(TEST_ENV)

$(RUN_ENV):
	@tools/bootstrap_env.sh requirements.txt $@

$(TEST_ENV):
	@tools/bootstrap_env.sh requirements-dev.txt $@
