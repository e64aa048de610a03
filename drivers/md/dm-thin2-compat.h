/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What dm-thin-pool2 offers to dm-thin2-compat: its targets under the names of
 * dm-thin (version 1). Nothing else is exported.
 */
#ifndef DM_THIN2_COMPAT_H
#define DM_THIN2_COMPAT_H

struct module;

/**
 * thin2_compat_register - offer the targets as thin-pool and thin, too
 * @owner: the module that devices with these targets keep loaded
 *
 * To be called once, from @owner's init. May sleep.
 *
 * Return: 0, or what dm_register_target() returns if one of the names is taken
 * (-EEXIST or -EBUSY, by kernel); then neither is registered.
 */
int thin2_compat_register(struct module *owner);

/**
 * thin2_compat_unregister - withdraw the names again
 *
 * No device may use them any more, which the reference that each has on the
 * owner sees to. May sleep.
 */
void thin2_compat_unregister(void);

#endif
