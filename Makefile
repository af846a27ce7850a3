# SPDX-License-Identifier: GPL-3.0-or-later
# Thin targets; the work is done in tests/ and in the playbooks. `make help` lists them.

PYTHON ?=
export PYTHON
IN_VENV = PATH="$(CURDIR)/.venv/bin:$$PATH" ANSIBLE_CONFIG="$(CURDIR)/ansible.cfg"
RUN = .venv/bin/python tests/run.py
DEMO = $(IN_VENV) GREENLAB_LAB=$${GREENLAB_LAB:-demo} ansible-playbook

.DEFAULT_GOAL := help
.PHONY: help tools demo clean docs check sanity tarball-test power-cuts molecule vm test bench

help: ## list the targets
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/\1|\2/p' Makefile | while IFS='|' read -r name text; do \
		printf '  make %-13s %s\n' "$$name" "$$text"; done

tools: ## install what the other targets need (PYTHON=… names the interpreter)
	@tests/tools.sh

# One Debian for all nodes, so that one image serves: the server's, whose PostgreSQL is new enough for GMT's current releases.
demo: export GREENLAB_SUITE ?= trixie
demo: ## build a cluster on four nodes of this computer and show its status
	@tests/tools.sh demo
	@$(DEMO) -i inventories/lab tests/lab/create.yml
	@$(DEMO) -i inventories/lab playbooks/site.yml
	@$(DEMO) -i inventories/lab playbooks/status.yml

clean: ## remove all labs of this computer, their image, .lab and .venv; Debian packages stay
	@tests/clean.sh

docs: tools ## write the tables of the roles' READMEs, and build web pages of all documentation
	@.venv/bin/python tests/role_readmes.py --write
	@.venv/bin/python tests/docs_site.py

check: tools ## what is quick and needs no nodes, in about two minutes
	@$(RUN) check

sanity: tools ## ansible-test sanity
	@$(RUN) sanity

tarball-test: tools ## build the collection, install it elsewhere, use it, also under other versions of Ansible
	@$(RUN) tarball-test

power-cuts: tools ## cut a machine of the demo off in the middle of 20 jobs; none may be lost or run twice (CUTS=…)
	@$(DEMO) -i inventories/lab tests/power_cuts.yml -e cuts=$${CUTS:-20}

molecule: tools ## the stories on nodes (SCENARIO="cluster errors" for some)
	@$(RUN) molecule $(addprefix --scenario=,$(SCENARIO))

vm: tools ## the tests on an emulated computer, which has a kernel, a clock and a sleep of its own
	@$(RUN) molecule --scenario=vm

test: tools ## every check and every test
	@$(RUN) test

BENCH ?= converge scale
bench: tools ## what a run costs, against pyinfra and a script (ROUNDS=1 for a look; BENCH=jobs_db, BENCH=install for others)
	@set -e; for name in $(BENCH); do \
		echo "tests/benchmarks/$$name.py"; .venv/bin/python tests/benchmarks/$$name.py $(if $(ROUNDS),--rounds $(ROUNDS)); \
	done
