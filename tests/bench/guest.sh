#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# In a guest, started by run.sh of this folder: measures $TARGETS in $ROUNDS
# rounds, all works or those of $WORKS. A sample is a line
# "ROUND WORK TARGET VALUE" of /out/samples; report.pl knows what the values are.
#
# Works that need the same preparations are done together, by one function of
# work-*.sh, which starts with new pools. Each work is done by all targets, one
# after the other, in an order that changes from round to round; after work that
# changes mappings all pools commit, so that nothing is left to be done while
# another target is measured.
set -eu

rounds=${ROUNDS:?}
works=${WORKS:-}
read -r -a targets <<<"${TARGETS:?}"
map=/dev/mapper
mib=2048			# in sectors
thin_mib=1024
data_mib=2048
meta_mib=${META_MIB:-128}
block=128			# sectors
tmp=$(mktemp -d /dev/shm/bench.XXXXXX)
here=$VM_TOP/tests/bench
PATH=$VM_TOP/build/bench:$VM_TOP/build/tools:$PATH
[ -z "${PROFILE:-}" ] || works=$PROFILE

die()
{
	echo "bench: $*" >&2
	exit 1
}

trap 'echo "bench: failed at line $LINENO of ${BASH_SOURCE[0]}: $BASH_COMMAND" >&2' ERR

has()
{
	[[ " ${targets[*]} " == *" $1 "* ]]
}

# wanted WORK...: any of them
wanted()
{
	local w
	[ -n "$works" ] || return 0
	for w; do
		[[ " $works " != *" $w "* ]] || return 0
	done
	return 1
}

# if_wanted WORK COMMAND...
if_wanted()
{
	! wanted "$1" || "${@:2}"
}

# sample WORK TARGET VALUE: what was done only for the sake of others leaves none
sample()
{
	[[ $3 =~ ^[0-9]+(\.[0-9]+)?$ ]] || die "$1 on $2: '$3' is no number"
	! wanted "$1" || echo "$round $1 $2 $3" >>/out/samples
}

# each FUNCTION ARGUMENT...: with every target
each()
{
	local t
	for t in "${order[@]}"; do
		"$1" "$t" "${@:2}"
	done
}

# each_pool FUNCTION ARGUMENT...: with every target that has a pool
each_pool()
{
	local t
	for t in "${order[@]}"; do
		[ "$t" = linear ] || "$1" "$t" "${@:2}"
	done
}

# All that is not measured need not wait for RCU.
hurry()
{
	echo "$1" >/sys/kernel/rcu_expedited
}

measured()
{
	hurry 0
	"$@"
	hurry 1
}

# divide A B
divide()
{
	awk -v a="$1" -v b="$2" 'BEGIN { printf "%.4f", a / b }'
}

median()
{
	sort -n | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }'
}

. "$here/guest-devices.sh"
. "$here/guest-fio.sh"
. "$here/guest-profile.sh"
. "$here/work-mapped.sh"
. "$here/work-scattered.sh"
. "$here/work-latency.sh"
. "$here/work-scale.sh"
. "$here/work-big.sh"
. "$here/work-cache.sh"

# together FUNCTION WORK...: measures these works, if any is wanted
together()
{
	local start=$SECONDS
	wanted "${@:2}" || return 0
	"$1"
	echo "round $round: $1 took $((SECONDS - start)) s"
}

do_round()
{
	local n=$((round % ${#targets[@]}))
	order=("${targets[@]:n}" "${targets[@]:0:n}")

	together work_mapped fresh-seq mapped-seq mapped-seq-1m mapped-read mapped-write \
		fresh-sparse snap-before snap-overwrite snap-space snap-deleted \
		discard-overwritten
	together work_discard discard
	together work_scattered fresh-dense fresh-dense-merged fill-ranges scattered-read \
		scattered-write create-snap delete discard-scattered
	together work_fsync fsync8
	together work_beside beside-read beside-alone
	together work_delay delay-fsync8 delay-fsync1 delay-flush1
	together work_scale scale-read scale-provision
	together work_runs runs-seq8
	together work_write_runs write-runs-seq8 write-streams-seq8 write-runs-random \
		write-pieces-random
	! has thin2 || together work_big activation merge-time merge-read merge-stall idle-stall busy-stall \
		big-create-snap big-delete discard-1m discard-1m-stall discard-1t discard-1t-stall
	! has thin2 || [ $round != 1 ] || together work_cache cache-cold cache-hot cache-full \
		cache-price cache-misses-cold cache-misses-hot cache-memory cache-nodes
}

cd "$tmp"
hurry 1
rm -f /out/samples
setup_disks
round=0
order=("${targets[@]}")
if [ -n "${PROFILE:-}" ]; then
	profile
	exit
fi
for ((round = 1; round <= rounds; round++)); do
	start=$SECONDS
	do_round
	echo "round $round of $rounds: $((SECONDS - start)) s"
done
cd /
rm -rf "$tmp"
