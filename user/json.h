/* SPDX-License-Identifier: GPL-2.0-only */
/* Trees and processes as JSON, with the keys of the contract. */
#ifndef MEMTREE_JSON_H
#define MEMTREE_JSON_H

#include <jansson.h>

#include "node.h"

/* Each returns a new reference, NULL without memory. */
json_t *json_tree(const struct node_tracker *entry, const struct tree *tree);
json_t *json_process(const struct node_tracker *entry, const struct process *process);
json_t *json_tracker(const struct node_tracker *entry);

/* {"trees":[...],"trackers":[...]} on stdout, and frees both. Returns an exit status. */
int json_print(json_t *trees, json_t *trackers);

#endif /* MEMTREE_JSON_H */
