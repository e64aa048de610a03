# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2016,SC2017,SC2034,SC2086
#
# Two worlds, one with dm-thin (version 1) and one with dm-thin2, in which the same
# commands are run with the names exchanged, so that what they say can be compared.
# To be sourced instead of lib.sh.
. "$(dirname "$0")/lib.sh"

hurry
modprobe dm-thin-pool || { skip "version 1" "no dm-thin-pool"; echo "1..$tests" >&3; exit 0; }
setting /sys/module/dm_thin_pool/parameters/no_space_timeout 60

# enter v1|v2: the names and places of that world
enter()
{
	case $1 in
	v1) pool_type=thin-pool thin_type=thin at_meta=0 at_data=0 ;;
	v2) pool_type=thin-pool2 thin_type=thin2 at_meta=$((256 * 2048)) at_data=$((2048 * 2048)) ;;
	esac
	w=t2-$1
	meta=$MAP/$w-meta
	data=$MAP/$w-data
	pool=$MAP/$w-pool
}

# the same words in both
same_words()
{
	sed -e "s/$w-/W-/g; s/thin-pool2/thin-pool/g; s/thin2/thin/g; s/^Command failed\.\?$//" \
		-e "s/ *$//; /^$/d" -e 's/, not rereading partition table//'
}

# run COMMAND...: written down with how it ended
run()
{
	local out rc=0
	out=$("$@" 2>&1 </dev/null) || rc=$?
	echo "$* -> $rc ${out}" | same_words
}

# quietly COMMAND...: only whether
quietly()
{
	local rc=0
	"$@" >/dev/null 2>&1 </dev/null || rc=1
	echo "$* -> $rc" | same_words
}

# load WHAT TABLE...: a table on a device of its own that is not resumed
load()
{
	echo "load $*: $(dmsetup create $w-try --notable 2>&1
		dmsetup reload $w-try --table "$*" 2>&1 | sed 's/^.*failed: //' | head -n 1
		dmsetup remove $w-try 2>&1)" | same_words
}

# pool_line [LOW-WATER [FEATURE]...]
pool_line()
{
	local low=${1:-0}
	shift $(($# ? 1 : 0))
	echo "0 $(sectors $data) $pool_type $meta $data 128 $low $# $*"
}

pool_to()
{
	dmsetup reload $w-pool --table "$(pool_line "$@")" 2>&1 && dmsetup resume $w-pool 2>&1
}

# world_up META-MIB DATA-MIB [LOW-WATER [FEATURE]...]
world_up()
{
	dmsetup create $w-meta --table "0 $(($1 * 2048)) linear $VDA $at_meta" &&
		dmsetup create $w-data --table "0 $(($2 * 2048)) linear $VDB $at_data" &&
		dd if=/dev/zero of=$meta bs=4k count=1 oflag=direct status=none || return
	shift 2
	dmsetup create $w-pool --table "$(pool_line "$@")"
}

world_down()
{
	local d n
	for d in "$MAP/$w"-thin* "$MAP/$w"-{pool,ext,data,meta}; do
		[ -e "$d" ] || continue
		for n in 1 2 3 4 5; do
			dmsetup remove "${d##*/}" && break
			sleep 0.$n
		done
	done
}

tell()
{
	dmsetup message $w-pool 0 "$@"
}

# thin ID SECTORS [ORIGIN]
thin()
{
	tell "create_thin $1" && thin_on "$@"
}

thin_on()
{
	dmsetup create $w-thin$1 --table "0 $2 $thin_type $pool $1 ${3:-}"
}

# snapshot ID ORIGIN
snapshot()
{
	dmsetup suspend $w-thin$2 && tell "create_snap $1 $2" && dmsetup resume $w-thin$2
}

io()
{
	local id=$1
	shift
	blkop $MAP/$w-thin$id "$@"
}

# Figures of metadata and held blocks are each one's own; whether discards go down hangs on
# the disk.
pool_says()
{
	echo "status: $(dmsetup status "$@" $w-pool | cut -d' ' -f4,6-11 |
		sed 's/no_discard_passdown/PASSDOWN/; s/discard_passdown/PASSDOWN/
			s/ [0-9][0-9]* \(r[wo]\|out_of_data_space\) / HELD \1 /')"
}

thin_says()
{
	echo "thin $1: $(dmsetup status $w-thin$1 | cut -d' ' -f1-2,4-)"
}

events_of()
{
	dmsetup info -c --noheadings -o events $w-pool
}

# has_events MORE-THAN
has_events()
{
	[ "$(events_of)" -gt "$1" ]
}

sum_of()
{
	echo "sum of $1: $(io $1 sum 0 end)"
}
