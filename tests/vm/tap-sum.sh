#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Sums up TAP files:  tap-sum.sh FILE...
#
# Prints what failed, then "N passed, N failed" as the last line.  A file
# without tests, or whose plan does not match its tests, or without a plan, and
# "Bail out!", are failures too, and so is a failed TODO.  A skipped test is
# neither passed nor failed: it is counted on a line of its own.  A file may
# hold several runs one after the other, each with its plan.  Exits with 0 only
# when something passed and nothing failed.
set -eu

[ $# -gt 0 ] || { echo "0 passed, 0 failed"; exit 1; }

exec awk '
function bad(what)
{
	failed++
	print file ": " what
}

function end_of_file()
{
	if (file == "")
		return
	if (!plans)
		bad("no plan")
	else if (planned != seen)
		bad("planned " planned " tests, ran " seen)
	else if (!seen && !nothing)
		bad("no tests")
}

BEGIN {
	for (i = 1; i < ARGC; i++) {
		file = ARGV[i]
		plans = planned = seen = nothing = 0
		while ((r = (getline line <file)) > 0)
			one(line)
		if (r < 0)
			bad("cannot read it")
		else
			end_of_file()
		close(file)
	}
	if (skipped)
		print skipped " skipped"
	print passed + 0 " passed, " failed + 0 " failed"
	exit (failed || !passed)
}

function one(line)
{
	sub(/\r$/, "", line)
	if (line ~ /^1\.\.[0-9]+/) {
		plans++
		planned += substr(line, 4) + 0
		if (line ~ /^1\.\.0+[^0-9]*# *[Ss][Kk][Ii][Pp]/) {
			skipped++
			nothing = 1
		}
	} else if (line ~ /^not ok([ \t]|$)/) {
		seen++
		bad(line)
	} else if (line ~ /^ok([ \t]|$)/) {
		seen++
		if (line ~ /# *[Ss][Kk][Ii][Pp]/)
			skipped++
		else
			passed++
	} else if (line ~ /^Bail out!/) {
		bad(line)
	}
}' "$@"
