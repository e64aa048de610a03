# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
# Part of guest.sh: a thin that is mapped in random order.

dense_job()
{
	job fresh-dense "$1" "$map/$1-2" --rw=randwrite --bs=4k "${two_jobs[@]}" --end_fsync=1
	[ "$1" = linear ] || run_job "merge-$1" "dmop status $1-pool"
}

# The same, with what a flush need not wait for: all of it in the trees.
dense_merged()
{
	local us=0
	[ "$1" = linear ] || read -r us <"$tmp/merge-$1.prerun.txt"
	sample fresh-dense-merged "$1" \
		$((262144 * 1000000 / (${runtime[fresh-dense,$1]} * 1000 + ${us%.*})))
}

snap_messages()
{
	"${settle[@]}" >/dev/null
	message "$1" "create_snap "{201..220}" 2"
	sample create-snap "$1" "$(median <"$tmp/message")"
	message "$1" "delete "{201..220}
	sample delete "$1" "$(median <"$tmp/message")"
}

# In KiB, of thin 2 in metadata that are in use.
range_length()
{
	local root n
	"${settle[@]}" >/dev/null
	if [ "$1" = thin2 ]; then
		message "$1" "create_snap 200 2"
		root=$(dmsetup message "$1-pool" 0 "get_root 200" | cut -d' ' -f1)
		thin2_dump --root "$root" "${meta[$1]}" >"$tmp/dump"
		message "$1" "put_root 200" "delete 200"
	else
		message "$1" reserve_metadata_snap
		thin_dump -m --dev-id 2 "${meta[$1]}" >"$tmp/dump"
		message "$1" release_metadata_snap
	fi
	n=$(grep -cE '<(range|single)_mapping ' "$tmp/dump") || die "the dump of $1 has no mappings"
	sample fill-ranges "$1" "$(divide $((thin_mib * 1024)) "$n")"
	rm "$tmp/dump"
}

work_scattered()
{
	each pool_make
	each thin_make 2
	each dense_job
	if_wanted scattered-read each random_jobs scattered-read 2 randread
	if_wanted scattered-write each random_jobs scattered-write 2 randwrite
	measured run_jobs
	each dense_merged
	if_wanted fill-ranges each_pool range_length
	! wanted create-snap delete || measured each_pool snap_messages
	if_wanted discard-scattered measured each_pool discard discard-scattered 2
	each thin_remove 2
	each pool_remove
}
