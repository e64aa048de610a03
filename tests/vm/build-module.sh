#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Builds dm-thin-pool2.ko and dm-thin2-compat.ko for one kernel, outside the source
# tree, into build/module/NAME.  Any warning is a failure.
#
#   build-module.sh [--install] 6.1|6.12|uml|uml-debug|installed [W=1] [C=2] [VARIABLE=VALUE]...
#
# "installed" is the tree $KDIR, by default the newest headers installed.
# --install also runs modules_install ($DESTDIR is put before its path).
# Environment: MODULE_SRC (default drivers/md), MODULE_OUT (build/module/NAME).
set -eu

. "$(dirname "$0")/lib.sh"

# run from a Makefile or not, the same
unset MAKEFLAGS MFLAGS MAKELEVEL
export LC_ALL=C

install=
[ "${1:-}" != --install ] || { install=1; shift; }
[ $# -gt 0 ] || die "which kernel? 6.1|6.12|uml|uml-debug|installed"
kernel=$1
shift
src=${MODULE_SRC:-$TOP/drivers/md}
out=${MODULE_OUT:-$TOP/build/module/$kernel}

args=(CONFIG_DM_THIN_POOL2=m CONFIG_DM_THIN2_COMPAT=m "$@")
case $kernel in
installed)
	if [ -z "${KDIR:-}" ]; then
		KDIR=$(printf '%s\n' /lib/modules/*/build | sort -V | tail -n 1)
	fi
	[ -e "$KDIR/Makefile" ] || die "no kernel headers (KDIR=$KDIR)"
	tree=$KDIR
	;;
*)
	k_need "$kernel"
	tree=$(k_build "$kernel")
	;;
esac
case $kernel in uml*) args+=(ARCH=um) ;; esac

# The kernel's build writes beside the sources: give it links to them.
mkdir -p "$out"
exec 9>"$out.lock"
flock 9
find "$out" -type l -delete
(cd "$src" && find . -type d -print) | while read -r d; do
	mkdir -p "$out/$d"
done
(cd "$src" && find . -type f \( -name '*.[chS]' -o -name Makefile -o -name Kbuild \) -print) |
	while read -r f; do
		ln -s "$(realpath -m --relative-to="$(dirname "$out/$f")" "$src/$f")" "$out/$f"
	done

log=$out/build.log
rc=0
make -C "$tree" M="$out" -j"$(nproc)" "${args[@]}" modules >"$log" 2>&1 || rc=$?
if [ $rc != 0 ] || grep -qiE 'warning:|error:' "$log"; then
	grep -iE -A 6 'warning:|error:|No rule|\*\*\*' "$log" | head -n 200
	# what was built with a warning is built, and warned about, again
	find "$out" -name '*.o' -delete
	die "$kernel: failed or warned (all of it: $log)"
fi
[ -e "$out/dm-thin-pool2.ko" ] || die "$kernel: no dm-thin-pool2.ko (log: $log)"
say "$kernel: $out/dm-thin-pool2.ko"
[ -z "$install" ] || make -C "$tree" M="$out" ${DESTDIR:+INSTALL_MOD_PATH="$DESTDIR"} \
	"${args[@]}" modules_install
