/* SPDX-License-Identifier: GPL-2.0-only */
/* The groups of live tests; each returns how many failed. */
#ifndef MEMTREE_TEST_GROUPS_H
#define MEMTREE_TEST_GROUPS_H

int memory_tests(void);
int fork_tests(void);
int lifecycle_tests(void);
int command_tests(void);

#endif /* MEMTREE_TEST_GROUPS_H */
