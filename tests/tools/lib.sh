# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# For the tests of the tools: TAP, and shorthands.  TOOLS and BIN say where the
# tools and the test programs (mkpool, damage) are.

: "${TOOLS:?}" "${BIN:?}"
PATH=$BIN:$TOOLS:$PATH
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp" || exit 1
nr=0

# result STATUS NAME: one line of TAP; on failure what out and err hold
result()
{
	nr=$((nr + 1))
	if [ "$1" = 0 ]; then
		echo "ok $nr - $2"
		return
	fi
	echo "not ok $nr - $2"
	head -n 20 out err 2>/dev/null | sed 's/^/# /'
}

skip()
{
	nr=$((nr + 1))
	echo "ok $nr - $1 # SKIP $2"
}

# run STATUS COMMAND...: output to out and err; true if it ends with STATUS
run()
{
	local want=$1 rc=0
	shift
	"$@" >out 2>err || rc=$?
	[ $rc = "$want" ] && return 0
	echo "exit status $rc, not $want: $*" >>err
	return 1
}

# t NAME STATUS COMMAND...
t()
{
	local name=$1 rc=0
	shift
	run "$@" || rc=1
	result $rc "$name"
}

# has FILE TEXT...: FILE has a line with all these texts
has()
{
	local file=$1 lines
	shift
	lines=$(cat "$file")
	for text; do
		lines=$(grep -F -- "$text" <<<"$lines") || {
			echo "not in $file: $*" >>err
			return 1
		}
	done
}

plan()
{
	echo "1..$nr"
}
