/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The test's side: one tracker per group of tests, one tree per test, and the questions a
 * test asks of it. Every wait has a deadline; the teardown proves that nothing is left.
 */
#ifndef MEMTREE_TEST_FIXTURE_H
#define MEMTREE_TEST_FIXTURE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "launch.h"
#include "loader.h"
#include "model.h"
#include "scene.h"
#include "snapshot.h"
#include "tracker.h"

#define DEADLINE_S 120 /* emulated kernels are slow */

struct fixture {
	struct loader *loader;
	struct tracker *tracker;
	struct board *board;
	int board_fd;
	uint32_t tree;
	struct launch launch;
	bool root_reaped;
	uint64_t losses[MT_LOSSES]; /* before the test */
};

/* For cmocka's group and test functions. */
int fixture_open(void **state);
int fixture_close(void **state);
int tree_open(void **state);
int tree_close(void **state);

/* Starts a scene as the root of the test's tree, at its first mark. */
void scene_start(struct fixture *fixture, const char *name);
/* The same, with another window. */
void scene_start_window(struct fixture *fixture, const char *name, uint64_t window_ns);
/* The same, with another metric. */
void scene_start_metric(struct fixture *fixture, const char *name, uint32_t metric);
/* The same, as a tree inside tree `parent`. */
void scene_start_inside(struct fixture *fixture, const char *name, uint32_t parent);
/* To the next mark. */
void scene_next(struct fixture *fixture);
/* Past the last mark, until the root has ended. */
void scene_end(struct fixture *fixture);
/* Waits for an actor's mark without letting anyone go on. */
void mark_await(struct fixture *fixture);
void gate_open(struct fixture *fixture, int place);
pid_t scene_root(const struct fixture *fixture);

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

/* Every live member equals its page tables, kind by kind, and the tree is their sum with
 * each address space once. Returns how many were compared; never 0. */
unsigned int assert_exact(struct fixture *fixture);

/* One process, by value. */
struct process process_now(struct fixture *fixture, pid_t pid);
struct tree tree_now(struct fixture *fixture);

/* Waits until the tree has so many live processes, and zombies. */
void await_processes(struct fixture *fixture, unsigned int processes);
void await_zombies(struct fixture *fixture, unsigned int zombies);
/* Waits until `pid` sleeps, so that its memory rests. */
void await_sleep(pid_t pid);

/* Says why on a line of its own, then skips. */
#define skip_because(...)                             \
	do {                                          \
		printf("SKIP-REASON %s: ", __func__); \
		printf(__VA_ARGS__);                  \
		putchar('\n');                        \
		skip();                               \
	} while (0)

#define tree_test(function) cmocka_unit_test_setup_teardown(function, tree_open, tree_close)

#endif /* MEMTREE_TEST_FIXTURE_H */
