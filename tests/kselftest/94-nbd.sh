#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# kernels: 6.12
# shellcheck disable=SC2016
#
# A pool on devices that come over a network, by NBD: while the server does not answer,
# I/O waits and goes on; when the connection is cut, the pool says so, and what was
# acknowledged is there when the server is back.
. "$(dirname "$0")/lib.sh"

{ command -v nbd-server >/dev/null && modprobe nbd nbds_max=2; } ||
	{ skip "a pool over NBD" "no nbd"; echo "1..$tests" >&3; exit 0; }
meta_mib=16
data_mib=256

server_up()
{
	rm -f "$tmp/pid"
	nbd-server -C "$tmp/nbd.conf" -p "$tmp/pid" && wait_for 10 test -s "$tmp/pid" &&
		server=$(cat "$tmp/pid")
}

# answers: a device that its server has not yet is no error
clients_up()
{
	wait_for 10 nbd-client -N meta 127.0.0.1 /dev/nbd0 -b 4096 &&
		wait_for 10 nbd-client -N data 127.0.0.1 /dev/nbd1 -b 4096 &&
		dm_make t2-meta "0 $((meta_mib * 2048)) linear /dev/nbd0 0" &&
		dm_make t2-data "0 $((data_mib * 2048)) linear /dev/nbd1 0"
}

clients_down()
{
	remove_dm t2-data && remove_dm t2-meta && nbd-client -d /dev/nbd0 && nbd-client -d /dev/nbd1
}

# writer: a chunk after the other, each with a flush; the last that was acknowledged
writer()
{
	local n
	for ((n = 1; n < 500; n++)); do
		on 1 write $((n * 64))k 64k $((n % 200 + 1)) sync || return
		echo $n >"$tmp/acknowledged"
	done
}

acknowledged()
{
	cat "$tmp/acknowledged"
}

# more_than NUMBER
more_than()
{
	[ "$(acknowledged)" -gt "$1" ]
}

must ip link set lo up
truncate -s ${meta_mib}M "$tmp/meta"
truncate -s ${data_mib}M "$tmp/data"
cat >"$tmp/nbd.conf" <<END
[generic]
	listenaddr = 127.0.0.1
[meta]
	exportname = $tmp/meta
	flush = true
	fua = true
[data]
	exportname = $tmp/data
	flush = true
	fua = true
	trim = true
END
must server_up
at_exit 'kill -CONT $server; kill $server'
must clients_up
must pool_open
must thin_make 1 64
echo 0 >"$tmp/acknowledged"

writer &
job=$!
must wait_for 20 more_than 5
# The children serve; the one that listens is stopped with them.
mapfile -t all < <(pgrep -P "$server"; echo "$server")
kill -STOP "${all[@]}"
sleep 0.5
stood=$(acknowledged)
sleep 2.5
check_is "nothing is acknowledged while the server does not answer" "$(acknowledged)" "$stood"
kill -CONT "${all[@]}"
check "then I/O goes on" wait_for 20 more_than "$((stood + 5))"
check_is "the pool has not noticed" "$(pool_mode)" rw

kill -KILL "${all[@]}"
wait $job
check "a write fails when the connection is cut" test $? != 0
check "the pool is read-only" wait_for 20 mode_is ro
check_fails "it takes no message" "not supported" msg create_thin 2
last=$(acknowledged)
say "$last chunks were acknowledged"

must thins_close
must pool_close
must clients_down
must server_up
must clients_up
check "thin2_check finds the metadata in order" meta_check
must pool_open
check_is "the pool is back" "$(pool_mode)" rw
must thin_open 1 64
bad=0
for ((n = 1; n <= last; n++)); do
	on 1 check $((n * 64))k 64k $((n % 200 + 1)) || bad=$((bad + 1))
done
check_is "chunks of $last that are not there" $bad 0
check "it can be written" on 1 write 40m 1m 7 sync check 40m 1m 7
end_check
must clients_down
