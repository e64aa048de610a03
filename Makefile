# SPDX-License-Identifier: GPL-2.0-only
# Device-mapper thin provisioning v2.  "make help" says what there is.

MAKEFLAGS += --no-print-directory
SECS ?= 60
W ?=
C ?=
PREFIX ?= /usr/local
export KDIR DESTDIR PREFIX

.PHONY: help module module-matrix user check check-long check-crash check-debug check-debug-short \
	check-lvm-suite check-mutations check-deb check-graft check-boot deb demo bench \
	bench-core bench-repair \
	fuzz tidy install uninstall clean setup

help:
	@echo 'make module         the kernel module, for the newest kernel headers installed'
	@echo '                    (KDIR=... for another tree), in build/module/installed'
	@echo 'make module-matrix  the module for kernels 6.1, 6.12 and 7.x (user-mode Linux),'
	@echo '                    with W=1, and with sparse on 6.1'
	@echo 'make user           the tools and the userspace tests'
	@echo 'make check          everything: build matrix, userspace tests, fuzzers for a'
	@echo '                    moment, tests on real kernels; ends in "N passed, N failed"'
	@echo 'make check-long     tests of many minutes each on a real kernel (RUNTIME=seconds)'
	@echo 'make check-crash    10^6 crashes and all short sequences of operations, in userspace,'
	@echo '                    and 100 times kill -9 of a machine; about a quarter of an hour'
	@echo 'make check-debug    the kernel tests on a kernel with KASAN, lockdep, kmemleak and'
	@echo '                    failing allocations; hours (check-debug-short: one at most)'
	@echo 'make check-mutations  rules are broken one at a time: does a test notice?'
	@echo 'make check-lvm-suite  the test suite of LVM with thin volumes, on version 1 and on'
	@echo '                    this; about an hour (KERNEL=uml: a third of it)'
	@echo 'make demo           a pool, thins and snapshots in a virtual machine'
	@echo 'make bench          measurements against dm-linear and dm-thin'
	@echo 'make bench-core     costs, sizes and growth of the metadata, in userspace'
	@echo 'make bench-repair   what is lost when metadata is destroyed and repaired'
	@echo 'make fuzz SECS=n    the fuzzers, each for n seconds'
	@echo 'make tidy           checkpatch and sparse'
	@echo 'make install        module and tools (DESTDIR=..., PREFIX=...)'
	@echo 'make uninstall      the tools again'
	@echo 'make deb            Debian packages, in build/deb'
	@echo 'make check-deb      installs and removes them in Debian 12 and 13, in a folder'
	@echo 'make check-graft    the module inside a 7.x kernel source tree, =m and =y'
	@echo 'make check-boot     a Debian on a thin volume boots, after a power cut too'
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

check-long:
	@tests/vm/setup.sh base vm612
	$(MAKE) -C tools all
	@tests/vm/build-module.sh 6.12 W=1
	@tests/vm/kernel-tests.sh -t 7200 6.12 -- tests/kselftest/long/[0-9]*.sh

check-crash:
	@tests/vm/setup.sh base uml
	$(MAKE) -C tests crash-long
	$(MAKE) -C tools all
	@tests/vm/build-module.sh uml
	@KILLS=$${KILLS:-100} tests/vm/kill.sh

check-debug check-debug-short:
	@tests/vm/setup.sh vm61 uml-debug
	$(MAKE) -C tools all
	@tests/vm/debug.sh $(if $(findstring short,$@),short)

check-lvm-suite:
	@tests/vm/setup.sh lvm uml
	$(MAKE) -C tools all
	@tests/vm/build-module.sh $${KERNEL:-6.12} W=1
	@tests/lvm-suite/suite.sh $${KERNEL:-6.12}

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

bench-repair:
	@tests/vm/setup.sh bench
	@tests/bench/repair.sh

fuzz:
	@tests/vm/setup.sh base
	$(MAKE) -C tests fuzz SECS=$(SECS)

tidy:
	@tests/vm/setup.sh vm61 src
	@tests/tidy/tidy.sh

install:
	@tests/vm/build-module.sh --install installed
	$(MAKE) -C tools install

uninstall:
	$(MAKE) -C tools uninstall

deb:
	@tests/vm/setup.sh deb
	@packaging/build-deb.sh

check-deb: deb
	@tests/packages/check-deb.sh

check-graft:
	@tests/vm/setup.sh uml
	@tests/packages/check-graft.sh

check-boot: deb
	@tests/vm/setup.sh vm61
	@tests/vm/boot.sh

clean:
	rm -rf build
	@for d in tools tests; do [ ! -e $$d/Makefile ] || $(MAKE) -C $$d clean; done
