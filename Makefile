# Two commands: `make demo` (or `clayline embed`, see README) and `make test`. Both set themselves up.
PYTHON ?= python3
UV_VERSION := 0.13.9
BIN := .venv/bin
# torch's CPU build is for 3.11 here; without a 3.11 the parity tests say that they skip.
PYTHON311 ?= $(firstword $(wildcard $(HOME)/.pyenv/versions/3.11*/bin/python3.11) \
  $(shell command -v python3.11 2>/dev/null))
OUT ?= out
SCENE ?= samples/landsat8_itaipu_2020/LC08_L1TP_224078_20200518_20200518_01_RT.json

.PHONY: demo test check setup setup-sam setup-checkov setup-audit setup-gpio setup-readers setup-spark setup-publish \
  setup-search setup-model setup-stacchip \
  bench fuzz faults faults-dataset faults-real lock audit build image local-cloud \
  local-invoke starter clay python311 publish-model statistics smoke-test wheel clean
.DEFAULT_GOAL := demo

# A shore of the reservoir in the bundled scene: kept once, as what the scene is watched for as it comes out.
WATCHED = $(if $(MODEL)$(filter-out file,$(origin SCENE)),,$(SCENE)@-54.5383,-25.2987)

demo: setup ## embed the bundled scene on this machine, and hold it against a watch
	$(if $(WATCHED),@mkdir -p $(OUT); test -e $(OUT)/watches/shore || \
	  $(BIN)/clayline watch add shore $(OUT) --like $(WATCHED) --threshold 0.45)
	$(BIN)/clayline embed $(SCENE) --out $(OUT) $(if $(MODEL),--model $(MODEL))

