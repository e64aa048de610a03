#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Boots a kernel and runs a script in it, as root.
#
#   run.sh -k 6.1|6.12|uml|uml-debug [-m MEM] [-c CPUS] [-t SECONDS] [-d FILE]... [-e VAR=VALUE]...
#          [-p PARAMETER]... [-o OUTDIR] [--kill-on STRING [--kill-delay MS]] -- SCRIPT [ARGS]
#
# The guest's root is the host's, read-only, under an overlay in memory: the
# checkout, what is built in it and every installed tool are there under their
# own names.  Kernel modules load with modprobe.  In the guest:
#
#   /out		OUTDIR, writable (default: build/vm/KERNEL/run)
#   /dev/vda...		the disks given with -d
#   $MODDIR		where the built dm-thin-pool2.ko for this kernel is
#   $VM_KERNEL		6.1, 6.12, uml or uml-debug
#   $VM_TOP		the checkout, also the current folder
#
# PARAMETERs go to the kernel's command line.
# The console goes to OUTDIR/console.log, without the kernel's lines to stdout;
# the guest's dmesg to OUTDIR/dmesg.log.
#
# Exit status: the script's; 124 when time is up; 125 when the guest could not
# run it; 99 when the kernel complained (oops, warning, lockdep, hung task) and
# the script returned 0 (or the kill came); 42 when --kill-on's STRING came as part of a line on
# the console and the machine was killed there and then, or MS milliseconds later
# (a power cut).
set -eu

. "$(dirname "$0")/lib.sh"

kernel=
mem=4G
cpus=2
seconds=300
disks=()
vars=()
params=()
out=
kill_on=
kill_delay=0

while [ $# -gt 0 ]; do
	case $1 in
	-k) kernel=$2; shift 2 ;;
	-m) mem=$2; shift 2 ;;
	-c) cpus=$2; shift 2 ;;
	-t) seconds=$2; shift 2 ;;
	-d) disks+=("$(realpath "$2")"); shift 2 ;;
	-e) vars+=("$2"); shift 2 ;;
	-p) params+=("$2"); shift 2 ;;
	-o) out=$2; shift 2 ;;
	--kill-on) kill_on=$2; shift 2 ;;
	--kill-delay) kill_delay=$2; shift 2 ;;
	--) shift; break ;;
	*) die "unknown option '$1' (see the top of $0)" ;;
	esac
done
[ -n "$kernel" ] || die "which kernel? -k 6.1|6.12|uml|uml-debug"
[ $# -gt 0 ] || die "nothing to run: -- SCRIPT [ARGS]"
k_need "$kernel"

script=$(realpath -e "$1") || die "no script $1"
shift
out=$(realpath -m "${out:-$TOP/build/vm/$kernel/run}")
mkdir -p "$out"
exec 8>"$out/.lock"
flock -n 8 || die "another run uses $out: choose a folder with -o"
rm -f "$out/.rc" "$out/.job" "$out/.env" "$out/console.log" "$out/dmesg.log"

{
	printf 'export MODULES=%q MODDIR=%q VM_KERNEL=%q VM_TOP=%q VM_TIMEOUT=%q\n' \
		"$(k_modules "$kernel")" "$TOP/build/module/$kernel" "$kernel" "$TOP" "$seconds"
	for v in ${vars[@]+"${vars[@]}"}; do
		printf 'export %s=%q\n' "${v%%=*}" "${v#*=}"
	done
} >"$out/.env"
{
	[ -x "$script" ] || printf 'bash '
	printf '%q ' "$script" "$@"
	echo
} >"$out/.job"

# The modules a guest needs to mount its root, in loading order.
make_initrd()
{
	local initrd=$1 modules=$2 dir rel=$3 f name
	dir=$(mktemp -d)
	mkdir -p "$dir"/{bin,proc,dev,modules,lower,upper,root}
	cp /bin/busybox "$dir/bin/busybox"
	cp "$TOP/tests/vm/initramfs-init" "$dir/init"
	chmod 755 "$dir/init"
	modprobe -S "$rel" -d "${modules%/lib/modules/*}" -a --show-depends \
			virtio_pci 9pnet_virtio 9p overlay >"$dir/list"
	awk '$1 == "insmod" && !seen[$2]++ { print $2 }' "$dir/list" | while read -r f; do
		name=$(basename "$f" .xz)
		case $f in
		*.xz) xz -dc "$f" >"$dir/modules/$name" ;;
		*) cp "$f" "$dir/modules/" ;;
		esac
		echo "$name" >>"$dir/modules/order"
	done
	rm "$dir/list"
	(cd "$dir" && find . | cpio -o -H newc --quiet | gzip -1) >"$initrd.$$"
	mv "$initrd.$$" "$initrd"
	rm -rf "$dir"
}

cmd=()
# shellcheck disable=SC2054
case $kernel in
uml | uml-debug)
	cmd=("$(k_image "$kernel")" seccomp=on "ncpus=$cpus" "mem=$mem" rootfstype=hostfs
	     rootflags=/ ro "init=$TOP/tests/vm/guest-init.sh" "vm_hostfs_out=$out"
	     con=null con0=null,fd:1 panic=-1 printk.time=1 quiet ${params[@]+"${params[@]}"})
	n=0
	for d in ${disks[@]+"${disks[@]}"}; do
		cmd+=("ubd${n}d=$d")
		n=$((n + 1))
	done
	;;
