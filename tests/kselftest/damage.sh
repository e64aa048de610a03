# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034
#
# Shared by the tests of damage: a pool in small nodes, whose metadata are damaged
# while it is closed or in use, and what its thins held before.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

meta_mib=16
data_mib=32
thin_mib=8
beyond=7m		# thin 1 maps nothing from here on, unit 1792: a place to write
raw=$MAP/t2-raw

# ---- the pool ----

# Nodes are small, so that trees are high.  Thin 1 maps every second unit up to
# 1600; snapshot 2 shares that but for 1000 to 1100.
make_image()
{
	mkpool "$tmp/image" $((meta_mib * 256)) $((data_mib * 256)) limits 4 6 8 \
		create 1 write 1 0 1 scatter 1 0 800 2 7 checkpoint snap 2 1 \
		scatter 1 1000 100 1 8 create 3 write 3 0 500 create 4 create 5 create 6 \
		create 7 create 8 create 9 scatter 9 0 500 3 5 create 10 create 11 create 12 \
		create 13 delete 6 delete 7 checkpoint "$@"
}

# Each unit of the data device has a content of its own.
restore()
{
	dd if="$tmp/image" of=$META bs=1M oflag=direct status=none && blkop $DATA write 0 end 9
}

# dam COMMAND...: on the metadata device, in use or not
dam()
{
	damage $raw "$@"
}

open_all()
{
	local id
	pool_open || return
	for id in 1 2 3 4; do
		thin_open $id $thin_mib || return
	done
}

close_all()
{
	thins_close && pool_close
}

logged()
{
	dmesg | grep -qE "$1" && return
	dmesg | tail -n 40
	return 1
}

# logged_read ID UNIT TEXT: what a read that fails says.  Such lines are rate-limited:
# where those of earlier reads have used that up, it is said by a later one.
logged_read()
{
	local try
	for ((try = 0; try < 15; try++)); do
		! dmesg | grep -qE "$3" || return 0
		sleep 1
		on "$1" bad $(($2 * 4))k 4k || return
	done
	logged "$3"
}

# sum DEVICE LO HI: units
sum()
{
	blkop "$1" sum $(($2 * 4))k $((($3 - $2) * 4))k
}

# as_before ID LO HI [REFERENCE]: these units hold what the thin held at first
as_before()
{
	[ "$2" = "$3" ] || [ "$(sum "$MAP/t2-thin$1" "$2" "$3")" = "$(sum "$tmp/ref${4:-$1}" "$2" "$3")" ]
}

# all_but ID LO HI [REFERENCE]
all_but()
{
	as_before "$1" 0 "$2" "${4:-$1}" && as_before "$1" "$3" 1792 "${4:-$1}"
}

# lost ID LO HI: none of these units can be read
lost()
{
	[ "$2" = "$3" ] || on "$1" bad $(($2 * 4))k $((($3 - $2) * 4))k
}

# data_of ID: a unit of the data device that the thin maps
data_of()
{
	thin2_dump --dev-id "$1" $META |
		sed -nE 's/.*<(single_mapping .*data_block|range_mapping .*data_begin)="([0-9]+)".*/\2/p' |
		head -n 1
}

# What must work whatever is lost, tried with thin 4, which is empty at first, and
# with thins that are made.
goes_on()
{
	on 4 write 4m 256k 31 write 0 64k 32 check 4m 256k 31 check 0 64k 32 \
		discard 4m 128k zero 4m 128k sync &&
		msg "create_snap 7 4" && on 4 write 32k 8k 33 && thin_open 7 $thin_mib &&
		on 7 check 0 64k 32 && thin_close 7 &&
		msg "delete 7" && msg "create_thin 6" && msg "delete 6" &&
		msg checkpoint && mode_is rw
}

# not_pinned: all changes are in the trees, none in the journal alone
not_pinned()
{
	msg checkpoint && msg stats | grep -qx records_unmerged=0 &&
		msg stats | grep -qx journal_fill_percent=0
}

# checked TEXT...: thin2_check names what is wrong
checked()
{
	local out text
	if out=$(thin2_check $META 2>&1); then
		return 1
	fi
	for text; do
		[[ $out = *$text* ]] || {
			echo "not in what thin2_check said: $text"
			echo "$out"
			return 1
		}
	done
}

# only_leaks: what is left is space in use that nobody refers to, for repair
only_leaks()
{
	thin2_check --ignore-non-fatal-errors $META
}

hurry
must meta_make
must data_make
must dm_make t2-raw "0 $((meta_mib * 2048)) linear $VDA 0"
must make_image close
must restore
must open_all
for i in 1 2 3; do
	must dd if=$MAP/t2-thin$i of="$tmp/ref$i" bs=1M iflag=direct status=none
done
check "the pool is whole" goes_on
must close_all
