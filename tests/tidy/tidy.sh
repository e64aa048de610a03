#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Style: checkpatch --strict from the kernel's source on kernel code and tools,
# sparse on the module, shellcheck on the scripts.
set -eu

. "$(dirname "$0")/../vm/lib.sh"

cd "$TOP"
rc=0

checkpatch=$CACHE/src/linux/scripts/checkpatch.pl
[ -e "$checkpatch" ] || die "no checkpatch: run tests/vm/setup.sh src"
mapfile -t files < <(find drivers/md tools -name '*.[ch]' | sort)
say "checkpatch --strict: ${#files[@]} files"
# Not asked for: kzalloc_obj() and the like, which 6.1 has not; parentheses around lists
# of X(); long messages cut in pieces, and one format of JSON in one.
# dm-thin2-kver.h is there to look at the kernel's version, and a trace header's name is
# no subtraction. Without a GIT_DIR checkpatch leaves out spdxcheck.py, which needs
# Python modules: done below.
ignore=LINUX_VERSION_CODE,ALLOC_WITH_SIZEOF,ALLOC_WITH_MULTIPLY,COMPLEX_MACRO,MACRO_ARG_UNUSED
ignore=$ignore,MACRO_ARG_REUSE,LONG_LINE_STRING,SPLIT_STRING
GIT_DIR=/nonexistent "$checkpatch" --root="$CACHE/src/linux" --no-summary --strict --terse --show-types \
	--ignore $ignore -f "${files[@]}" 2>&1 |
	grep -v 'dm-thin2-trace.h:.*SPACING' && rc=1

say "SPDX lines"
git ls-files -co --exclude-standard -z -- . ':!tests/fuzz/corpus' \
	':!packaging/debian/changelog' ':!packaging/debian/source/format' | xargs -0 grep -L 'SPDX-License-Identifier: GPL-2.0-only' |
	grep . && rc=1

say "sparse"
"$TOP/tests/vm/build-module.sh" 6.1 W=1 C=2 || rc=1

mapfile -t files < <(grep -rlE '^#!/bin/(ba)?sh' .ci scripts tests tools packaging 2>/dev/null | sort)
say "shellcheck: ${#files[@]} files"
shellcheck -x "${files[@]}" || rc=1
exit $rc
