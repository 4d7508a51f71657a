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
#include <time.h>
#include <cmocka.h>

#include "launch.h"
#include "loader.h"
#include "reading.h"
#include "scene.h"
#include "registry.h"
#include "tracker.h"

#define DEADLINE_S 120 /* emulated kernels are slow */

/* Waits a moment; false when DEADLINE_S have passed since the first time, when *end was 0. By the
 * clock: what is waited for may cost more than the moment. */
bool poll_on(time_t *end);

struct fixture {
	struct loader *loader;
	struct tracker *tracker;
	struct board *board;
	int board_fd;
	uint32_t tree;
	struct launch launch;
	bool root_reaped;
	uint64_t losses[MT_LOSSES]; /* before the test */
	bool lossy;		    /* they may differ after it */
	uint64_t misses;	    /* of handlers, healed so far */
	uint64_t misses_before;	    /* the test */
};

/* For cmocka's group and test functions. */
int fixture_open(void **state);
int fixture_open_with(void **state, const struct loader_options *options);
int fixture_close(void **state);
/* A fixture that one group after the other uses, until it is released. */
int fixture_share(void **state);
void fixture_release(void);
int tree_open(void **state);
int tree_close(void **state);
int lossy_tree_close(void **state);

/* Starts a scene as the root of the test's tree, at its first mark. */
void scene_start(struct fixture *fixture, const char *name);
/* The same, with another window. */
void scene_start_window(struct fixture *fixture, const char *name, uint64_t window_ns);
/* The same, with another metric. */
void scene_start_metric(struct fixture *fixture, const char *name, uint32_t metric);
/* The same, as a tree inside tree `parent`. */
void scene_start_inside(struct fixture *fixture, const char *name, uint32_t parent);
/* Starts a scene that no tracker knows, at its first mark; makes it the test's tree later. */
void stranger_start(struct fixture *fixture, const char *name);
void stranger_adopt(struct fixture *fixture, const char *name);
/* A process of no tree, with this pid if it is not 0; sleeper_end() kills and reaps it. */
pid_t sleeper_start(pid_t wanted);
void sleeper_end(pid_t pid);
/* The two steps of an adoption before its passes. */
struct mt_census_record process_find(struct fixture *fixture, pid_t pid);
void tree_register(struct fixture *fixture, const char *name);
/* A census by hand: that heals all trees, begun or ended; and one pass of it or of another,
 * which returns how many adoptions there ever were. */
void census_switch(struct fixture *fixture, bool begin);
uint64_t census_pass(struct fixture *fixture);
/* To the next mark. */
void scene_next(struct fixture *fixture);
/* Past the last mark, until the root has ended. */
void scene_end(struct fixture *fixture);
/* Its status, as wait() gives it. */
int scene_reap(struct fixture *fixture);
/* Waits for an actor's mark without letting anyone go on. */
void mark_await(struct fixture *fixture);
void gate_open(struct fixture *fixture, int place);
pid_t scene_root(const struct fixture *fixture);

/* Waits until `pid` sleeps, so that its memory rests. */
void await_sleep(pid_t pid);
/* Likewise all threads of a process. */
void await_all_asleep(pid_t pid);

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
