# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034,SC2086,SC2153,SC2154
# Power fails in the middle of what LVM does, sourced after lvm-lib.sh.
#
# While LVM works, dm-log-writes lies below the volume group's only disk and logs what
# it writes and flushes, LVM's own metadata too. Afterwards the disk is made again as it
# was at a flush or FUA of the log, with nothing or with any part of what was not
# flushed; what was before the log is below, in t2-base. On that, LVM has to activate.
# LVM never flushes its own metadata, in the first MiB: that is always there.
#
# The pool has: thin, 8 MiB of pattern 1, of which 4 MiB are overwritten by 2; snap, a
# snapshot from before that; other, to which chunks are written, with a flush each,
# while LVM works: the log has a mark, the chunk's number, when it is acknowledged.

disk_mib=96
log_mib=96
disk_sectors=$((disk_mib * 2048))
VERSION=${VERSION:-2}		# of the thin target: 1 to compare with

# cut_begin: to be called before modules_make hides the kernel's modules
cut_begin()
{
	local n name
	modprobe dm-log-writes && modprobe -q dm-snapshot || return
	modules_make && lvm_conf && { [ "$VERSION" = 1 ] || lvm_on; } || return
	n=0
	for name in disk base cow log; do
		dm_make "t2-$name" "0 $((log_mib * 2048)) linear $VDB $((n * log_mib * 2048))" || return
		n=$((n + 1))
	done
	at_exit cut_close
}

# cut_check DEVICE: is the metadata in order?
cut_check()
{
	if [ "$VERSION" = 1 ]; then
		thin_check -q "$1"
	else
		thin2_check -q "$1"
	fi
}

# cut_pool: the volume group and what the head of this file says of it
cut_pool()
{
	dd if=/dev/zero of=$MAP/t2-disk bs=1M count=8 oflag=direct status=none &&
		dm_make t2-pv1 "0 $disk_sectors linear $MAP/t2-disk 0" &&
		pvcreate -y -ff $MAP/t2-pv1 && vgcreate -s 1m $VG $MAP/t2-pv1 &&
		lvcreate -y --type thin-pool -L 40m -c 64k --poolmetadatasize 2m -n pool $VG &&
		lvcreate -y --type thin -V 32m --thinpool pool -n thin $VG &&
		lv thin write 0 8m 1 sync &&
		lvcreate -y -s -kn -n snap $VG/thin && lv thin write 0 4m 2 sync &&
		lvcreate -y --type thin -V 32m --thinpool pool -n other $VG
}

# cut_close: all that LVM has active, and its disk
cut_close()
{
	local d n
	[ -e $MAP/t2-pv1 ] || return 0
	vgchange -an $VG
	for n in 1 2; do
		for d in $(dmsetup ls | awk -v vg=$VG- 'index($1, vg) == 1 { print $1 }'); do
			dmsetup remove --force --retry "$d"
		done
	done
	remove_dm t2-pv1
}

# cut_writes: a chunk of 64 KiB after the other until it is stopped
cut_writes()
{
	local n
	for ((n = 1; n < 400; n++)); do
		[ ! -e "$tmp/stop" ] || return 0
		lv other write $((n * 64))k 64k $((100 + n)) sync && dmsetup message t2-pv1 0 mark $n || return
	done
}

# cut_record COMMAND...: with a log, and with other written meanwhile if it is active.
# Then all is closed.
cut_record()
{
	local writer='' rc=0
	rm -f "$tmp/stop"
	dmsetup suspend --noflush --nolockfs t2-pv1 &&
		dd if=$MAP/t2-disk of=$MAP/t2-base bs=1M iflag=direct oflag=direct status=none &&
		echo "0 $disk_sectors log-writes $MAP/t2-disk $MAP/t2-log" | dmsetup reload t2-pv1 &&
		dmsetup resume t2-pv1 || return
	if [ -e $MAP/$VG-other ] && [ "$cut_writer" = 1 ]; then
		cut_writes &
		writer=$!
	fi
	"$@" || rc=$?
	touch "$tmp/stop"
	[ -z "$writer" ] || wait $writer || rc=1
	dm_reload t2-pv1 "0 $disk_sectors linear $MAP/t2-disk 0" || return
	cut_close && [ $rc = 0 ]
}

