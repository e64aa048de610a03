// SPDX-License-Identifier: GPL-2.0-only
/* Named fault points: state and countdowns. */
#include "pdata-fault.h"

static_assert(PDATA_FAULT_NR <= BITS_PER_LONG, "one bit a point");

/* Changed under fault_lock, read without: a point may notice a moment late. */
unsigned long pdata_fault_armed;

static unsigned int fault_countdown[PDATA_FAULT_NR];
static DEFINE_SPINLOCK(fault_lock);

bool pdata_fault_fires(enum pdata_fault_point point)
{
	unsigned long flags;
	bool fires = false;

	spin_lock_irqsave(&fault_lock, flags);
	if (pdata_fault_armed & (1ul << point)) {
		fires = !fault_countdown[point];
		if (fires)
			WRITE_ONCE(pdata_fault_armed, pdata_fault_armed & ~(1ul << point));
		else
			fault_countdown[point]--;
	}
	spin_unlock_irqrestore(&fault_lock, flags);
	return fires;
}

void pdata_fault_arm(enum pdata_fault_point point, unsigned int after)
{
	unsigned long flags;

	spin_lock_irqsave(&fault_lock, flags);
	fault_countdown[point] = after;
	WRITE_ONCE(pdata_fault_armed, pdata_fault_armed | 1ul << point);
	spin_unlock_irqrestore(&fault_lock, flags);
}

void pdata_fault_disarm_all(void)
{
	unsigned long flags;

	spin_lock_irqsave(&fault_lock, flags);
	WRITE_ONCE(pdata_fault_armed, 0);
	spin_unlock_irqrestore(&fault_lock, flags);
}
