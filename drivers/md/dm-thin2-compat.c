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
#include <linux/device-mapper.h>
#include <linux/module.h>
#include <linux/notifier.h>
#include "dm-thin2-compat.h"

#define DM_MSG_PREFIX "thin2"

#ifdef CONFIG_MODULES
/*
 * Not every kernel says why dm-thin-pool cannot be loaded, and modprobe takes
 * the error for success.
 */
static int module_event(struct notifier_block *nb, unsigned long event, void *data)
{
	struct module *mod = data;

	if (event == MODULE_STATE_COMING && !strcmp(mod->name, "dm_thin_pool"))
		DMERR("dm-thin-pool (version 1) cannot be loaded: dm-thin2-compat has its names");
	return NOTIFY_DONE;
}

static struct notifier_block module_nb = { .notifier_call = module_event };

static int watch_modules(void)
{
	return register_module_notifier(&module_nb);
}

static void unwatch_modules(void)
{
	unregister_module_notifier(&module_nb);
}
#else
static int watch_modules(void)
{
	return 0;
}

static void unwatch_modules(void)
{
}
#endif

static int __init thin2_compat_init(void)
{
	int r = thin2_compat_register(THIS_MODULE);

	if (r)
		return r;
	r = watch_modules();
	if (r)
		thin2_compat_unregister();
	return r;
}

static void __exit thin2_compat_exit(void)
{
	unwatch_modules();
	thin2_compat_unregister();
}

module_init(thin2_compat_init);
module_exit(thin2_compat_exit);

MODULE_DESCRIPTION("device-mapper thin provisioning, second version, under the names of the first");
MODULE_AUTHOR("dm-thin2 developers");
MODULE_LICENSE("GPL");