# cut_other MARK: all acknowledged chunks are there
cut_other()
{
	local n todo=()
	for ((n = 1; n <= $1; n++)); do
		todo+=(check $((n * 64))k 64k $((100 + n)))
	done
	[ ${#todo[@]} = 0 ] || lv other "${todo[@]}"
}

# cut_go_on: the pool takes a message, and new data
cut_go_on()
{
	lvcreate -y -s -kn -n goon $VG/other && lv goon write 0 64k 7 check 0 64k 7 &&
		lvremove -y $VG/goon
}

# cut_metadata: by itself
cut_metadata()
{
	local rc=0
	vgchange -an $VG && lvchange -y -ay $VG/pool_tmeta || return
	cut_check $MAP/$VG-pool_tmeta || rc=$?
	lvchange -an $VG/pool_tmeta || return
	return $rc
}

# cut_activate: a volume that LVM has and the pool has not yet does not activate: its
# message is still to be sent, and is, with that of the next volume.
#
# If the pool made a snapshot, but power failed before LVM's next message, the
# transaction id, LVM sends "create_snap" again. It takes "File exists" for success of
# create_thin only, and asks for "manual intervention", with v1 as well: delete it.
cut_activate()
{
	vgchange -ay $VG || late=$((late + 1))
	cut_go_on 2>"$tmp/said" || {
		cat "$tmp/said"
		grep -q "Manual intervention .* dev_id=4 " "$tmp/said" || return
		manual=$((manual + 1))
		vgchange -an $VG && lvchange -ay $VG/pool &&
			dmsetup message "$TPOOL" 0 "delete 4" && cut_go_on || return
	}
	vgchange -ay $VG
}

# cut_at ENTRY MARK SEED WHAT: make the disk, activate, by WHAT_activate, if there is
# that, and look, by WHAT_is
cut_at()
{
	local entry=$1 mark=$2 seed=$3 what=$4 rc=0
	dm_make t2-pv1 "0 $disk_sectors snapshot $MAP/t2-base $MAP/t2-cow N 8" &&
		logreplay cut $MAP/t2-log $MAP/t2-pv1 "$entry" "$seed" 2048 || return
	if declare -F "${what}_activate" >/dev/null; then
		"${what}_activate"
	else
		cut_activate
	fi && "${what}_is" && cut_other "$mark" && cut_metadata || rc=$?
	cut_close && return $rc
}

# cut_all WHAT COUNT: at COUNT of the places where power can fail, every other time
# with a part of what was not flushed
cut_all()
{
	local what=$1 count=$2 late=0 manual=0 all n nr=0 i last=-1 bad=0 entry mark
	mapfile -t all < <(logreplay cuts $MAP/t2-log)
	[ ${#all[@]} -gt 1 ] || return
	[ "$count" -lt ${#all[@]} ] || count=${#all[@]}
	for ((n = 0; n < count; n++)); do
		i=$((count > 1 ? n * (${#all[@]} - 1) / (count - 1) : ${#all[@]} / 2))
		[ $i != $last ] || continue
		last=$i
		read -r entry mark <<<"${all[$i]}"
		echo "== $what: entry $entry, mark $mark"
		nr=$((nr + 1))
		cut_at "$entry" "$mark" $(((n & 1) * (SEED + n))) "$what" && continue
		bad=$((bad + 1))
		echo "# $what: entry $entry, mark $mark: wrong" >&3
	done
	echo "# $what: ${#all[@]} places, power failed at $nr, $bad wrong, $late with" \
		"a message to be sent, $manual with a snapshot to be deleted," \
		"up to $mark chunks acknowledged" >&3
	[ $bad = 0 ]
}

# cut_test DESCRIPTION WHAT COUNT: with the functions WHAT (what LVM does), WHAT_is
# and, if they are there, WHAT_before and WHAT_activate
cut_test()
{
	local what=$2
	cut_writer=1
	must cut_pool
	! declare -F "${what}_before" >/dev/null || must "${what}_before"
	must cut_record "$what"
	check "$1" cut_all "$what" "$3"
	dd if=/dev/zero of=$MAP/t2-disk bs=1M count=2 oflag=direct status=none
}

# thin_is, snap_is: as before
thin_is()
{
	lv thin check 0 4m 2 check 4m 4m 1
}

snap_is()
{
	lv snap check 0 8m 1
}

# either VOLUME COMMAND...: if that is there
either()
{
	[ ! -e "$MAP/$VG-$1" ] || "${@:2}"
}