*)
	modules=$(k_modules "$kernel")
	release=$(k_release "$kernel")
	initrd=$CACHE/initrd-$release-$(sha256sum <"$TOP/tests/vm/initramfs-init" | cut -c1-12).gz
	[ -e "$initrd" ] || make_initrd "$initrd" "$modules" "$release"
	cmd=(qemu-system-x86_64 -accel tcg,thread=multi,tb-size=512 -cpu max -smp "$cpus"
	     -m "$mem" -nodefaults -display none -serial stdio -no-reboot
	     -kernel "$(k_image "$kernel")" -initrd "$initrd"
	     -append "console=ttyS0 panic=-1 quiet mitigations=off vm.init=$TOP/tests/vm/guest-init.sh ${params[*]-}"
	     -virtfs local,path=/,mount_tag=root,security_model=none,multidevs=remap,readonly=on
	     -virtfs "local,path=$out,mount_tag=out,security_model=none,multidevs=remap")
	n=0
	for d in ${disks[@]+"${disks[@]}"}; do
		cmd+=(-drive "file=$d,format=raw,if=none,id=d$n,cache=unsafe,discard=unmap,detect-zeroes=unmap"
		      -device "virtio-blk-pci,drive=d$n")
		n=$((n + 1))
	done
	;;
esac

# Under "timeout", which has a process group of its own; user-mode Linux makes
# one more for itself.
exec 3< <(exec timeout -s KILL $((seconds + 5)) "${cmd[@]}" </dev/null 2>&1 8>&-)
vm=$!
stop_vm()
{
	local child
	for child in $(pgrep -P "$vm"); do
		kill -KILL "$child" "-$child" 2>/dev/null || true
	done
	kill -KILL -- "-$vm" 2>/dev/null || true
}
trap stop_vm EXIT
trap 'exit 130' INT TERM

# now_us: microseconds
now_us()
{
	echo "${EPOCHREALTIME/[.,]/}"
}

why=
kill_at=
end=$((SECONDS + seconds))
while left=$((end - SECONDS)) && [ $left -gt 0 ]; do
	if [ -n "$kill_at" ] && [ -z "$why" ]; then
		left=$((kill_at - $(now_us)))
		if [ $left -le 0 ]; then
			stop_vm
			# What it had written before is still to be read.
			why=killed
			continue
		fi
		left=$((left / 1000000)).$(printf %06d $((left % 1000000)))
	fi
	IFS= read -r -t "$left" -u 3 line || {
		[ $? -gt 128 ] && continue
		break
	}
	line=${line%$'\r'}
	printf '%s\n' "$line" >&4
	if [ -n "$kill_on" ] && [ -z "$kill_at" ] && [[ $line == *"$kill_on"* ]]; then
		kill_at=$(($(now_us) + kill_delay * 1000))
	fi
	[[ $line =~ ^\[\ *[0-9]+\.[0-9]+\] ]] || printf '%s\n' "$line"
done 4>"$out/console.log"
[ $((end - SECONDS)) -gt 0 ] || why=${why:-timeout}
stop_vm
exec 3<&-

complaints='BUG[: ]|kernel BUG at|WARNING|Oops|-+\[ cut here|invalid opcode|Kernel panic|INFO: task .* blocked|INFO: rcu|rcu: INFO'
complaints="$complaints|general protection fault|UBSAN|KASAN|KFENCE|refcount_t"
complaints="$complaints|watchdog: |unreferenced object|=+\] *\$"
bad=$(grep -nE "^\[ *[0-9.]+\] *(\[[^]]*\] *)?(Internal error: )?($complaints)" "$out/console.log" || true)
if [ -n "$bad" ]; then
	echo "run.sh: the kernel complained (all of it: $out/console.log):"
	printf '%s\n' "$bad" | head -n 10 | while IFS=: read -r n line; do
		sed -n "$n,$((n + 12))p" "$out/console.log"
		echo ...
	done
fi
if [ "$why" = killed ]; then
	[ -z "$bad" ] || exit 99
	exit 42
fi
if [ "$why" = timeout ]; then
	echo "run.sh: no end within $seconds s; from $out/console.log:"
	n=$(grep -n -m 1 'guest-init: time is nearly up' "$out/console.log" | cut -d: -f1)
	if [ -n "$n" ]; then
		sed -n "$((n > 20 ? n - 20 : 1)),$((n + 80))p" "$out/console.log"
	else
		tail -n 40 "$out/console.log"
	fi
	exit 124
fi
if ! rc=$(cat "$out/.rc" 2>/dev/null); then
	echo "run.sh: the guest stopped before its script did; last lines of $out/console.log:"
	tail -n 40 "$out/console.log"
	exit 125
fi
[ -z "$bad" ] || [ "$rc" != 0 ] || rc=99
exit "$rc"
