#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# thin2_stat and thin2_prometheus on live pools, and the tracepoints.
. "$(dirname "$0")/lib.sh"
hurry

# json EXPRESSION: of the report in $tmp/out, "a" being its first pool
json()
{
	python3 -c 'import json, sys
o = json.load(open(sys.argv[1]))
a = o["pools"][0]
print(eval(sys.argv[2]))' "$tmp/out" "$1"
}

# counts ID [N]: as many of thin2_stat's regions has dm-stats on that thin
counts()
{
	[ "$(dmsetup message "t2-thin$1" 0 @stats_list | grep -c thin2_stat)" = "${2:-1}" ]
}

# of_stats KEY: the kernel's figure
of_stats()
{
	msg stats | sed -n "s/^$1=//p"
}

must pool_make
must thin_make 1 256
must thin_make 2 256
must on 1 write 0 1m 1

check_is "totals: as the kernel has them" "$(thin2_stat --json t2-pool >"$tmp/out" && json 'int(a["writes_provisioned"])')" \
	"$(of_stats writes_provisioned)"
check_is "the pool is found without its name, too" \
	"$(thin2_stat --json >"$tmp/out" && json '(len(o["pools"]), a["name"], a["mode"])')" "(1, 't2-pool', 'rw')"
check_fails "a pool that is not there" "t2-none: no active thin-pool2" thin2_stat t2-none
check_fails "a thin is not a pool" "t2-thin1: no active thin-pool2" thin2_stat t2-thin1

# ---- rates and latencies ----

thin2_stat -i 4 -c 1 -l --json t2-pool >"$tmp/out" &
stat=$!
must wait_for 10 counts 1
must wait_for 10 counts 2
must on 1 write 16m 8m 2
must on 1 check 16m 4m 2
check "a report" wait $stat
check_is "MiB written to one thin" "$(json 'round(a["thins"][0]["write_mib"] * o["seconds"], 1)')" 8.0
check_is "and read" "$(json 'round(a["thins"][0]["read_mib"] * o["seconds"], 1)')" 4.0
check_is "nothing on the other" "$(json '(a["thins"][1]["name"], a["thins"][1]["writes"])')" "('t2-thin2', 0.0)"
check_is "each request has its place among the latencies" \
	"$(json 'round((a["thins"][0]["reads"] + a["thins"][0]["writes"]) * o["seconds"]) - sum(b["requests"] for b in a["thins"][0]["latency"])')" 0
check_is "writes provisioned then" \
	"$(json 'round(a["writes_provisioned"] * o["seconds"]) > 0 and a["thins"][0]["write_await_ms"] > 0')" True
check "dm-stats does not count any more" counts 1 0

thin2_stat -i 600 -l >/dev/null &
stat=$!
must wait_for 10 counts 2
kill -TERM $stat
check "a signal ends it at once" timeout 20 tail --pid=$stat -f /dev/null
wait $stat
check "and what dm-stats counted" eval 'counts 1 0 && counts 2 0'

# ---- looking changes nothing ----

before=$(of_stats checkpoints)
must on 1 write 32m 1m 3
must thin2_stat
must thin2_stat --prometheus
check_is "looking writes no checkpoint" "$(of_stats checkpoints)" "$before"

# ---- Prometheus ----

mkdir "$tmp/prom"
check "thin2_prometheus" thin2_prometheus -o "$tmp/prom/thin2.prom"
check_is "space used" "$(sed -n 's/^thin2_data_used_bytes{pool="t2-pool"} //p' "$tmp/prom/thin2.prom")" \
	$(($(of_stats data_units_used) * 4096))
check_is "the mode" "$(grep '^thin2_mode.* 1$' "$tmp/prom/thin2.prom")" 'thin2_mode{pool="t2-pool",mode="rw"} 1'
check_is "all figures of the tool are there" "$(grep -c '^thin2_.*{pool="t2-pool"} [0-9]*$' "$tmp/prom/thin2.prom")" \
	$(($(grep -c '^# TYPE' "$tmp/prom/thin2.prom") - 1))

# ---- tracepoints ----

tracing=/sys/kernel/tracing
if [ -d $tracing/events/thin2 ]; then
	setting $tracing/events/thin2/enable 1
	echo >$tracing/trace
	must on 1 write 48m 64k 4
	must on 1 sync
	must on 1 discard 48m 64k
	echo 0 >$tracing/events/thin2/enable
	cp $tracing/trace "$tmp/trace"
	check "tracepoint thin2_map" grep -E 'thin2_map: thin 1 op 1 sector 98304 \+ [0-9]+: ' "$tmp/trace"
	check "tracepoint thin2_provision" grep 'thin2_provision: thin 1 units 12288 + ' "$tmp/trace"
	check "tracepoint thin2_commit" grep -E 'thin2_commit: [0-9]+ bios: 0' "$tmp/trace"
	check "tracepoint thin2_unmapped" grep 'thin2_unmapped: thin 1 units 12288 + 16: 0' "$tmp/trace"
else
	skip "tracepoints" "this kernel has none"
fi

# ---- under version 1's name ----

end_check
modprobe -r dm-thin-pool
must insmod "$MODDIR/dm-thin2-compat.ko"
at_exit rmmod dm-thin2-compat
must dm_make t2-pool "$(pool_table | sed 's/ thin-pool2 / thin-pool /')"
check_is "a pool named as version 1's is one of version 2" \
	"$(thin2_stat --json >"$tmp/out" && json '(a["name"], a["mode"])')" "('t2-pool', 'rw')"
