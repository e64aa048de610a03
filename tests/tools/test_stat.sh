#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# thin2_stat and thin2_prometheus on what a kernel said, kept below: rates, totals,
# latencies, several pools, what cannot be read.
set -u
. "$(dirname "$0")/lib.sh"

# pool_text NAME STATUS PROVISIONED UNSHARED COPIED RECORDS
pool_text()
{
	cat <<-END
	pool $1 $2
	generation=7
	metadata_blocks_used=250
	metadata_blocks=1000
	data_units_used=4096
	data_units=16384
	data_units_quarantined=3
	records_unmerged=12
	records_merged=$(($6 - 12))
	records=$6
	journal_fill_percent=9
	checkpoints=2
	writes_provisioned=$3
	writes_unshared=$4
	units_copied=$5
	commit_bios=0
	something_new=5
	END
}

{
	echo "sample 100.000000"
	pool_text a "5 250/1000 256/1024 - rw discard_passdown queue_if_no_space - 64" 1000 10 8 2000
	echo "thin a-1 0+2048 10 0 80 5000000 20 0 160 40000000 0 1 1 1 1 5:5:0:0:20:0:0:0:0:0:0:0"
	pool_text b "0 250/1000 1/1024 - out_of_data_space no_discard_passdown error_if_no_space needs_check 64" \
		7 0 0 70
	echo
	echo "sample 104.000000"
	pool_text a "6 250/1000 256/1024 - rw discard_passdown queue_if_no_space - 64" 3000 10 16 2400
	echo "thin a-1 0+2048 30 0 4176 15000000 20 0 160 40000000 0 1 1 1 1 25:5:0:0:20:0:0:0:0:0:0:0"
	pool_text b "0 250/1000 1/1024 - out_of_data_space no_discard_passdown error_if_no_space needs_check 64" \
		3 0 0 70
	echo
	echo "sample 106.000000"
	echo "pool a Fail"
	echo "records=2400"
} >raw

# line WORD: the line of out that begins with it, single blanks
line()
{
	sed -n "s/^ *\($1 .*\)/\1/p" out | tr -s ' ' | head -n 1
}

is()
{
	[ "$1" = "$2" ] || { echo "'$1', not '$2'" >>err; return 1; }
}

run 0 thin2_stat --replay raw && is "$(line a)" \
	"a rw 25.00 25.00 9 12 1000.0 10.0 32.0 0.0 0.0 0.0 0.0 2000.0 0.0 0"
result $? "totals"
is "$(line b)" "b out_! 25.00 25.00 9 12 7.0 0.0 0.0 0.0 0.0 0.0 0.0 70.0 0.0 0"
result $? "the other pool, its mode and its flag"

run 0 thin2_stat -i 1 -c 1 --replay raw && is "$(line a)" \
	"a rw 25.00 25.00 9 12 500.0 0.0 8.0 0.0 0.0 0.0 0.0 100.0 0.0 0"
result $? "rates a second, of four"
# 20 reads of 100 KiB, 0.5 ms each; nothing written
is "$(line a-1)" \
	"a-1 5.0 0.0 0.50 0.00 0.500 0.000 100.00 0.00 0.00 0.00 0.00 0.00 0.00 0.00 0.00 0.00 0.00 0.00"
result $? "latencies of what came between"
is "$(line b | cut -d' ' -f7)" 0.8
result $? "a pool that was activated anew counts from there"
run 0 thin2_stat -i 1 --replay raw && is "$(grep -c '^pool' out)" 2 && has out Fail
result $? "a report for each two samples; a pool that has failed"

if type python3 >/dev/null 2>&1; then
	run 0 thin2_stat -i 1 -c 1 --json --replay raw && python3 - >x 2>>err <<-'END' && is "$(cat x)" ok
	import json
	o = json.load(open("out"))
	a, b = o["pools"]
	t = a["thins"][0]
	assert o["seconds"] == 4
	assert a["name"] == "a" and a["mode"] == "rw" and not a["needs_check"]
	assert a["writes_provisioned"] == 500 and a["data_units"] == 16384
	assert b["needs_check"] and b["mode"] == "out_of_data_space"
	assert t["reads"] == 5 and t["read_mib"] == 0.5 and t["read_await_ms"] == 0.5
	assert [x["requests"] for x in t["latency"]] == [20] + [0] * 11
	assert t["latency"][0]["below_us"] == 100 and t["latency"][11]["below_us"] is None
	print("ok")
	END
	result $? "--json"
