#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Does a test notice when a rule is broken?  mutate.sh [PATTERN...]
#
# Each NN-name.patch here breaks a rule of the design and says in its head which,
# and which tests must fail then:
#
#	# rule: 1
#	# change: no data flush before the journal write
#	# test: unit/test_rules_order rule_1_data_before_record
#	# test: crash/crash_pool CRASHES=2000 SEED=1
#	# expect: not caught: why, if that is known
#
# A copy of the tree is changed by one at a time, built, tested and changed back.
# A patch that does not apply (no fuzz is allowed) or build counts as failed, and
# so does a test that fails without any.  With patterns, only the patches whose
# names hold one of them.
set -u

here=$(cd "$(dirname "$0")" && pwd)
top=$here/../..
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
export CMOCKA_MESSAGE_OUTPUT=TAP SCRIPT_DIR=$copy JOBS=${JOBS:-$(nproc)}
rc=0 caught=0 tests=0

(cd "$top" && tar -cf - --exclude='*.patch' Makefile drivers tests) | tar -xf - -C "$copy" || exit 1

# program KIND/NAME: where it is built
program()
{
	case $1 in
	unit/*) echo "$copy/build/user/bin/unit/${1#unit/}" ;;
	crash/*) echo "$copy/build/user/bin/crash-opt/${1#crash/}" ;;
	*) echo /nonexistent ;;
	esac
}

# build PROGRAM...
build()
{
	make -C "$copy/tests" -j"$JOBS" "$@" >"$copy/log" 2>&1
}

# run TEST [ARGS]: 0 if it passes
run()
{
	local prog
	prog=$(program "$1")
	shift
	if [[ ${1-} == *=* ]]; then
		env "$@" timeout 300 "$prog" >"$copy/out" 2>&1 </dev/null
	else
		TEST=${1-*} timeout 60 "$prog" >"$copy/out" 2>&1 </dev/null &&
			grep -q '^ok' "$copy/out"
	fi
}

# head PATCH FIELD
field()
{
	sed -n "s/^# $2: //p" "$1"
}

patches=()
for p in "$here"/*.patch; do
	if [ $# = 0 ]; then
		patches+=("$p")
		continue
	fi
	for pattern; do
		[[ ${p##*/} != *"$pattern"* ]] || { patches+=("$p"); break; }
	done
done
set -f	# "*" stands for all tests of a program
[ ${#patches[@]} -gt 0 ] || { echo "no such mutation"; exit 1; }

mapfile -t all < <(for p in "${patches[@]}"; do field "$p" test; done | sort -u)
mapfile -t programs < <(for t in "${all[@]}"; do program "${t%% *}"; done | sort -u)
echo "without a change: ${#all[@]} tests"
build "${programs[@]}" || { cat "$copy/log"; exit 1; }
for t in "${all[@]}"; do
	# shellcheck disable=SC2086
	run $t 2>/dev/null || { echo "FAILS WITHOUT A CHANGE: $t"; tail -n 5 "$copy/out"; rc=1; }
done

# one PATCH
one()
{
	local p=$1 name t progs result expect
	name=${p##*/}
	name=${name%.patch}
	if ! patch -d "$copy" -p1 -F0 -s -f --no-backup-if-mismatch -r - <"$p" >"$copy/log" 2>&1; then
		echo "$name: DOES NOT APPLY"
		cat "$copy/log"
		rc=1
		return
	fi
	mapfile -t progs < <(field "$p" test | while read -r t _; do program "$t"; done | sort -u)
	expect=$(field "$p" expect)
	if build "${progs[@]}"; then
		while read -r t; do
			tests=$((tests + 1))
			# shellcheck disable=SC2086
			if ! run $t 2>/dev/null; then
				result=caught
				caught=$((caught + 1))
				[ -z "$expect" ] || { result='CAUGHT AFTER ALL'; rc=1; }
			elif [ -n "$expect" ]; then
				result=$expect
			else
				result='NOT CAUGHT'
				rc=1
			fi
			printf '%-28s %-3s %-58s %s\n' "$name" "$(field "$p" rule)" "$t" "$result"
		done < <(field "$p" test)
	else
		echo "$name: DOES NOT BUILD"
		grep -m 3 error "$copy/log"
		rc=1
	fi
	patch -d "$copy" -R -p1 -F0 -s -f --no-backup-if-mismatch <"$p" || exit 1
}

for p in "${patches[@]}"; do
	one "$p"
done
echo "${#patches[@]} changes, $tests tests of them, $caught caught"
exit $rc
