# The two commands that matter: `make run` and `make test`. Both install what
# they need and are allowed to.

GOLANGCI_LINT := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOVULNCHECK   := golang.org/x/vuln/cmd/govulncheck@v1.1.4
VERSION       := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

.PHONY: run test soak gamedays build lint vuln bench fuzz prerequisites clean

run: prerequisites build ## everything, live, on this machine
	bin/whalegate demo $(ARGS)

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

build:
	go build -trimpath -ldflags "-X main.version=$(VERSION)" -o bin/whalegate ./cmd/whalegate

lint: ## what .golangci.yml asks for, each with its reason there
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "not gofmt'd:"; gofmt -l $$(git ls-files '*.go'); exit 1; }
	go mod tidy -diff
	go mod verify
	go run $(GOLANGCI_LINT) run ./...

vuln: ## known vulnerabilities; needs the public vulnerability database
	scripts/vulncheck.sh $(GOVULNCHECK)

bench: prerequisites build ## the figures of docs/performance.md
	go run ./test/bench $(ARGS)

fuzz: ## every fuzz target for FUZZTIME each
	scripts/fuzz.sh $(or $(FUZZTIME),20s)

prerequisites:
	@scripts/install.sh postgresql

clean:
	rm -rf bin artifacts
