/* SPDX-License-Identifier: GPL-2.0-only */
/* Trees and processes as JSON, with the keys of the contract. */
#ifndef MEMTREE_JSON_H
#define MEMTREE_JSON_H

#include <jansson.h>

#include "node.h"

/* "rss", "anon+swap", ...; static. */
const char *json_metric(uint32_t metric);

/* Each returns a new reference, NULL without memory. */
json_t *json_tree(const struct node_tracker *entry, const struct tree *tree);
json_t *json_process(const struct tracker *tracker, const struct snapshot *snapshot,
		     const struct process *process);
json_t *json_tracker(const struct node_tracker *entry);

/* Text of any origin; invalid UTF-8 becomes U+FFFD. */
json_t *json_text(const char *text, size_t length);

/* RFC 3339, null for 0. */
json_t *json_time(int64_t real_ns);

/* One document on stdout, and frees it; NULL stands for one that could not be built. Returns an
 * exit status. */
int json_document_print(json_t *document);

/* {"trees":[...],"trackers":[...]}, likewise; frees both. */
int json_print(json_t *trees, json_t *trackers);

#endif /* MEMTREE_JSON_H */
