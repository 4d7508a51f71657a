/* SPDX-License-Identifier: GPL-2.0-only */
/* Where the kernel side tells the next thing worth a decision, or acts by itself. Pure. */
#ifndef MEMTREE_ALARMS_H
#define MEMTREE_ALARMS_H

#include "policy.h"

/* Virtual memory moves without an event: how often it is looked at. */
#define ALARMS_VMEM_NS (1000ULL * 1000 * 1000)

/* Everything of the decision but its act, after `state` was decided by this reading. */
void alarms_place(const struct mt_policy *policy, const struct policy_state *state,
		  const struct policy_reading *reading, struct policy_decision *decision);

/* Growth of what is charged after which a spared tree is asked again. */
int64_t alarms_spared_step(const struct mt_policy *policy, const struct policy_state *state);

#endif /* MEMTREE_ALARMS_H */
