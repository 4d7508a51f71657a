/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reads how running trackers are: how full, what was lost, what their programs cost. What
 * it means is health.h's business.
 */
#ifndef MEMTREE_VITALS_H
#define MEMTREE_VITALS_H

#include "health.h"
#include "tracker.h"

/*
 * One reading for each of `count` trackers. Costs are measured for `measure_ns`, during
 * which the caller has the kernel's run statistics on; 0: they are not measured. A tracker
 * that ends meanwhile is marked as gone. Negative errno.
 */
int vitals_read(struct tracker *const *trackers, int count, uint64_t measure_ns,
		struct vitals *ret_vitals);

#endif /* MEMTREE_VITALS_H */
