#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# thin2_trim: what is free is discarded, and nothing else.
set -u
. "$(dirname "$0")/lib.sh"

history="create 1 random 1 200 9000 1 checkpoint snap 3 1 random 1 60 9000 2 unmap 3 0 4000
	delete 1 checkpoint create 7 write 7 4000 10"
# shellcheck disable=SC2086
mkpool dirty.md 4096 16384 limits 4 6 8 $history flush abandon
cp dirty.md closed.md
mkpool closed.md 0 16384 close 2>/dev/null

# in_use FILE: data units that a dump says are mapped, one a line
in_use()
{
	thin2_dump "$1" | awk -F'"' '
		/<single/ { print $4 }
		/<range/ { for (i = 0; i < $6; i++) print $4 + i }' | sort -nu
}

in_use dirty.md >used
for i in dirty closed; do
	run 0 thin2_trim --metadata-dev $i.md --dry-run && [ ! -s err ] &&
		sed 's/\.\./ /' out | awk '{ for (i = $1; i < $2; i++) print i }' | sort -n >free &&
		cat used free | sort -n | diff - <(seq 0 16383) >>err
	result $? "$i pool: each block is used or free"
done
cp dirty.md before.md
head -c $((16384 * 4096)) /dev/zero | tr '\0' x >data
run 0 thin2_trim --metadata-dev dirty.md --data-dev data && cmp before.md dirty.md >>err &&
	has out "$(wc -l <free) of 16384 blocks"
result $? "discard"
# A block that begins with x is whole still.
perl -e 'open(my $f, "<", "data"); while (read($f, my $b, 4096)) { print $n + 0, "\n" if $b eq "x" x 4096; $n++ }' |
	diff - used >err
result $? "what was in use is as it was, and nothing else is"
run 0 thin2_trim -q --metadata-dev dirty.md --data-dev data && [ ! -s out ]
result $? "-q, and again"
run 0 thin2_trim --metadata-dev dirty.md --dry-run --json && python3 -m json.tool out >/dev/null 2>>err &&
	has out "\"free_blocks\": $(wc -l <free)"
result $? "--json"

truncate -s $((16383 * 4096)) short
run 1 thin2_trim --metadata-dev dirty.md --data-dev short && has err "the pool's data device 16384"
result $? "data device too small"
t "no data device" 1 thin2_trim --metadata-dev dirty.md
t "no metadata device" 1 thin2_trim --data-dev data
t "missing data device" 1 thin2_trim --metadata-dev dirty.md --data-dev nowhere
t "not a pool" 1 thin2_trim --metadata-dev data --data-dev data
t "-V" 0 thin2_trim -V

# Nothing is discarded on the word of metadata that is not in order.
head -c $((16384 * 4096)) /dev/zero | tr '\0' x >data
cp data whole
cp closed.md x.md
mkpool x.md 0 16384 needs_check close
run 1 thin2_trim --metadata-dev x.md --data-dev data && has err "needs_check" && cmp data whole >>err
result $? "needs_check"
cp closed.md x.md
leaf=$(damage x.md leaf "$(damage x.md root data)")
damage x.md flip "$leaf" 2000
run 1 thin2_trim --metadata-dev x.md --data-dev data && has err "$leaf" && cmp data whole >>err
result $? "damaged space map"
cp closed.md x.md
for i in $(damage x.md super) 511; do damage x.md set "$i" 192 8 0; done
run 1 thin2_trim --metadata-dev x.md --data-dev data && has err "are in use" && cmp data whole >>err
result $? "a space map that has lost everything"

plan
