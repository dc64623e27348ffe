# The two commands that matter: `make run` and `make test`. Both install what
# they need and are allowed to. `make help` lists the rest.

GOLANGCI_LINT := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOVULNCHECK   := golang.org/x/vuln/cmd/govulncheck@v1.1.4
ACTIONLINT    := github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
VERSION       := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

.PHONY: generate run help check test soak gamedays build lint vuln bench fuzz prerequisites clean

run: prerequisites build ## everything, live, on this machine
	bin/whalegate demo $(ARGS)

help: ## this list
	@awk -F ':.*?## ' '/^[a-z-]+:.*## / {printf "%-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

check: ## everything that needs no server and no browser, in a minute: forms, vet, the pure parts
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "not gofmt'd:"; gofmt -l $$(git ls-files '*.go'); exit 1; }
	go vet ./...
	go test $$(scripts/pure.sh)

test: prerequisites ## every test, with the race detector; those that need a Grafana server skip without one (docs/boards.md)
	@scripts/install.sh --optional chromium prometheus prometheus-alertmanager
	go vet ./...
	go test -race -timeout 60m -parallel 3 ./... # three at a time: end to end they mostly wait

soak: prerequisites ## the long properties with their full numbers: 10,000 histories of clocks, 2,000 of wrong answers, a day of honest markets, 100 schedules of processes; about an hour
	go test -timeout 120m -v -run 'TestNoClockFoolsHealth$$' ./collector -args -clocks.histories=10000
	go test -timeout 120m -v -run 'TestNoAnswerFoolsAMinute$$|TestAnHonestMarket' ./collector -args -truth.histories=2000 -truth.hours=24
	go test -timeout 120m -v -parallel 4 -run TestSchedulesOfSeveralCollectors ./test -args -schedules=100

gamedays: prerequisites ## the game days, COUNT times; writes docs/gamedays.md (one of them needs a Grafana server)
	go test -timeout 180m -parallel 4 -count=$(or $(COUNT),1) -run 'TestGameDays$$' ./test -args -gamedays.report=$(CURDIR)/docs/gamedays.md

build: ## bin/whalegate
	go build -trimpath -ldflags "-X main.version=$(VERSION)" -o bin/whalegate ./cmd/whalegate

lint: ## what .golangci.yml asks for, each with its reason there
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "not gofmt'd:"; gofmt -l $$(git ls-files '*.go'); exit 1; }
	go mod tidy -diff
	go mod verify
	go run $(GOLANGCI_LINT) run ./...
	go run $(ACTIONLINT)

vuln: ## known vulnerabilities; needs the public vulnerability database
	scripts/vulncheck.sh $(GOVULNCHECK)

generate: ## write the figures of internal/threshold into the rules and the pages again
	go run ./internal/threshold/generate/main

bench: prerequisites build ## the figures of docs/performance.md
	go run ./test/bench $(ARGS)

fuzz: ## every fuzz target for FUZZTIME each
	scripts/fuzz.sh $(or $(FUZZTIME),20s)

prerequisites: ## PostgreSQL's programs, if they are missing
	@scripts/install.sh postgresql

clean: ## what was built
	rm -rf bin artifacts
