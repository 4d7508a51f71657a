/* SPDX-License-Identifier: GPL-2.0-only */
/* What memtree compare said of a tree, and what must hold of all that it says. */
#ifndef MEMTREE_TEST_SAID_H
#define MEMTREE_TEST_SAID_H

#include "shell.h"

extern json_t *said; /* the last document */

/* Its one tree, and figures of either side. */
json_t *tree_said(void);
json_int_t map_said(const char *key);
json_int_t procfs_said(const char *key);

/* A cause of that name, NULL or 0 when there is none. */
json_t *cause_said(const char *name);
json_int_t cause_bytes(const char *name);
json_int_t cause_processes(const char *name);

/* Who one side misses: the reason for `pid`, NULL when it is not missed. */
const char *missed_said(const char *list, pid_t pid);
void assert_missed(const char *list, pid_t pid, const char *why);

/* Every byte of difference has a cause, and one that is known. */
void assert_sums(json_t *tree);
void assert_explained(void);

/* Compares the tree `name`; at rest nothing but `causes` and remainders makes a difference. */
void compare_any(const char *name, const char *options);
void compare(const char *name, const char *causes);

#endif /* MEMTREE_TEST_SAID_H */
