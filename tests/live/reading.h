/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a test reads of its tracker, and waits for. What the kernel left out (from 7.0) is found by
 * a census first, as every reading command does.
 */
#ifndef MEMTREE_TEST_READING_H
#define MEMTREE_TEST_READING_H

#include <stdint.h>
#include <sys/types.h>

#include "model.h"
#include "snapshot.h"

struct fixture;

/* A reading, freed by reading_free. */
struct reading {
	struct snapshot snapshot;
	struct model model;
};
void reading_take(struct fixture *fixture, struct reading *ret_reading);
void reading_free(struct reading *reading);
const struct tree *reading_tree(const struct reading *reading, uint32_t tree);
/* Fails the test when there is none. */
const struct process *reading_process(const struct reading *reading, pid_t pid);
/* The raw record of the address space that `pid` uses. */
const struct mt_space *reading_space(const struct reading *reading, pid_t pid);

/* A reading of one tree alone shows of it, and of those inside it, what one of all shows. */
void assert_one_as_all(struct fixture *fixture, uint32_t tree);

/* Every live member equals its page tables, kind by kind, and the tree is their sum with
 * each address space once; a reading of it alone shows the same. Returns how many were compared; never 0. */
unsigned int assert_exact(struct fixture *fixture);

/* One process, by value. */
struct process process_now(struct fixture *fixture, pid_t pid);
struct tree tree_now(struct fixture *fixture);
/* As the handlers have left it: what tree_now() may find by a census is missing. */
struct tree tree_unhealed(struct fixture *fixture);

/* Events with `handlers` handlers each that may have been left out during the test (from 7.0): who
 * was born and has ended unseen, no census finds. */
uint64_t events_unseen(const struct fixture *fixture, unsigned int handlers);
/* The tree has had so many processes, its root included. */
void assert_forks(struct fixture *fixture, uint64_t forks);

/* Waits until the tree has so many live processes, and zombies. */
void await_processes(struct fixture *fixture, unsigned int processes);
void await_zombies(struct fixture *fixture, unsigned int zombies);
/* Waits until it holds so many processes and address spaces together. */
void await_held(struct fixture *fixture, int64_t holds);
/* Waits until `pid` has so many threads: one that was joined is released a little later. */
struct process await_threads(struct fixture *fixture, pid_t pid, unsigned int threads);

#endif /* MEMTREE_TEST_READING_H */
