# The two commands of a new user: make demo, make test. No other is needed before them.
.PHONY: demo test check audit bench venv servers imports simulate

CARGO ?= cargo
VENV := target/venv

demo: ## a whole service on recorded floods, gas releases, pipe bursts and fire weather
	$(CARGO) run --release --quiet -- demo $(ARGS)

test: venv servers ## every test of every crate
	$(CARGO) test --workspace --quiet

check: imports ## format, lints, import directions
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --quiet -- -D warnings

imports:
	.ci/imports

audit: ## licences, bans, sources
	@$(CARGO) deny --version >/dev/null 2>&1 || $(CARGO) install cargo-deny --locked --quiet
	$(CARGO) deny check licenses bans sources

bench: ## speed of the rule language and the engine
	$(CARGO) bench --workspace

simulate: ## a service of its own under load; prints rates and latencies
	$(CARGO) build --release --quiet
	deploy/bench/run $(ARGS)

servers: ## the real servers that tests start
	.ci/servers

venv: $(VENV)/ready
$(VENV)/ready: .ci/python-packages.txt
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet -r $<
	touch $@
