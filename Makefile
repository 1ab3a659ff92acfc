# `make run` starts the server on http://localhost:3001; `make test` proves everything. `make help` lists the rest.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
DEPGUARD := github.com/OpenPeeDeeP/depguard/v2/cmd/depguard@v2.3.0

# Everything that the front end's build depends on.
FRONTEND := $(shell find frontend -path frontend/node_modules -prune -o -type f -print 2>/dev/null)

.PHONY: help
help: ## Show what there is to make.
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.PHONY: run
run: build ## Build and start the server on http://localhost:3001, with the database in ./data.
	@exec bin/auth-service serve

.PHONY: build
build: ui/dist/index.html ## Build the front end and bin/auth-service.
	@.ci/need go
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/auth-service .

ui/dist/index.html: $(FRONTEND) frontend/node_modules/.package-lock.json
	npm --prefix frontend run build
	@touch $@

# npm writes this file last, so it tells when node_modules is behind the lock.
%/node_modules/.package-lock.json: %/package-lock.json
	@.ci/need node
	npm --prefix $* ci --no-audit --no-fund
	@touch $@

# The page comes from Vite, which passes /api on, so the browser knows the server under Vite's address.
.PHONY: dev
dev: frontend/node_modules/.package-lock.json ## Vite with hot reload on :5173, before a server that restarts when a Go file changes.
	@.ci/need go
	@mkdir -p bin; trap 'kill 0' EXIT; \
	DEV_SERVER=http://127.0.0.1:$${PORT:-3001} npm --prefix frontend run dev & \
	changed() { find . \( -name node_modules -o -name dist -o -name bin -o -name data \) -prune -o \
		\( -name '*.go' -o -name go.mod -o -name config.yaml \) -newer bin/.dev -print -quit; }; \
	server=; \
	while :; do \
		touch bin/.dev; \
		if CGO_ENABLED=0 go build -o bin/auth-service-dev .; then \
			if [ -n "$$server" ]; then kill "$$server" 2>/dev/null || true; wait "$$server" || true; fi; \
			AUTH_PUBLIC_URL=http://localhost:5173 bin/auth-service-dev serve & server=$$!; \
		fi; \
		until [ -n "$$(changed)" ]; do sleep 1; done; \
	done

.PHONY: test
test: test-go test-frontend test-e2e ## Run every test: Go on SQLite and PostgreSQL, the front end's, and those in a browser.

.PHONY: test-go
test-go: ## Run the Go tests.
	@.ci/need go cc postgres curl
	go test -race -timeout 20m ./... # a busy machine may take longer than the ten minutes that go allows a package

.PHONY: test-frontend
test-frontend: frontend/node_modules/.package-lock.json ## Run the front end's unit tests.
	npm --prefix frontend test

.PHONY: test-e2e
test-e2e: build e2e/node_modules/.package-lock.json ## Run the browser tests against the binary.
	@.ci/need postgres
	@CHROMIUM_PATH="$$(.ci/need chromium)"; export CHROMIUM_PATH; npm --prefix e2e test

.PHONY: lint
lint: lint-go lint-imports lint-frontend ## Check formatting, vet, staticcheck, who imports whom, ESLint and types.

.PHONY: lint-go
lint-go:
	@.ci/need go
	@unformatted="$$(gofmt -l $$(find . -name node_modules -prune -o -name '*.go' -print))"; \
		if [ -n "$$unformatted" ]; then printf 'gofmt would change:\n%s\n' "$$unformatted" >&2; exit 1; fi
	go vet ./...
	go run $(STATICCHECK) ./...

.PHONY: lint-imports
lint-imports:
	@.ci/need go
	go run $(DEPGUARD) ./...

.PHONY: lint-frontend
lint-frontend: frontend/node_modules/.package-lock.json e2e/node_modules/.package-lock.json
	npm --prefix frontend run lint
	npm --prefix frontend run typecheck
	npm --prefix e2e run typecheck

.PHONY: check
check: lint test ## Everything that a commit must pass.

.PHONY: bench
bench: build ## Measure the server beside the floor of each path; with SCALE=1, the lists and tokens of a million people; with CONSUMPTION=10000000, usage beside as many records.
	go run ./bench $(if $(SCALE),-scale $(SCALE)) $(if $(KEEP),-keep $(KEEP)) $(if $(CALLERS),-callers $(CALLERS)) $(if $(CONSUMPTION),-consumption $(CONSUMPTION))

.PHONY: clean
clean: ## Remove what was built. The database in ./data stays.
	rm -rf bin frontend/node_modules e2e/node_modules node_modules
	find ui/dist -mindepth 1 ! -name .gitkeep -delete
