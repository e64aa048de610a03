#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# kernels: 6.12 uml
#
# Documentation/dm-thin2-cookbook.rst, typed as it is written there: each command
# must answer what the document says. In an answer "..." stands for anything, a line
# of only that for any lines.
. "$(dirname "$0")/lib.sh"

book=$TOP/Documentation/dm-thin2-cookbook.rst

# blocks: the literal blocks, of each line what is behind the indent; an empty line
# between two
blocks()
{
	awk '
	/::$/ { waiting = 1; next }
	waiting && /^  / { print substr($0, 3); inside = 1; next }
	inside && !/^  / { inside = 0; waiting = 0; print "" }' "$book"
}

# pattern LINE...: the answer's, as a pattern of [[ == ]]
pattern()
{
	local line all=
	for line; do
		if [ "$line" = ... ]; then
			all+="*"
			continue
		fi
		printf -v line %q "$line"
		all+="${line//.../*}"$'\n'
	done
	echo "$all"
}

# fits ANSWER LINE...
fits()
{
	local answer=$1 want
	shift
	want=$(pattern "$@")
	# shellcheck disable=SC2053
	[[ $answer == $want ]]
}

# step COMMAND LINE...: one of the document's commands, with what it is to answer.
# It runs in this shell, as variables are kept.
step()
{
	local command=$1 rc=0 answer
	shift
	eval "$command" >"$tmp/answer" 2>&1 </dev/null || rc=$?
	answer=$(cat "$tmp/answer")
	if ! fits "$answer" "$@"; then
		not_ok "$command"
		printf '    answered (status %s):\n%s\n    expected:\n' $rc "$answer"
		printf '%s\n' "$@"
	elif [ $# = 0 ] && [ $rc != 0 ]; then
		not_ok "$command: status $rc"
	else
		ok "$command"
	fi
}

run_book()
{
	local line command="" answer=()
	while IFS= read -r line <&4; do
		case $line in
		"# "*)
			[ -z "$command" ] || step "$command" "${answer[@]}"
			command=${line#"# "}
			answer=()
			;;
		"")
			[ -z "$command" ] || step "$command" "${answer[@]}"
			command=""
			;;
		*) answer+=("$line") ;;
		esac
	done 4< <(blocks)
	[ -z "$command" ] || step "$command" "${answer[@]}"
}

# Whatever the document leaves behind if it stops halfway.
leave_book()
{
	local d
	for d in /run/snap /run/thin0; do
		! mountpoint -q $d || umount $d
	done
	for d in snap thin0 thin2 pool; do
		[ ! -e "$MAP/$d" ] || dmsetup remove $d
	done
}

modprobe ext4
must dm_make data "0 2097152 linear $VDB 0"
must dm_make image "0 131072 linear $VDB 8388608"
must meta_make
must blkop $MAP/image write 0 64m 3
export META DATA=$MAP/data IMAGE=$MAP/image LARGER="0 4194304 linear $VDB 0"
at_exit leave_book
run_book
check_range "as many commands as the document has" $tests \
	"$(grep -c '^  # ' "$book")" "$(grep -c '^  # ' "$book")"
check "more than a few" [ $tests -gt 60 ]
check "nothing is left of it" eval '! dmsetup ls | grep -E "^(pool|thin0|thin2|snap)\b"'
