#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A read and an exclusive overwrite of what is mapped take no lock: the kernel's
# function graph of thin2_map() and thin2_endio() shows the module's functions and
# all that take a lock. So does a fresh write, which has to take some.
. "$(dirname "$0")/lib.sh"

tracing=/sys/kernel/tracing
ios=64
mib=16
# Spinlocks, mutexes, semaphores of both kinds; whatever is there of them.
locks='_raw_spin_lock* _raw_spin_trylock* _raw_read_lock* _raw_write_lock* *queued_*_lock_slowpath
	mutex_lock* mutex_trylock __mutex_lock* rt_mutex_*lock* ww_mutex_lock* down down_* rwsem_*'
is_lock='^(_raw_(spin|read|write)_|.*queued_.*slowpath|(__|rt_|ww_)?mutex_|down|rwsem_)'

set_to()
{
	echo "$2" >"$tracing/$1"
}

tracing_end()
{
	set_to tracing_on 0
	set_to current_tracer nop
	set_to set_graph_function ""
	set_to set_ftrace_filter ""
}

tracing_begin()
{
	local f
	set_to tracing_on 0 && set_to current_tracer nop && at_exit tracing_end || return
	set_to set_ftrace_filter ':mod:dm_thin_pool2' || return
	set -f
	for f in $locks; do
		echo "$f" >>$tracing/set_ftrace_filter || echo "no $f in this kernel"
	done
	set +f
	# what an interrupt does in the middle is not ours
	set_to set_graph_function "thin2_map" && echo thin2_endio >>$tracing/set_graph_function &&
		set_to options/funcgraph-irqs 0 && set_to buffer_size_kb 4096 &&
		set_to current_tracer function_graph
}

# traced COMMAND...: the names of what ran below map and end_io, to $tmp/trace
traced()
{
	local rc=0
	set_to trace "" && set_to tracing_on 1 || return
	"$@" || rc=$?
	set_to tracing_on 0
	sed -n 's/^.*|  *\([A-Za-z_][A-Za-z0-9_.]*\)\( \[[a-z0-9_]*\]\)\?() *[{;].*$/\1/p' \
		$tracing/trace >"$tmp/trace"
	return $rc
}

# calls NAME
calls()
{
	grep -cx "$1" "$tmp/trace"
}

locks_taken()
{
	grep -cE "$is_lock" "$tmp/trace"
}

# no_locks read|write: of 64 I/Os, each seen on both ways. An interrupt may bring
# softirq work into the picture: then again.
no_locks()
{
	local n
	for ((n = 1; n <= 15; n++)); do
		traced "io_$1" || return
		if [ "$(calls thin2_map)" -lt $ios ] || [ "$(calls thin2_endio)" -lt $ios ]; then
			echo "only $(calls thin2_map) maps and $(calls thin2_endio) ends were seen"
			return 1
		fi
		[ "$(locks_taken)" -gt 0 ] || return 0
		echo "try $n: $(grep -E "$is_lock" "$tmp/trace" | sort | uniq -c)"
	done
	return 1
}

io_read()
{
	dd if=$MAP/t2-thin1 of=/dev/null bs=4k count=$ios skip=300 iflag=direct status=none
}

io_write()
{
	dd if=/dev/zero of=$MAP/t2-thin1 bs=4k count=$ios seek=300 oflag=direct \
		conv=notrunc status=none
}

io_fresh()
{
	dd if=/dev/zero of=$MAP/t2-thin1 bs=4k count=$ios seek=$((mib * 256 + 2)) oflag=direct \
		conv=notrunc status=none
}

if ! grep -qw function_graph $tracing/available_tracers 2>/dev/null; then
	skip "mapped I/O takes no lock" "this kernel has no function_graph tracer"
	exit 0
fi

# On a ramdisk a write ends where it is submitted, not in an interrupt.
must modprobe brd rd_nr=1 rd_size=$((64 * 1024)) max_part=0
at_exit modprobe -r brd
must meta_make
must dm_make t2-data "0 $((64 * 2048)) linear /dev/ram0 0"
must pool_open
must thin_make 1 $((mib * 2))
must dd if=/dev/urandom of=$MAP/t2-thin1 bs=1M count=$mib oflag=direct conv=notrunc status=none
must msg checkpoint
must tracing_begin

check "mapped reads take no lock" no_locks read
echo "# below map and end_io: $(sort "$tmp/trace" | uniq -c | awk '{ printf "%s %s, ", $1, $2 }')" >&3
check "exclusive overwrites take no lock" no_locks write

must traced io_fresh
check_range "fresh writes are seen" "$(calls thin2_map)" $ios $((2 * ios))
check_range "and take a lock each" "$(locks_taken)" $ios $((100 * ios))

must snap 2 1
must traced io_write
check_range "so do the first overwrites after a snapshot" "$(locks_taken)" $ios $((100 * ios))
must msg "delete 2"
must msg checkpoint
must io_write
must msg checkpoint
check "later ones take none" no_locks write

tracing_end
end_check
