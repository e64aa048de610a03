#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Puts the module into the cached 7.x kernel source (scripts/graft.sh) and builds
# that for user-mode Linux, =m and =y; boots the latter.  The source and the built
# tree lie under overlays here, so nothing of the cache changes, and only what the
# new options touch is built.  Needs root.  TAP; the last line is "N passed, N failed".
set -eu

. "$(dirname "$0")/../vm/lib.sh"

export LC_ALL=C
unset MAKEFLAGS MFLAGS MAKELEVEL
if [ "${1:-}" != inside ]; then
	[ "$(id -u)" = 0 ] || die "this needs root"
	k_need uml
	mkdir -p "$TOP/build"
	GRAFT=$(mktemp -d "$TOP/build/graft.XXXXXX")
	export GRAFT
	# shellcheck disable=SC2064
	trap "rm -rf '$GRAFT'" EXIT
	timeout -k 10 3000 unshare --mount "$0" inside || echo "Bail out! exit status $?" >>"$GRAFT/tap"
	cp "$GRAFT/tap" "$TOP/build/graft.tap"
	rc=0
	"$TOP/tests/vm/tap-sum.sh" "$TOP/build/graft.tap" || rc=$?
	exit $rc
fi

src=$CACHE/src/linux
obj=$(uml_dir uml)/src
exec 3>"$GRAFT/tap"
n=0

# check DESCRIPTION COMMAND...
check()
{
	local what=$1 rc=0
	shift
	"$@" >"$GRAFT/log" 2>&1 || rc=$?
	n=$((n + 1))
	if [ $rc = 0 ]; then
		echo "ok $n - $what" >&3
	else
		echo "not ok $n - $what ($rc)" >&3
		tail -n 20 "$GRAFT/log"
	fi
}

# over FOLDER NAME: what is written there goes elsewhere
over()
{
	mkdir -p "$GRAFT/$2/upper" "$GRAFT/$2/work"
	mount -t overlay -o "lowerdir=$1,upperdir=$GRAFT/$2/upper,workdir=$GRAFT/$2/work" \
		overlay "$1"
}

# sums: of all in the folders that it changes
sums()
{
	(cd "$src" && find drivers/md Documentation/admin-guide/device-mapper -type f \
		-exec sha256sum {} + | sort -k 2)
}

um()
{
	make -C "$src" O="$obj" ARCH=um -j"$(nproc)" "$@"
}

# built TARGET...: without a warning of ours
built()
{
	um W=1 drivers/md/ && um "$@" || return
	! grep -qE 'drivers/md/(dm-thin2|persistent-data/pdata)[^ ]*: warning' "$GRAFT/log"
}

# config OPTION=VALUE...
config()
{
	local o
	for o; do
		sed -i "/^CONFIG_${o%%=*}=/d; /^# CONFIG_${o%%=*} is not set/d" "$obj/.config"
		echo "CONFIG_$o" >>"$obj/.config"
	done
	um olddefconfig || return
	for o; do
		if [ "${o#*=}" = n ]; then
			! grep "^CONFIG_${o%%=*}=" "$obj/.config" || return
		else
			grep -x "CONFIG_$o" "$obj/.config" || return
		fi
	done
}

# The built kernel has the targets without any module.
boots_with_targets()
{
	# user-mode Linux, its root the host's, read only
	timeout -s KILL 120 "$obj/linux" mem=256M rootfstype=hostfs rootflags=/ ro con=null \
		con0=null,fd:1 panic=-1 quiet "init=$TOP/tests/packages/graft-init.sh" </dev/null |
		tee "$GRAFT/console" || true
	cat "$GRAFT/console"
	local t
	for t in thin-pool2 thin2 thin-pool thin; do
		grep -q "^$t  *v2\.[0-9.]*" "$GRAFT/console" || return
	done
}

over "$src" src
over "$obj" obj
before=$(sums)
check "grafting" "$TOP/scripts/graft.sh" "$src"
after=$(sums)
check "it changes something" [ "$before" != "$after" ]
check "a second time" "$TOP/scripts/graft.sh" "$src"
check "changes nothing" [ "$after" = "$(sums)" ]
check "not a kernel's tree: refused" eval "! '$TOP/scripts/graft.sh' '$TOP'"
check "configured =m" config DM_THIN_PROVISIONING=m DM_THIN_POOL2=m DM_THIN2_COMPAT=m
check "built =m" built modules
check "there are modules" ls "$obj/drivers/md/dm-thin-pool2.ko" "$obj/drivers/md/dm-thin2-compat.ko"
check "the compat names are not built in beside version 1" eval \
	'! config BLK_DEV_DM=y DM_THIN_PROVISIONING=m DM_THIN_POOL2=y DM_THIN2_COMPAT=y'
check "configured =y" config BLK_DEV_DM=y DM_THIN_PROVISIONING=n DM_THIN_POOL2=y DM_THIN2_COMPAT=y
check "built =y" built linux
check "it boots and has the targets" boots_with_targets
check "removing" "$TOP/scripts/graft.sh" --remove "$src"
check "all is as it was" [ "$before" = "$(sums)" ]
echo "1..$n" >&3
