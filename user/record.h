/* SPDX-License-Identifier: GPL-2.0-only */
/* Something that happened to a tree as a JSON object: what, when, on what ground, to whom. */
#ifndef MEMTREE_RECORD_H
#define MEMTREE_RECORD_H

#include <jansson.h>

#include "look.h"

/* Whom something happened to. */
struct subject {
	const struct tracker *tracker;
	uint32_t id; /* of the tree */
	const char *name;
	const struct mt_policy *policy;
	const struct look *look; /* as it was seen, NULL: not seen */
	const struct tree *tree; /* in `look`, NULL: gone */
};

/* {"ts","type","name","id","text"}: a new reference, NULL without memory, which the others
 * allow. */
json_t *record_new(const struct subject *subject, const char *type, int64_t real_ns,
		   const char *text);

/* What was decided on: the limit and what is done at it, and the tree's figures. */
void record_add_inputs(json_t *record, const struct subject *subject);

/* "dump": its members as `memtree tree --json` has them, largest first, at most so many. */
#define RECORD_DUMP_MAX 128
void record_add_dump(json_t *record, const struct subject *subject);

/* "pid" and "comm" of who the kernel named. */
void record_add_process(json_t *record, const struct mt_event *event);

#endif /* MEMTREE_RECORD_H */
