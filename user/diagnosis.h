/* SPDX-License-Identifier: GPL-2.0-only */
/* What `doctor` has found, as a page for people and as a JSON document. */
#ifndef MEMTREE_DIAGNOSIS_H
#define MEMTREE_DIAGNOSIS_H

#include "features.h"
#include "health.h"
#include "probe.h"

struct diagnosis {
	struct machine machine;
	struct surroundings surroundings;
	struct feature_row features[FEATURES];
	const char *blocker; /* why memtree cannot run here, NULL: it can */
	char blocker_text[FEATURE_BLOCKER];
	bool trackers_known; /* false: this user may not look for them */
	struct vitals *trackers;
	int tracker_count, foreign_count; /* foreign: of another build, not readable */
};

/* How many of the trackers are not healthy. */
int diagnosis_unhealthy(const struct diagnosis *diagnosis);

void diagnosis_print_text(const struct diagnosis *diagnosis);

/* Returns an exit status. */
int diagnosis_print_json(const struct diagnosis *diagnosis);

#endif /* MEMTREE_DIAGNOSIS_H */
