#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What LVM calls picks the tool by whose metadata it is; thin2-lvm changes files
# and takes the changes back, byte for byte.
set -u
. "$(dirname "$0")/lib.sh"

# sanitizers complain of what is killed below
export ASAN_OPTIONS=handle_segv=0
history="create 1 random 1 200 20000 1 checkpoint txn 0 42 write 1 0 100"

# shellcheck disable=SC2086
mkpool clean.md 4096 1048576 $history close
# shellcheck disable=SC2086
mkpool dirty.md 4096 1048576 $history flush abandon

# ---- version 2's metadata ----

t "check: a pool in order" 0 thin2_lvm_check -q clean.md
t "check: a journal to replay" 0 thin2_lvm_check -q dirty.md
run 0 thin2_lvm_check dirty.md && has out TRANSACTION_ID=42 && has out "to replay"
result $? "check: it is version 2's check"
t "check: --clear-needs-check-flag" 0 thin2_lvm_check -q --clear-needs-check-flag clean.md
t "check: --ignore-non-fatal-errors" 0 thin2_lvm_check --ignore-non-fatal-errors clean.md
run 0 thin2_lvm_dump clean.md && head -n 1 out | grep -q 'transaction="42"'
result $? "dump: the transaction in the first line"
t "thin2_lvm_tool check" 0 thin2_lvm_tool check -q clean.md
run 0 thin2_lvm_check -V && grep -qx '[0-9.]*' out
result $? "-V"
run 1 thin2_lvm_tool
has err Usage
result $? "no verb"
run 1 thin2_lvm_check -q nowhere.md && has err nowhere.md
result $? "a missing file"

# lost SUPERBLOCK...: x.md is clean.md with noise there
lost()
{
	local i
	cp clean.md x.md
	for i; do
		dd if=/dev/urandom of=x.md bs=4096 seek="$i" count=1 conv=notrunc status=none
	done
}

lost 0
run 1 thin2_lvm_check x.md && has err "superblock: unusable"
result $? "the first superblock lost: version 2's check"
lost 0 1 511
run 1 thin2_lvm_check x.md && has err "superblock: unusable"
result $? "all superblocks lost: version 2's check"
if type thin2_repair >/dev/null 2>&1; then
	truncate -s 16M r.md
	t "repair" 0 thin2_lvm_repair -i clean.md -o r.md
	run 0 thin2_lvm_dump r.md && head -n 1 out | grep -q 'transaction="42"'
	result $? "dump of what was repaired"
else
	run 1 thin2_lvm_repair -i clean.md -o r.md && has err "cannot run thin2_repair"
	result $? "repair: its absence is told"
fi

# ---- version 1's metadata ----

if type thin_restore >/dev/null 2>&1; then
	thin2_dump clean.md >x.xml
	truncate -s 16M v1.md r.md
	thin_restore -q -i x.xml -o v1.md
	t "version 1: check" 0 thin2_lvm_check -q v1.md
	run 1 thin2_check v1.md
	result $? "version 1: version 2's check does not take it"
	run 0 thin2_lvm_dump v1.md && head -n 1 out | grep -q 'transaction="42"'
	result $? "version 1: dump"
	for form in "-i v1.md" "-iv1.md" "--input v1.md" "--input=v1.md"; do
		# shellcheck disable=SC2086
		run 0 thin2_lvm_repair $form -o r.md && thin_check -q r.md
		result $? "version 1: repair $form"
	done
	# where version 2 was before; version 1 writes little
	cp clean.md x.md
	dd if=v1.md of=x.md bs=4096 count=1 conv=notrunc status=none
	run 1 thin2_lvm_check x.md && ! has err "superblock: unusable"
	result $? "version 1's superblock before version 2's remains"
else
	skip "version 1's metadata" "no thin-provisioning-tools"
fi

# ---- exit status 2 tells LVM to activate unchecked ----

mkdir fake
cp -L "$(type -p thin2_lvm_check)" fake/thin2_lvm_check
ln -s thin2_lvm_check fake/thin2_lvm_tool
# fake NAME COMMAND
fake()
{
	printf '#!/bin/sh\n%s\n' "$2" >"fake/$1"
	chmod +x "fake/$1"
}

fake thin2_check "exit 2"
t "status 2 of version 2's check" 1 fake/thin2_lvm_check clean.md
fake thin2_check "exit 127"
t "status 127" 1 fake/thin2_lvm_check clean.md
# shellcheck disable=SC2016
fake thin2_check 'kill -KILL $$'
run 1 fake/thin2_lvm_check clean.md && has err "signal 9"
result $? "a check that was killed"
fake thin2_check 'printf "%s\n" "$*" >args'
run 0 fake/thin2_lvm_check -q --ignore-non-fatal-errors clean.md &&
	[ "$(cat args)" = "-q --ignore-non-fatal-errors clean.md" ]
result $? "arguments are passed on"
fake thin2_repair 'printf "<%s>\n" "$@" >args'
run 0 fake/thin2_lvm_tool repair "" -i clean.md "" -o "r.md" &&
	[ "$(cat args)" = "$(printf '<%s>\n' -i clean.md -o r.md)" ]
result $? "empty ones are not, which LVM gives for no options"
if [ -e v1.md ]; then
	fake thin_check "exit 2"
	t "status 2 of version 1's check" 1 env PATH="$PWD/fake:$PATH" fake/thin2_lvm_check v1.md
