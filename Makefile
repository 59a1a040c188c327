# consentsync: `make` lists what can be done here.

VERSION = $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
TOOL    = go tool -modfile=tools/go.mod

.DEFAULT_GOAL := help
.PHONY: help build run test watch check lint fmt fmt-check fuzz vuln bench soak screens docs release reproducible sbom newuser

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/consentsync, static and stamped with its version
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-X main.version=$(VERSION)' -o bin/consentsync ./cmd/consentsync

run: build ## build it and run the demo
	bin/consentsync demo

test: ## vet and every test, then most of them once more under the race detector
	scripts/test

watch: ## run the tests of a package each time it is saved
	$(TOOL) gotestsum --watch

check: fmt-check lint test fuzz vuln reproducible ## everything a change must pass; the first run builds the linter

lint: ## golangci-lint
	$(TOOL) golangci-lint run

fmt: ## format the code
	$(TOOL) golangci-lint fmt

fmt-check: ## fail where the code is not formatted
	$(TOOL) golangci-lint fmt --diff

fuzz: ## every fuzz target for 10 seconds
	scripts/fuzz 10s

vuln: ## known vulnerabilities that the program can reach
	scripts/vuln

sbom: build ## what is built into the program, as dist/consentsync.cdx.json
	mkdir -p dist
	bin/consentsync version --sbom > dist/consentsync.cdx.json

bench: ## measure
	scripts/bench

soak: ## the long fault tests of several nodes; scripts/soak 30m for longer
	scripts/soak

release: ## binaries, packages and images for each platform, into dist
	go run ./internal/release

reproducible: ## two builds of a release are the same bytes
	go test -tags reproducible -count=1 ./internal/release

screens: ## pictures of the console's pages, into docs/screens
	mkdir -p docs/screens
	CONSENTSYNC_SCREENS=$(CURDIR)/docs/screens go test -count=1 -timeout 14m ./internal/e2e/browser

docs: ## docs/configuration.md and docs/api.md, which follow from the code
	CONSENTSYNC_WRITE_DOCS=1 go test -count=1 -run '^TestWrittenDocuments$$' ./cmd/consentsync

newuser: ## follow the README on a clean clone and tell how long each step takes
	scripts/newuser
