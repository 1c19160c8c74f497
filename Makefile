# What one can do here. Two commands are enough on a new machine:
#
#	go run ./cmd/sse-gateway
#	make test
#
# Variables: RUNNER (a command put before the container tests), CONTAINER_TESTS
# (which, a regular expression; "." is all integration tests on a Redis in a
# container), DURATION (of proof-soak), SCHEDULES (of sim-soak), FUZZTIME (of
# each fuzz test), V=1 (all that tests say), BENCH (scenarios of bench, a regular
# expression), RUNS (rounds of each), OUT (where its results go).

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# The tools and their versions. A version is changed here and nowhere else.
GOLANGCI := v2.15.0

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo '(devel)')
COMMIT  ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null)
LDFLAGS := -X 'main.version=$(VERSION)' -X 'main.commit=$(COMMIT)'

CONTAINER_TESTS ?= ^TestContainer

RUNNER    ?=
DURATION  ?= 10m
SCHEDULES ?= 10000000
FUZZTIME  ?= 10s
BENCH     ?= .
RUNS      ?= 5
OUT       ?= bench/results

# In CI no test may skip itself: what was not run must not look green.
REPORT := go run ./internal/testreport $(if $(CI),-no-skips) $(if $(V),-v)

##@ Use
.PHONY: help
help: ## Show this
	@awk 'BEGIN {FS = ":.*## "} /^##@ / {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: ## Run the gateway with a Redis of its own, in memory
	go run ./cmd/sse-gateway

.PHONY: build
build: ## Build bin/sse-gateway
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w $(LDFLAGS)" -o bin/sse-gateway ./cmd/sse-gateway

##@ Check
# The tests with processes and browsers come last and alone: they measure time
# and need both cores.
.PHONY: test
test: test-deps lint ## Lint, and run all tests but those in containers, with the race detector
	{ rc=0; \
	  go test -race -json $$(go list ./... | grep -v /integration) || rc=1; \
	  go test -race -json -count=1 -p 1 -timeout 15m ./integration/... || rc=1; \
	  exit $$rc; } | $(REPORT)

# The test's binary is built before RUNNER starts: behind it there may be no
# network.
.PHONY: test-containers
test-containers: ## Run the integration tests against Redis in a container (RUNNER=command to start them with)
	go test -c -race -tags containers -o bin/integration.test ./integration
	go build -o bin/sse-gateway-tested ./cmd/sse-gateway
	TEST_GATEWAY='$(CURDIR)/bin/sse-gateway-tested' $(RUNNER) bash -c \
	  'cd integration && exec ../bin/integration.test -test.run "$(CONTAINER_TESTS)" -test.v=test2json -test.timeout 15m' \
	  | go tool test2json -t -p containers | $(REPORT)

.PHONY: lint
lint: bin/golangci-lint-$(GOLANGCI) ## Check formatting, vet and the linters of .golangci.yml
	@unformatted=$$(gofmt -l .); [ -z "$$unformatted" ] || { echo "not formatted (make fmt):"; echo "$$unformatted"; exit 1; }
	go vet ./...
	bin/golangci-lint-$(GOLANGCI) run

# Built from source, about a minute on two cores; then it is there.
bin/golangci-lint-$(GOLANGCI):
	@echo "building golangci-lint $(GOLANGCI)"
	@GOBIN='$(CURDIR)/bin' go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI) 2>&1 | { grep -v '^go: downloading' || true; }
	@mv bin/golangci-lint $@

.PHONY: fmt
fmt: ## Format the source
	gofmt -w .

.PHONY: fuzz
fuzz: ## Run each fuzz test for FUZZTIME
	@go list ./... | while read -r pkg; do \
	  go test -list '^Fuzz' "$$pkg" | { grep '^Fuzz' || true; } | while read -r name; do \
	    echo "$$pkg $$name"; \
	    go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) "$$pkg"; \
	  done; \
	done

.PHONY: bench
bench: ## Measure pods, Redis and clients as processes (BENCH=scenarios RUNS=rounds OUT=folder), see docs/performance.md
	go run ./bench -run '$(BENCH)' -runs '$(RUNS)' -out '$(OUT)'

.PHONY: bench-micro
bench-micro: ## Run the benchmarks of single packages
	go test -run '^$$' -bench . -benchmem $$(grep -rl --include='*_test.go' '^func Benchmark' . | xargs -n 1 dirname | sort -u)

.PHONY: soak
soak: sim-soak proof-soak ## Run both for long

.PHONY: sim-soak
sim-soak: ## Simulate the tail with SCHEDULES seeded schedules
	SIM_SCHEDULES=$(SCHEDULES) go test -count=1 -run 'TestTailSimulation$$' -timeout 0 -v ./broadcaster

.PHONY: proof-soak
proof-soak: ## Prove the promise under faults for DURATION
	PROOF_DURATION=$(DURATION) go test -count=1 -run TestPromise -timeout 0 -v ./integration

##@ Set-up
# Programs of which one will do, and Debian's package. The race detector needs
# a C compiler; networks that break are made on Linux only.
DEPS := gcc|clang:build-essential redis-server:redis-server chromium|chromium-browser|google-chrome:chromium firefox-esr|firefox:firefox-esr
ifeq ($(shell uname),Linux)
DEPS += ip:iproute2 ss:iproute2 nft:nftables
endif

.PHONY: test-deps
test-deps: ## Find what the tests need, or install it where that is possible
	@missing=(); PATH=$$PATH:/usr/sbin:/sbin; \
	for dep in $(foreach d,$(DEPS),'$(d)'); do \
	  found=; IFS='|' read -ra names <<<"$${dep%%:*}"; \
	  for name in "$${names[@]}"; do command -v "$$name" >/dev/null && found=1; done; \
	  [ -n "$$found" ] || missing+=("$${dep##*:}"); \
	done; \
	[ $${#missing[@]} -gt 0 ] || exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "installing $${missing[*]}"; \
	  apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$${missing[@]}"; \
	else \
	  echo "the tests need $${missing[*]} (names of Debian's packages): install them, then run make test again" >&2; exit 1; \
	fi
