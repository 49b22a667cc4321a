# What a person types here; CI types the same (.ci/run).

SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin

# Tests start many processes, and each imports Django: what was compiled once is kept, whatever the shell says.
unexport PYTHONDONTWRITEBYTECODE

# The first Python that works and is new enough; pyenv's shims exist without working.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)

.PHONY: help demo test test-slow test-unit test-under-load test-client test-newest test-oldest test-postgres coverage lint format docs client messages bench soak packages caches chromium postgres

help:
	@echo 'make demo    the example site with a server, ready to use'
	@echo 'make test    the tests; installs what they need'
	@echo 'make test-slow  those that kill processes, build environments or wait for minutes'
	@echo 'make coverage  all of both, and what they leave out'
	@echo 'make test-under-load  what waits on time, ten times while all cores are busy'
	@echo 'make test-postgres  those that ask the database, on a PostgreSQL that is started for them'
	@echo 'make lint    ruff, mypy, TypeScript, bundle, migrations, documents'
	@echo 'make format  let ruff format and fix'
	@echo 'make docs    the documents as pages, in docs/_build/html'
	@echo 'make client  build the browser client into instant/static/'
	@echo 'make messages  compile the translations in instant/locale/'
	@echo 'make soak    what is repeated for minutes until it is worth believing; SOAK=failover one of it'
	@echo 'make bench   the tables of docs/measurements.md, side by side'

# --- set-up -------------------------------------------------------------------------------

$(VENV)/.installed: pyproject.toml
	@test -n '$(PYTHON)' || { echo 'Instant needs Python 3.11 or newer.'; exit 1; }
	@echo 'Setting up $(VENV) …'
	@# What was interrupted may lack anything, pip too: then anew. What was whole is kept.
	@if [ -e $@ ]; then rm $@; $(PYTHON) -m venv $(VENV); else $(PYTHON) -m venv --clear $(VENV); fi
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.tested: $(VENV)/.installed
	@echo 'Installing what the tests need …'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group test --group lint --group docs
	@touch $@

js-client/node_modules/.package-lock.json: js-client/package-lock.json
	@command -v npm >/dev/null || { echo 'The browser client needs Node 20 or newer with npm.'; exit 1; }
	cd js-client && npm ci --no-audit --no-fund --loglevel=error