fi
rm fake/thin2_check
run 1 env PATH=/nowhere fake/thin2_lvm_check clean.md && has err "cannot run thin2_check"
result $? "no thin2_check"

# ---- thin2-lvm ----

if ! type lvmconfig >/dev/null 2>&1; then
	skip "thin2-lvm" "no lvm2"
	plan
	exit
fi
unset LVM_SYSTEM_DIR
exec </dev/null
local_conf=sys/etc/lvm/lvmlocal.conf

# lvm_value KEY: what LVM reads
lvm_value()
{
	LVM_SYSTEM_DIR=sys/etc/lvm lvmconfig --type full "$1" 2>/dev/null
}

tl()
{
	thin2-lvm --root sys "$@"
}

# fresh: a system's files; fresh TEXT: with lvmlocal.conf
fresh()
{
	rm -rf sys
	mkdir -p sys/etc/lvm sys/etc/modprobe.d
	printf 'config {\n\tchecks = 1\n}\nglobal {\n\tthin_check_options = [ "-q", "--x" ]\n}\n' \
		>sys/etc/lvm/lvm.conf
	[ $# = 0 ] || printf '%b' "$1" >$local_conf
	[ $# = 0 ] || chmod 640 $local_conf
	rm -rf before
	cp -a sys before
}

is_enabled()
{
	[ "$(lvm_value global/thin_check_executable)" = \
		"thin_check_executable=\"$(readlink -f "$TOOLS")/thin2_lvm_check\"" ] &&
		[ "$(lvm_value global/thin_repair_executable)" = \
			"thin_repair_executable=\"$(readlink -f "$TOOLS")/thin2_lvm_repair\"" ] &&
		grep -qx 'alias dm-thin-pool dm-thin2-compat' sys/etc/modprobe.d/*.conf
}

is_restored()
{
	diff -r before sys >>err &&
		[ "$(cd before && find . -printf '%p %m %u\n' | sort)" = \
			"$(cd sys && find . -printf '%p %m %u\n' | sort)" ]
}

# both NAME: enable works, disable takes it back
both()
{
	run 0 tl enable && is_enabled
	result $? "$1: enable"
	run 0 tl status && has out enabled
	result $? "$1: status says so"
	run 0 tl disable && is_restored
	result $? "$1: disable takes it back"
	run 1 tl status && has out disabled
	result $? "$1: status says so"
}

fresh
both "no lvmlocal.conf"
fresh 'local {\n\t# a comment\n}\n'
both "lvmlocal.conf"
fresh 'local {\n}'
both "no new line at the end"
fresh ''
both "empty"
fresh '\n\nglobal {\n\tthin_check_executable = "/other/check"\n}\n\n'
both "set before"
[ "$(lvm_value global/thin_check_executable)" = 'thin_check_executable="/other/check"' ]
result $? "what was set is set again"
fresh 'local {\n}\n'
tl enable >/dev/null 2>&1
both "enabled twice"

fresh 'local {\n}'
run 0 tl enable && echo '# mine' >>$local_conf && run 0 tl disable &&
	printf 'local {\n}\n# mine\n' | cmp - $local_conf >>err
result $? "what was added behind stays"
fresh 'global {\n\tthin_check_executable = ""\n}\n'
run 0 tl enable && [ "$(lvm_value global/thin_check_executable)" = 'thin_check_executable=""' ] &&
	[ "$(lvm_value global/thin_dump_executable)" != 'thin_dump_executable="/usr/sbin/thin_dump"' ]
result $? "a check that is switched off stays off"
fresh 'global {\n'
run 1 tl enable && has err "not valid" && is_restored
result $? "a broken configuration: nothing is changed"
fresh 'local {\n}\n'
run 1 tl --tools /nowhere enable && has err "/nowhere" && is_restored
result $? "no tools: nothing is changed"
fake lvmconfig 'echo "thin_check_executable=\"/usr/sbin/thin_check\""'
run 1 env PATH="$PWD/fake:$PATH" thin2-lvm --root sys enable && has err "does not take" && is_restored
result $? "LVM reads something else: nothing is changed"
# somebody else's file in the way
mkdir sys/etc/modprobe.d/thin2-lvm.conf before/etc/modprobe.d/thin2-lvm.conf
touch {sys,before}/etc/modprobe.d/thin2-lvm.conf/x
run 1 tl enable && has err "nothing was changed" && is_restored
result $? "the alias cannot be written: nothing is changed"
fresh 'local {\n}\n'
tl enable >/dev/null 2>&1
rm sys/etc/modprobe.d/thin2-lvm.conf
t "status: half" 3 tl status
run 0 tl disable && is_restored
result $? "disable when half is gone"
sed -i '/thin2-lvm end/d' $local_conf
t "a second disable" 0 tl disable
tl enable >/dev/null 2>&1
sed -i '/thin2-lvm end/d' $local_conf
run 1 tl disable && has err "by hand"
result $? "a block without an end is left alone"
fresh
tl enable >/dev/null 2>&1
if type python3 >/dev/null 2>&1; then
	run 0 tl status --json && python3 -m json.tool out >x.json 2>>err &&
		has x.json '"state": "enabled"' && has x.json thin2_lvm_dump
	result $? "status --json"
else
	skip "status --json" "no python3"
fi
t "--help" 0 thin2-lvm --help
t "no verb" 1 thin2-lvm
t "unknown verb" 1 thin2-lvm enabel

plan