test: setup ## everything, the built functions and layers among it
	$(MAKE) -j3 setup-sam setup-checkov setup-audit setup-gpio setup-readers setup-spark setup-publish setup-model \
	  check build
	$(BIN)/pytest -q -n 2 --dist loadfile --no-loadscope-reorder # in the order of tests/conftest.py, LONGEST

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy layers/clayline/clayline cli/clayline_cli local/clayline_local model/server model/clay model/publish \
	  benchmarks samples events/make_events.py requirements/audit.py tests
	$(foreach app,$(wildcard functions/*/app.py),$(BIN)/mypy $(app) &&) true
	$(BIN)/lint-imports --no-cache
	$(BIN)/cfn-lint -t template.yaml -r eu-central-1 us-east-1

setup: .venv/.ready
.venv/.ready: requirements/dev.txt requirements/schemas.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 13) else \
	  "Clayline needs Python 3.13 (set PYTHON=...), this is " + sys.version)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check uv==$(UV_VERSION)
	$(BIN)/uv pip sync -q --require-hashes --python $(BIN)/python requirements/dev.txt
	$(BIN)/uv pip install -q --require-hashes --no-deps --python $(BIN)/python -r requirements/schemas.txt
	$(BIN)/uv pip install -q --python $(BIN)/python --no-deps -e .
	touch $@

setup-sam: .venv-sam/.ready
setup-checkov: .venv-checkov/.ready
setup-audit: .venv-audit/.ready
setup-gpio: .venv-gpio/.ready
setup-readers: .venv-readers/.ready
# Not in one environment: both are called pyspark. Without a Java their tests skip, so then their 0.8 GB need not come.
JAVA := $(shell command -v java)
setup-spark: $(if $(JAVA),.venv-spark35/.ready .venv-spark4/.ready)
	@$(if $(JAVA),,echo "no java on the PATH: the tests of Spark will skip")
setup-publish: .venv-publish/.ready
# Only the benchmark of search needs it.
setup-search: .venv-search/.ready
.venv-%/.ready: requirements/%.txt .venv/.ready
	$(BIN)/uv venv -q --clear --python $(BIN)/python .venv-$*
	$(BIN)/uv pip sync -q --require-hashes --python .venv-$*/bin/python $<
	touch $@

# Only the benchmark of cutting needs it. It takes numpy 1: no wheel for 3.13.
setup-stacchip: $(if $(PYTHON311),.venv-stacchip/.ready)
.venv-stacchip/.ready: requirements/stacchip.txt
	$(PYTHON311) -m venv --clear .venv-stacchip
	.venv-stacchip/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r $<
	touch $@

setup-model: $(if $(PYTHON311),.venv-model/.ready)
	@$(if $(PYTHON311),,echo "no Python 3.11: the parity tests against torch will skip")
# Not compiled: most of torch's modules are never imported, and those that are, Python compiles then.
.venv-model/.ready: requirements/model.txt requirements/claymodel.txt
	$(PYTHON311) -m venv --clear .venv-model
	.venv-model/bin/python -m pip install -q --disable-pip-version-check --no-compile -r requirements/model.txt
	.venv-model/bin/python -m pip download -q --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
	  -r requirements/claymodel.txt -d .venv-model/claymodel
	.venv-model/bin/python -m zipfile -e .venv-model/claymodel/claymodel-*.whl .venv-model/claymodel/src
	touch $@

fuzz: setup ## 20,000 mutated inputs (SEED=, CASES=): no crash, no hang, no allocation over the limit
	$(BIN)/python -m tests.fuzz.run --seed $(or $(SEED),9) --cases $(or $(CASES),20000)

faults: setup ## 50,000 batches under faults (SEED=, BATCHES=): nothing lost, nothing wrong, every end announced
	$(BIN)/python -m tests.faults.run --seed $(or $(SEED),1) --batches $(or $(BATCHES),50000)

faults-dataset: setup ## a dataset's compactors killed and raced (SEED=, PASSES=): every reader sees every scene once
	$(BIN)/python -m tests.dataset.faults --seed $(or $(SEED),1) --passes $(or $(PASSES),2000)

faults-real: setup ## the local cloud, its processes killed and started again for ten minutes (SEED=, MINUTES=)
	$(BIN)/python -m tests.faults.real --seed $(or $(SEED),1) --minutes $(or $(MINUTES),10)

# Every number of docs/benchmarks.md but the GPU's. Each program runs whatever the one before missed; on stderr which
# one, and at the end those that failed.
bench: setup setup-model setup-search setup-stacchip ## ratios against the alternative in the same run; an hour or more
	@failed=; run() { echo "benchmarks/$$*" >&2; $(BIN)/python benchmarks/"$$@" || failed="$$failed $$1"; }; \
	run tile.py; \
	run cut.py; \
	run s3_requests.py; \
	run drivers.py; \
	run collect.py; \
	run index.py; \
	run verify.py; \
	run tiers.py; \
	run search.py; \
	run recall.py; \
	run watch.py; \
	run loss.py; \
	run usefulness.py; \
	run report.py; \
	run endpoint.py; \
	run endpoint.py --token starter-v1.0-s2-rgb; \
	run scale.py; \
	run window.py; \
	run clay_cpu.py; \
	run clay_server.py; \
	run clay_server.py --size large --precision int8 --chips 4 --in-flight 3 --rounds 2; \
	test -z "$$failed" || { echo "missed a target or failed:$$failed" >&2; exit 1; }

local-cloud: setup ## the cloud without workers, seeded for events/, until Ctrl-C: prints what a shell needs to reach it
	$(BIN)/python -m clayline_local.local_cloud

local-invoke: setup setup-sam ## every event (or EVENT=events/NAME.json) against its expected outcome
	$(BIN)/python -m clayline_local.local_invoke $(if $(EVENT),--event "$(EVENT)") \
	  $(if $(filter-out 0,$(SKIP_PULL_IMAGE)),--skip-pull-image)

wheel: setup ## a wheel that works without the checkout, in dist/
	rm -rf build dist && $(BIN)/uv build -q --wheel --no-build-isolation --python $(BIN)/python --out-dir dist .
	rm -rf build && ls dist/*.whl

build: setup setup-sam ## what `sam deploy` uploads
	PATH="$(CURDIR)/.venv/bin:$$PATH" .venv-sam/bin/sam build

# SageMaker takes no OCI manifests, and a build makes them unless told not to (model/README.md, The image). Pushing is
# docker tag and docker push.
image: FLAVOUR ?= gpu
image: ## the container's image, named after the commit; FLAVOUR=cpu: without CUDA
	docker buildx build --platform linux/amd64 --provenance=false --output type=docker --file model/Dockerfile \
	  --build-arg FLAVOUR=$(FLAVOUR) --build-arg REVISION=$$(git rev-parse HEAD) \
	  --tag clayline:$$(git rev-parse --short=12 HEAD)-$(FLAVOUR) .

starter: setup-model ## build the starter's model folder again from the published weights
	.venv-model/bin/python model/starter/build.py

# With CHECKPOINT torch reads it (.venv-model); else the weights are random numbers from SEED, which everything that
# shows them says.
clay: MODELS ?= models
clay: SENSOR ?= sentinel-2-l2a
# The other variables are in KNOWN_clay.
clay: $(if $(CHECKPOINT),python311 setup-model,setup) ## Clay as a model folder under MODELS, for SENSOR (or all)
	PYTHONPATH=model:layers/clayline $(if $(CHECKPOINT),.venv-model,.venv)/bin/python -m clay export --out "$(MODELS)" \
	  $(foreach sensor,$(SENSOR),--sensor "$(sensor)") $(if $(CHECKPOINT),--checkpoint "$(CHECKPOINT)") \
	  $(if $(SEED),--seed "$(SEED)") \
	  $(if $(SIZE),--size "$(SIZE)") $(if $(BANDS),--bands "$(BANDS)") $(if $(CHIP),--chip "$(CHIP)") \
	  $(if $(NAME),--name "$(NAME)") \
	  $(if $(VERSION),--version "$(VERSION)") $(if $(PRECISION),--precision "$(PRECISION)") $(if $(GSD),--gsd "$(GSD)") \
	  $(if $(COORDINATE_ORDER),--coordinate-order "$(COORDINATE_ORDER)") $(if $(HOUR),--hour "$(HOUR)") \
	  $(if $(VECTOR),--vector "$(VECTOR)") $(if $(filter-out 0,$(LOSS)),--loss) \
	  $(if $(MASK_RATIO),--mask-ratio "$(MASK_RATIO)") $(if $(MASK_SEED),--mask-seed "$(MASK_SEED)") \
	  $(foreach probe,$(PROBE),--probe "$(probe)")

# A variable on the command line that neither goal reads is a typo: HOURS=acquisition would make another model than was
# meant, without a word.
KNOWN_clay := MODELS SENSOR CHECKPOINT SEED SIZE BANDS CHIP GSD COORDINATE_ORDER HOUR MASK_RATIO MASK_SEED PRECISION \
  PROBE VECTOR LOSS NAME VERSION
KNOWN_statistics := MODEL SCENES
KNOWN_demo := SCENE MODEL OUT
GOALS := $(or $(MAKECMDGOALS),$(.DEFAULT_GOAL))
ifeq ($(filter-out clay demo,$(GOALS)),)
KNOWN := $(foreach goal,$(GOALS),$(KNOWN_$(goal))) PYTHON PYTHON311 BIN SHELL
UNKNOWN := $(filter-out $(KNOWN),$(foreach name,$(.VARIABLES),$(if $(filter command,$(origin $(name))),$(name))))
$(if $(UNKNOWN),$(error make $(GOALS) knows no $(UNKNOWN): it takes $(KNOWN)))
endif

python311:
	@$(if $(or $(PYTHON311),$(wildcard .venv-model/.ready)),,$(error \
	  reading a CHECKPOINT takes torch, whose build here is for Python 3.11, and there is none: set PYTHON311=...))

# STACK gives buckets, endpoint and image; without one BUCKET (of models; for the smoke test the work bucket), IMAGE and
# ENDPOINT do.
PUBLISH = PYTHONPATH=model:layers/clayline PYTHONWARNINGS=ignore::SyntaxWarning .venv-publish/bin/python -m publish
publish-model: setup setup-publish ## check, upload and register FOLDER; where STACK serves it, try its endpoint too
	$(PUBLISH) model --folder "$(FOLDER)" $(if $(STACK),--stack "$(STACK)") $(if $(BUCKET),--bucket "$(BUCKET)") \
	  $(if $(IMAGE),--image "$(IMAGE)") $(if $(METRICS),--metrics "$(METRICS)") \
	  $(if $(UPLOAD_ONLY),--upload-only) $(if $(ALLOW_UNTRAINED),--allow-untrained)

statistics: MODEL ?= model/starter/starter-v1.0
statistics: setup ## state in the folder MODEL what its vectors are like, measured on the files under SCENES
	PYTHONPATH=model:layers/clayline $(BIN)/python -m publish.statistics --model "$(MODEL)" --scenes "$(SCENES)"

smoke-test: setup setup-publish ## one asynchronous call of an ENDPOINT (or STACK's) with made-up chips for FOLDER
	$(PUBLISH) smoke --folder "$(FOLDER)" $(if $(STACK),--stack "$(STACK)") $(if $(BUCKET),--bucket "$(BUCKET)") \
	  $(if $(ENDPOINT),--endpoint "$(ENDPOINT)") $(if $(TOKEN),--token "$(TOKEN)")

lock: setup ## compile the lock files
	for name in dev sam checkov audit gpio readers search spark35 spark4; do \
	  $(BIN)/uv pip compile -q requirements/$$name.in -o requirements/$$name.txt --python-version 3.13 --generate-hashes \
	    --universal --no-header; \
	done
	$(BIN)/uv pip compile -q requirements/publish.in -o requirements/publish.txt --python-version 3.13 --generate-hashes \
	  --universal --no-header --no-emit-package scipy
	for name in server server-gpu; do \
	  $(BIN)/uv pip compile -q requirements/$$name.in -o requirements/$$name.txt --python $(BIN)/python \
	    --python-version 3.13 --python-platform x86_64-manylinux_2_28 --only-binary :all: --generate-hashes \
	    -c requirements/dev.txt --no-header || exit 1; \
	done
	$(BIN)/uv pip compile -q requirements/stacchip.in -o requirements/stacchip.txt --python-version 3.11 \
	  --generate-hashes --no-header
	for layer in clayline raster table; do \
	  $(BIN)/uv pip compile -q --universal --python-version 3.13 --generate-hashes -c requirements/dev.txt \
	    requirements/layer-$$layer.in -o layers/$$layer/requirements.txt --custom-compile-command "make lock"; \
	done
	$(BIN)/uv pip compile -q --universal --python-version 3.13 --generate-hashes --no-deps \
	  requirements/layer-raster-expat.in -o layers/raster/expat.txt --custom-compile-command "make lock"
	$(BIN)/uv pip compile -q --universal --python-version 3.13 --generate-hashes --no-deps requirements/schemas.in \
	  -o requirements/schemas.txt --no-header

audit: setup setup-audit ## is a locked version known to be vulnerable? Asks OSV (URL=), so it needs the network
	$(BIN)/python requirements/audit.py $(URL)

clean: ## what make makes again; embeddings in OUT are yours
	rm -rf .venv .venv-* .aws-sam
