// SPDX-License-Identifier: GPL-2.0-only
/*
 * The target names of dm-thin (version 1), thin-pool and thin, over version 2.
 *
 * LVM knows thin provisioning by these names only and loads dm-thin-pool to get
 * them. With the line "alias dm-thin-pool dm-thin2-compat" in modprobe.d (see
 * thin2-lvm(8)) it gets this module instead. There is no module alias here, so
 * that nobody gets version 2 for version 1 unasked.
 *
 * A name belongs to one module: whichever of this one and dm-thin-pool comes
 * second cannot be loaded.
 */
#include <linux/module.h>
#include "dm-thin2-compat.h"

static int __init thin2_compat_init(void)
{
	return thin2_compat_register(THIS_MODULE);
}

static void __exit thin2_compat_exit(void)
{
	thin2_compat_unregister();
}

module_init(thin2_compat_init);
module_exit(thin2_compat_exit);

MODULE_DESCRIPTION("device-mapper thin provisioning, second version, under the names of the first");
MODULE_AUTHOR("dm-thin2 developers");
MODULE_LICENSE("GPL");