else
	skip "--json" "no python3"
fi

# ---- Prometheus ----

# Each metric has one HELP and one TYPE before its first line, and a name that says
# its unit or that it counts.
well_formed()
{
	awk '
	function bad(why) { print why ": " $0; wrong = 1 }
	/^# HELP / { if ($3 in help) bad("HELP twice"); if (NF < 4) bad("no text"); help[$3] = 1; next }
	/^# TYPE / {
		if ($3 in type || !($3 in help)) bad("TYPE")
		if ($4 != "gauge" && $4 != "counter") bad("which type?")
		if (($4 == "counter") != ($3 ~ /_total$/)) bad("a counter, and only that, is a total")
		type[$3] = $4; next
	}
	!/^thin2_[a-z_]+\{pool="[^"]*"(,mode="[A-Za-z_]+")?\} [0-9]+$/ { bad("form") }
	{ name = $1; sub(/\{.*/, "", name); if (!(name in type)) bad("no TYPE"); if (seen[$1]++) bad("twice"); n++ }
	END { exit wrong || n < 20 }' out >>err
}

run 0 thin2_stat --prometheus --replay raw && well_formed
result $? "--prometheus: form"
has out 'thin2_data_size_bytes{pool="a"} 67108864' && has out 'thin2_data_used_bytes{pool="b"} 16777216' &&
	has out 'thin2_metadata_used_bytes{pool="a"} 1024000' && has out 'thin2_copied_bytes_total{pool="a"} 32768' &&
	has out 'thin2_needs_check{pool="a"} 0' && has out 'thin2_needs_check{pool="b"} 1' &&
	has out 'thin2_mode{pool="b",mode="out_of_data_space"} 1' && has out 'thin2_mode{pool="b",mode="rw"} 0' &&
	has out 'thin2_transaction_id{pool="a"} 5'
result $? "--prometheus: figures"

mkdir prom fake
cp "$(type -p thin2_prometheus)" fake/
printf '#!/bin/sh\necho "thin2_x 1"\n' >fake/thin2_stat
chmod +x fake/thin2_stat
run 0 fake/thin2_prometheus -o prom/x.prom && is "$(cat prom/x.prom)" "thin2_x 1" && is "$(ls prom)" x.prom &&
	is "$(stat -c %a prom/x.prom)" 644
result $? "thin2_prometheus"
printf '#!/bin/sh\necho "thin2_x 2"\nexit 1\n' >fake/thin2_stat
run 1 fake/thin2_prometheus -o prom/x.prom && has err "x.prom was removed" && is "$(ls prom)" ""
result $? "thin2_prometheus: no figures are told from old ones"
run 1 fake/thin2_prometheus -o nowhere/x.prom && has err "no folder nowhere"
result $? "thin2_prometheus: no such folder"

# ---- what is refused ----

sed 's/^pool b .*/pool b 0 1/' raw >bad
run 1 thin2_stat --replay bad && has err "not what --raw writes" "pool b"
result $? "a status that is too short"
sed 's/:0:0$/:0/' raw >bad
run 1 thin2_stat --replay bad && has err "not what --raw writes" "thin a-1"
result $? "a histogram that is too short"
sed 's/^records=.*/records=x/' raw >bad
run 1 thin2_stat --replay bad && has err "records=x"
result $? "a figure that is none"
: >empty
run 1 thin2_stat --replay empty && has err "nothing in it"
result $? "an empty file"
run 1 thin2_stat --replay nowhere && has err "nowhere"
result $? "no file"
run 1 thin2_stat --latency && has err "goes with --interval"
result $? "--latency alone"
run 1 thin2_stat --prometheus -i 1 && has err "exclude each other"
result $? "--prometheus and --interval"
run 1 thin2_stat -i x && has err "not a number"
result $? "an interval that is none"
t "--help" 0 thin2_stat --help
run 0 thin2_stat -V && grep -qx '[0-9.]*' out
result $? "-V"
plan
