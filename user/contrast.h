/* SPDX-License-Identifier: GPL-2.0-only */
/* What `compare` shows of one tree at one reading, as text and as JSON. */
#ifndef MEMTREE_CONTRAST_H
#define MEMTREE_CONTRAST_H

#include <jansson.h>
#include <stdbool.h>

#include "comparison.h"
#include "shadow.h"

struct contrast {
	const char *name, *id;
	bool ended;	/* while it was read: nothing below is known */
	bool untracked; /* it goes on, but its tracker has ended; `ended` too */
	struct comparison comparison;
	int64_t peak;		     /* of the maps */
	int64_t procfs_highest;	     /* sum of rss in all passes */
	int64_t procfs_cpu_ns;	     /* as YARN adds it up: below 0 when a pid was used again */
	struct procfs_kinds kinds;   /* what status says, summed over procfs' tree */
	uint32_t kinds_unread;	     /* processes whose status could not be read */
	const struct shadow *shadow; /* NULL: not asked for */
};

/* What the reading of either side took. */
struct contrast_cost {
	uint64_t map_ns, map_calls, procfs_ns, procfs_calls;
	uint32_t containers; /* YARN scans once for each */
};

void contrast_print(const struct contrast *contrast);
void contrast_cost_print(const struct contrast_cost *cost);

/* Each a new reference, NULL without memory. */
json_t *contrast_json(const struct contrast *contrast);
json_t *contrast_cost_json(const struct contrast_cost *cost);

#endif /* MEMTREE_CONTRAST_H */
