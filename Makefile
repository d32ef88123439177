# Everything runs from .venv, which `bootstrap` makes from the lock file. `make help` lists the rest.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv/bin
# Tests start servers and containers: more workers than this only make them wait.
TEST_JOBS ?= 2
SOURCES := api worker models security_profiles deploy tests client migrations
COMPILE := $(VENV)/uv pip compile pyproject.toml --universal --python-version 3.11 \
	--generate-hashes --no-annotate --custom-compile-command 'make lock' -q

.PHONY: images compose-up compose-test compose-down help bootstrap prepare demo test security audit chaos bench check lint up down status lock secrets manifests sandbox-image

help: ## Show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | while IFS= read -r line; do \
		printf '  make %-13s %s\n' "$${line%%:*}" "$${line##*## }"; done

bootstrap: ## Make or refresh .venv
	@command -v $(PYTHON) >/dev/null || { \
		echo "error: $(PYTHON) is missing; install Python 3.11 or newer (Debian: apt-get install python3)"; \
		exit 1; }
	@$(PYTHON) -m deploy.bootstrap

prepare: bootstrap ## Bring up the Docker engine and the sandbox image
	@$(VENV)/python -m deploy.prepare

demo: bootstrap ## See it work, from nothing, in one go
	@$(VENV)/python -m deploy.demo

test: bootstrap ## Run all tests
	@$(VENV)/python -m deploy.prepare --tests
	@$(VENV)/python -m pytest -n $(TEST_JOBS)

security: prepare ## Run hostile programs through the whole stack and judge each
	@$(VENV)/python -m pytest -q -n $(TEST_JOBS) tests/security/adversarial

audit: prepare ## Say what is enforced on this host, what is not, and why
	@$(VENV)/python -m worker security-audit

chaos: prepare ## Kill things at random and check that nothing is lost (FAULTS=200 SEED=...)
	@$(VENV)/python -m tests.chaos --faults $(or $(FAULTS),200) $(if $(SEED),--seed $(SEED))

bench: prepare ## Measure, side by side, into build/bench (ONLY="latency steps" QUICK=1)
	@$(VENV)/python -m tests.benchmarks $(if $(ONLY),--only $(ONLY)) $(if $(QUICK),--quick)

check: lint ## What every commit passes: lint, and the unit tests
	$(VENV)/python -m pytest -q tests/unit client/tests

lint: bootstrap ## Format, lint, types, import rules, generated files
	$(VENV)/ruff check $(SOURCES)
	$(VENV)/ruff format --check $(SOURCES)
	$(VENV)/mypy
	$(VENV)/lint-imports
	$(VENV)/python -m security_profiles render --check --directory security_profiles/rendered
	$(VENV)/python -m deploy.kubernetes generate --check
	$(VENV)/python -m deploy.settings_table --check

up: bootstrap ## Start the local stack
	@$(VENV)/python -m deploy.local up

down: bootstrap ## Stop the local stack
	@$(VENV)/python -m deploy.local down

status: bootstrap ## Show what runs
	@$(VENV)/python -m deploy.local status

lock: bootstrap ## Resolve the dependencies anew into both lock files
	$(COMPILE) -o requirements.lock
	$(COMPILE) -o requirements-dev.lock --extra local --extra dev
	cd deploy/kubernetes/checkov && ../../../$(VENV)/uv pip compile requirements.in --universal \
		--python-version 3.11 --generate-hashes --no-annotate --custom-compile-command 'make lock' -q \
		-o requirements.lock

images: bootstrap ## Build the images, of the service and the sandbox, and print their sizes
	@$(VENV)/python -m deploy.stackimages

compose-up: bootstrap ## Start docker-compose.yml with all that it needs
	@$(VENV)/python -m deploy.compose up

compose-test: images ## Try docker-compose.yml for real, in some minutes
	@COMPOSE_TEST=1 $(VENV)/python -m pytest -q --timeout 600 tests/e2e/compose

compose-down: bootstrap ## Stop what compose-up started; its data stays
	@$(VENV)/python -m deploy.compose down

secrets: bootstrap ## Generate what docker-compose.yml needs, once
	@$(VENV)/python -m deploy.compose_secrets

manifests: bootstrap ## Make the manifests' generated files anew and scan what they render to
	@$(VENV)/python -m deploy.kubernetes generate
	@$(VENV)/python -m deploy.kubernetes checkov

sandbox-image: prepare ## Build the sandbox image if it is not up to date