# Debian's packages, where we are root and may.
MAY_INSTALL := [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null
INSTALL := apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends

packages: chromium postgres caches

chromium:
	@command -v chromium >/dev/null || if $(MAY_INSTALL); then \
		echo 'Installing Chromium for the browser tests …'; \
		{ $(INSTALL) chromium fonts-dejavu-core; } >/dev/null; \
	else echo 'The browser tests need Chromium. Install it with: sudo apt-get install chromium'; exit 1; fi
	@# Without it they take Chromium itself, which needs three times the processor.
	@command -v chromium-headless-shell >/dev/null || if $(MAY_INSTALL); then \
		{ $(INSTALL) chromium-headless-shell; } >/dev/null 2>&1 || true; fi
	@command -v nginx >/dev/null || if $(MAY_INSTALL); then \
		echo 'Installing nginx, behind which they go …'; { $(INSTALL) nginx-light; } >/dev/null; \
	else echo 'The browser tests need nginx. Install it with: sudo apt-get install nginx-light'; exit 1; fi

# Without it the tests on it say that they did not run; nothing else needs it.
postgres:
	@command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || if $(MAY_INSTALL); then \
		echo 'Installing PostgreSQL …'; \
		{ $(INSTALL) postgresql; } >/dev/null || echo 'PostgreSQL could not be installed.'; \
	else echo 'PostgreSQL can be installed with: sudo apt-get install postgresql'; fi

caches:
	@command -v redis-server >/dev/null && command -v memcached >/dev/null && command -v nats-server >/dev/null || \
	if $(MAY_INSTALL); then \
		echo 'Installing Redis, Memcached and NATS …'; \
		{ $(INSTALL) redis-server memcached nats-server; } >/dev/null || echo 'They could not be installed.'; \
	else echo 'They can be installed with: sudo apt-get install redis-server memcached nats-server'; fi

# --- what one types -----------------------------------------------------------------------

demo: $(VENV)/.installed
	@exec $(BIN)/python example/demo.py $(DEMO)

# On all cores, the client's own tests among them; the tests of a file stay together, see tests/conftest.py.
test: packages $(VENV)/.tested js-client/node_modules/.package-lock.json
	$(BIN)/python -m pytest -n auto -m 'not slow' $(TESTS)

# What kills processes again and again, builds environments, fuzzes, needs Chromium as a whole or waits. CI runs it
# too, with all others: make coverage.
test-slow: packages $(VENV)/.tested js-client/node_modules/.package-lock.json
	$(BIN)/python -m pytest -n auto -m slow $(TESTS)

test-unit: $(VENV)/.tested
	$(BIN)/python -m pytest -n auto -m 'not browser and not slow and not conformance' $(TESTS)

# What waits on time, again and again while all cores compute something else.
TIMES ?= 10
test-under-load: packages $(VENV)/.tested js-client/node_modules/.package-lock.json
	@$(BIN)/python -m tests.load $(TIMES) \
		$(BIN)/python -m pytest -q -n auto -m 'timed or (conformance and not slow)' $(TESTS)

# All tests, and which lines and branches none of them takes. What pytest said last is said again.
coverage: packages $(VENV)/.tested js-client/node_modules/.package-lock.json
	@rm -rf .coverage && mkdir .coverage
	@set -o pipefail; $(BIN)/python -m coverage run -m pytest -n auto $(TESTS) | tee .coverage/said
	@$(BIN)/coverage combine --quiet && $(BIN)/coverage report
	@tail -n 1 .coverage/said

test-client: js-client/node_modules/.package-lock.json
	cd js-client && npm test --silent

# The suite again with the newest Python here and the newest Django, and with the oldest versions
# of all that pyproject.toml allows.
test-newest test-oldest: $(VENV)/.tested
	@.ci/leg $(@:test-%=%)

# What asks the database, on a server that is started for it and thrown away. Of the endpoints'
# tests those about rights: the others are about headers, bodies and the cache.
ON_POSTGRES := tests/test_permissions.py tests/rights/test_exact_names.py tests/test_models.py tests/test_migrations.py \
	tests/publishing tests/outbox tests/stored tests/inbound/tickets tests/tenancy/test_tickets.py \
	tests/test_namespaces.py tests/test_admin.py tests/test_admin_scale.py \
	tests/views/test_identity.py tests/views/test_channel_data.py tests/views/test_centrifugo_proxy.py tests/views/test_queries.py \
	tests/inbound/policies/test_timeout.py \
	tests/live/test_enforcement.py tests/live/test_guardian.py tests/pages tests/streaming tests/revoking tests/tenancy/test_outbox.py

test-postgres: postgres $(VENV)/.tested
	@$(BIN)/python -m tests.cluster $(BIN)/python -m pytest --ds tests.postgres -q -n auto -m 'not slow and not real_server' $(ON_POSTGRES)

lint: $(VENV)/.tested js-client/node_modules/.package-lock.json
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	cd js-client && npm run --silent check && npm run --silent lint
	$(BIN)/python -m django makemigrations --check --dry-run --settings tests.settings
	$(BIN)/python docs/reference.py --check
	$(SPHINX)

format: $(VENV)/.tested
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Every warning is an error, a link that leads nowhere among them. Pages that didn't change are kept.
SPHINX := $(BIN)/python -m sphinx -W --keep-going -n -q -d docs/_build/doctrees docs docs/_build/html

docs: $(VENV)/.tested
	$(BIN)/python docs/reference.py
	$(SPHINX)
	@echo 'Open docs/_build/html/index.html'

client: js-client/node_modules/.package-lock.json
	cd js-client && npm run --silent build

# What Django reads is committed, so that a checkout needs no gettext; tests/test_locales.py compares.
messages: $(VENV)/.tested
	$(BIN)/pybabel --quiet compile --domain django --directory instant/locale

bench: $(VENV)/.tested
	$(BIN)/python -m tests.benchmarks $(BENCH)

soak: packages $(VENV)/.tested
	$(BIN)/python -m tests.soak $(SOAK)
