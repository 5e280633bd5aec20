# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# make demo on a fresh Debian or Ubuntu as root shows what this does; make test proves it.

VENV := .venv
NOX := $(VENV)/bin/nox
RESULTS := .cache/results
TIERS := static lint docs "sanity(2.19)" units coverage fuzz live integration eda fault_injection bench_smoke build

.PHONY: help demo test test-quick torture sanity bench record docs build clean

help:
	@echo "make demo        hotplug a real VM, before your eyes"
	@echo "make test        all checks: lint, sanity, unit, live and integration tests"
	@echo "make test-quick  the checks of the daily loop, in under a minute"
	@echo "make torture     every fault at every step, a soak, and all playbooks on each ansible-core; an hour and more"
	@echo "make sanity      ansible-test sanity with each ansible-core; make test runs it with one"
	@echo "make bench       what the collection costs beside the least that QEMU needs, and beside its peers"
	@echo "make record      ask real QEMUs again what the unit tests take for their answers"
	@echo "make docs        the documentation as a website, in .cache/site"
	@echo "make build       the collection as an archive, in build/, checked as Galaxy checks it"
	@echo "make clean       remove what these made"

demo:
	./demo/run

# The totals come last. They also show that nox itself failed.
test: $(NOX)
	rm -rf $(RESULTS)
	mkdir -p $(RESULTS)
	tests/vm/install --all
	-$(NOX) --report $(RESULTS)/nox.json --session $(TIERS)
	@$(VENV)/bin/python tests/tools/totals.py $(RESULTS)

test-quick: $(NOX)
	$(NOX) --session static coverage

torture: $(NOX)
	TORTURE=all $(NOX) --session fuzz fault_injection integration

sanity: $(NOX)
	$(NOX) --session sanity

bench: $(NOX)
	tests/vm/install --peers
	$(NOX) --session bench

record: $(NOX)
	tests/vm/install
	$(NOX) --session record

docs: $(NOX)
	$(NOX) --session docs

build: $(NOX)
	$(NOX) --session build

clean:
	rm -rf $(VENV) .cache .nox build

$(NOX):
	tests/vm/install
	python3 -m venv $(VENV)
	$(VENV)/bin/pip --quiet install nox
	touch $@
