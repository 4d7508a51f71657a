/* SPDX-License-Identifier: GPL-2.0-only */
/* Occurrences that a memtree has told, as people read them. They may hold anything. */
#ifndef MEMTREE_TOLD_H
#define MEMTREE_TOLD_H

#include <jansson.h>

/* By time, oldest first. Takes the array, returns a new one; NULL without memory. */
json_t *told_sort(json_t *occurrences);

/* One line: when, who, what. */
void told_print(const json_t *occurrence);

/* The same, and below it rule, inputs, what was exempt, action and the dump. */
void told_print_whole(const json_t *occurrence);

#endif /* MEMTREE_TOLD_H */
