#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# make install and make uninstall of the tools; completion of all options.
set -u
top=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
. "$(dirname "$0")/lib.sh"

unset MAKEFLAGS MFLAGS MAKELEVEL

# mk TARGET PREFIX: with the tools as they were built
mk()
{
	make -C "$top/tools" "$1" BUILD="$tmp/none" OUT="$TOOLS" LIB="$tmp/lib" DESTDIR="$tmp/root" PREFIX="$2"
}

# Nothing is to be built: as if all was just made.
touch -d @0 lib
find "$TOOLS" -type f -exec touch -d "@$(date +%s)" {} +

for prefix in /usr/local /usr; do
	rm -rf root
	run 0 mk install $prefix && [ -x root$prefix/sbin/thin2_check ] && [ -x root$prefix/sbin/thin2-lvm ] &&
		root$prefix/sbin/thin2_lvm_check -V >>out
	result $? "$prefix: install"
	bad=
	for p in root"$prefix"/sbin/*; do
		[ -e "root$prefix/share/man/man8/${p##*/}.8" ] || bad+=" ${p##*/}"
	done
	echo "without:$bad" >out
	[ -z "$bad" ]
	result $? "$prefix: each program has a manual page"
	hooks=root/etc/initramfs-tools/hooks
	rules=root/etc/udev/rules.d
	[ $prefix != /usr ] || { hooks=root/usr/share/initramfs-tools/hooks; rules=root/usr/lib/udev/rules.d; }
	[ -x $hooks/thin2 ] && [ -x $hooks/thin2-lvm ] && ! grep -r '@' $hooks >out &&
		grep -q "^sbin=$prefix/sbin\$" $hooks/thin2 && [ -e $rules/56-thin2.rules ]
	result $? "$prefix: hooks and rule"
	run 0 mk uninstall $prefix && find root ! -type d >out && [ ! -s out ]
	result $? "$prefix: uninstall leaves nothing"
done

# ---- completion ----

. "$top/packaging/completion/thin2"

# complete_line WORD...: what the last is completed to, in x
complete_line()
{
	COMP_WORDS=("$@")
	COMP_CWORD=$(($# - 1))
	_thin2 "$1"
	printf '%s\n' "${COMPREPLY[@]}" >x
}

for p in "$top"/tools/thin2_*.c thin2-lvm thin2_prometheus; do
	p=$(basename "$p" .c)
	[ "$p" != thin2_lvm_tool ] || continue
	"$p" --help >help 2>err
	complete_line "$p" -
	# every option that the source has, but those that only v1's scripts give
	sed -n 's/^ *\(-[a-zA-Z], \)\{0,1\}\(--[a-z0-9-]*\).*/\2/p' help | sort -u >want
	: >out
	while read -r o; do
		grep -qxF -- "$o" x || echo "not completed: $o" >>out
	done <want
	[ -s want ] && [ ! -s out ] && complete -p "$p" >>err 2>&1
	result $? "completion: all options of $p"
done
complete_line thin2-lvm st
[ "$(cat x)" = status ]
result $? "completion: a verb"
complete_line thin2_dump --format j
[ "$(cat x)" = json ] && thin2_dump --help | grep -q json
result $? "completion: a value"
touch some-file
complete_line thin2_check some
[ "$(cat x)" = some-file ]
result $? "completion: a file"

plan
