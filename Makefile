# Two commands are all that a fresh Debian machine with Go, git and make needs: `make demo` and `make test`.

PKG      ?= ./...
ARGS     ?=
FUZZTIME ?= 10s

.DEFAULT_GOAL := help
.PHONY: help demo test check bench build agents generate fuzz clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

demo: ## Start a whole company with its CA and do the main job before your eyes (ARGS="--once --dir DIR")
	@scripts/install demo
	@go build -o bin/ ./cmd/sealpost
	@exec bin/sealpost demo $(ARGS)

test: ## Run every test, against real servers (PKG=./internal/pg/... for some)
	@scripts/install test
	go vet $(PKG)
	go test -timeout 30m $(PKG)

check: ## Everything that must hold before a commit: a superset of test (STEPS="format vet" for some)
	@scripts/install test
	@scripts/check $(STEPS)

bench: ## Measure what docs/performance.md claims
	@scripts/install demo
	@go build -o bin/ ./cmd/sealpost ./cmd/sealpost-kra
	@exec bin/sealpost bench $(ARGS)

build: ## Build the programs into bin/, with memory erased after plaintext keys (docs/security-model.md)
	GOEXPERIMENT=runtimesecret go build -trimpath -o bin/ ./cmd/...

agents: ## Build the agent for Linux, macOS and Windows into bin/agents, the same bytes for everybody who builds this commit
	@scripts/agents bin/agents
	@ls -l bin/agents

generate: ## Make the generated files anew
	go generate $(PKG)

fuzz: ## Fuzz every parser for FUZZTIME (10s) each (PKG=./cms/... for some)
	@scripts/install test
	@scripts/fuzz $(FUZZTIME) $(PKG)

clean: ## Remove what was built
	rm -rf bin
