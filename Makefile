# SPDX-License-Identifier: GPL-2.0-only
# Device-mapper thin provisioning v2.  "make help" says what there is.

MAKEFLAGS += --no-print-directory
SECS ?= 60
W ?=
C ?=
PREFIX ?= /usr/local
export KDIR DESTDIR PREFIX

.PHONY: help module module-matrix user check check-crash check-long check-debug \
	check-debug-short check-mutations demo bench bench-core fuzz tidy install clean setup

help:
	@echo 'make module         the kernel module, for the newest kernel headers installed'
	@echo '                    (KDIR=... for another tree), in build/module/installed'
	@echo 'make module-matrix  the module for kernels 6.1, 6.12 and 7.x (user-mode Linux),'
	@echo '                    with W=1, and with sparse on 6.1'
	@echo 'make user           the tools and the userspace tests'
	@echo 'make check          everything: build matrix, userspace tests, fuzzers for a'
	@echo '                    moment, tests on real kernels; ends in "N passed, N failed"'
	@echo 'make check-crash    10^6 crashes and all short sequences of operations, in userspace,'
	@echo '                    and 100 times kill -9 of a machine; about a quarter of an hour'
	@echo 'make check-long     kernel tests that take minutes: failing devices at random, swap'
	@echo 'make check-debug    the kernel tests on a kernel with KASAN, lockdep, kmemleak and'
	@echo '                    failing allocations; hours (check-debug-short: one at most)'
	@echo 'make check-mutations  rules are broken one at a time: does a test notice?'
	@echo 'make demo           a pool, thins and snapshots in a virtual machine'
	@echo 'make bench          measurements against dm-linear and dm-thin'
	@echo 'make bench-core     costs, sizes and growth of the metadata, in userspace'
	@echo 'make fuzz SECS=n    the fuzzers, each for n seconds'
	@echo 'make tidy           checkpatch and sparse'
	@echo 'make install        module and tools (DESTDIR=..., PREFIX=...)'
	@echo 'make setup          fetch and install what the above needs (they do it themselves)'
	@echo 'make clean          remove what was built'

setup:
	@tests/vm/setup.sh all

module:
	@tests/vm/build-module.sh installed $(if $(W),W=$(W)) $(if $(C),C=$(C))

module-matrix:
	@tests/vm/setup.sh all
	@tests/vm/build-module.sh 6.1 W=1 C=2
	@tests/vm/build-module.sh 6.12 W=1
	@tests/vm/build-module.sh uml W=1

user:
	@tests/vm/setup.sh base
	$(MAKE) -C tools all
	$(MAKE) -C tests user

check:
	@tests/vm/check.sh

check-crash:
	@tests/vm/setup.sh base uml
	$(MAKE) -C tests crash-long
	$(MAKE) -C tools all
	@tests/vm/build-module.sh uml
	@KILLS=$${KILLS:-100} tests/vm/kill.sh

check-long:
	@tests/vm/setup.sh vm612
	$(MAKE) -C tools all
	@tests/vm/build-module.sh 6.12
	@tests/vm/kernel-tests.sh -t 7200 6.12 -- tests/kselftest/long/*.sh

check-debug check-debug-short:
	@tests/vm/setup.sh vm61 uml-debug
	$(MAKE) -C tools all
	@tests/vm/debug.sh $(if $(findstring short,$@),short)

check-mutations:
	@tests/vm/setup.sh base
	@tests/mutations/mutate.sh

demo:
	@tests/vm/setup.sh vm61
	@tests/vm/demo.sh

bench:
	@tests/vm/setup.sh bench uml
	@tests/bench/run.sh

bench-core:
	@tests/vm/setup.sh bench
	@tests/bench/core.sh

fuzz:
	@tests/vm/setup.sh base
	$(MAKE) -C tests fuzz SECS=$(SECS)

tidy:
	@tests/vm/setup.sh vm61 src
	@tests/tidy/tidy.sh

install:
	@tests/vm/build-module.sh --install installed
	$(MAKE) -C tools install

clean:
	rm -rf build
	@for d in tools tests; do [ ! -e $$d/Makefile ] || $(MAKE) -C $$d clean; done
