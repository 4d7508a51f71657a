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

/* The document of `ps`, {"trees":[...],"trackers":[...]}, of so many trackers. */
json_t *json_ps(const struct node_tracker *entries, int count);

/* That of `tree`: each with the processes that are its own. `id` 0: all trees, else that one and
 * those inside it. */
json_t *json_trees(const struct node_tracker *entries, int count, uint32_t id);

/* Text of any origin; invalid UTF-8 becomes U+FFFD. */
json_t *json_text(const char *text, size_t length);

/* RFC 3339, null for 0. */
json_t *json_time(int64_t real_ns);

/* One document on stdout, and frees it; NULL stands for one that could not be built. Returns an
 * exit status. */
int json_document_print(json_t *document);

#endif /* MEMTREE_JSON_H */
