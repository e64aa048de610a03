#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# graft.sh [--remove] FOLDER: puts the module into the kernel source tree FOLDER:
# drivers/md, with its Kconfig and Makefile, and the documents. A second run
# brings a newer version; --remove takes everything away again.
set -eu

me=graft.sh
begin='# dm-thin2 begin'
end='# dm-thin2 end'

die()
{
	echo "$me: $*" >&2
	exit 1
}

remove=
[ "${1:-}" != --remove ] || { remove=1; shift; }
[ $# = 1 ] || die "usage: $me [--remove] FOLDER"
top=$(cd "$(dirname "$0")/.." && pwd)
tree=$1
md=$tree/drivers/md
docs=$tree/Documentation/admin-guide/device-mapper
for f in "$tree/Kbuild" "$md/Kconfig" "$md/Makefile" "$md/dm.c" "$docs/index.rst"; do
	[ -f "$f" ] || die "$tree is not a kernel source tree: there is no $f"
done

# replace FILE: with what comes in, not by writing into it: it may be a hard link
replace()
{
	cat >"$1.thin2" && chmod --reference="$1" "$1.thin2" && mv -f "$1.thin2" "$1"
}

# without_block FILE
without_block()
{
	sed "/^$begin\$/,/^$end\$/d" "$1"
}

# ours FILE: what the file of this tree says, without the heading
ours()
{
	echo "$begin"
	sed '1,/^$/d' "$1"
	echo "$end"
}

# Before the "endif" of "if MD", which is the last.
kconfig()
{
	[ "$(without_block "$md/Kconfig" | grep -c '^endif')" -ge 1 ] || die "$md/Kconfig has no endif"
	last=$(without_block "$md/Kconfig" | grep -n '^endif' | tail -n 1 | cut -d: -f1)
	without_block "$md/Kconfig" | head -n $((last - 1))
	ours "$top/drivers/md/Kconfig"
	without_block "$md/Kconfig" | tail -n +"$last"
}

# The documents are entered where those of device-mapper are.
index()
{
	without_docs | sed 's/^\( *\)dm-service-time$/&\n\1dm-thin2\n\1dm-thin2-design\n\1dm-thin2-format/'
}

without_docs()
{
	sed '/^ *dm-thin2\(-design\|-format\|-operations\|-cookbook\)\{0,1\}$/d' "$docs/index.rst"
}

# copy FILE... FOLDER: afresh, as above
copy()
{
	cp --remove-destination "$@"
}

rm -f "$md"/dm-thin2* "$md"/persistent-data/pdata-* "$docs"/dm-thin2*
if [ -n "$remove" ]; then
	without_block "$md/Kconfig" | replace "$md/Kconfig"
	without_block "$md/Makefile" | replace "$md/Makefile"
	without_docs | replace "$docs/index.rst"
	exit 0
fi
copy "$top"/drivers/md/dm-thin2*.[ch] "$md/"
copy "$top"/drivers/md/persistent-data/pdata-*.[ch] "$md/persistent-data/"
for d in dm-thin2 dm-thin2-design dm-thin2-format; do
	copy "$top/Documentation/$d.rst" "$docs/"
done
kconfig | replace "$md/Kconfig"
{
	without_block "$md/Makefile"
	ours "$top/drivers/md/Makefile"
} | replace "$md/Makefile"
index | replace "$docs/index.rst"
