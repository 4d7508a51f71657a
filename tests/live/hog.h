/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Limits in tests: eaters (eater.h) under a real memtree, files that hold their steps back, and
 * what is said of them, by their own memtree or by that of the stage.
 */
#ifndef MEMTREE_TEST_HOG_H
#define MEMTREE_TEST_HOG_H

#include "shell.h"

/* Files that steps wait for. */
#define GATES 3
extern char gates[GATES][64];
extern char eater_program[256];

/* For cmocka's group functions: with trackers of their own, or all on one stage. Whoever a tree
 * leaves behind becomes a child of this program. */
int hogs_open(void **state);
int hogs_close(void **state);
int hogs_open_staged(void **state);
int hogs_close_staged(void **state);
/* A test that failed lets its processes go on, and thereby end. */
int gates_open(void **state);
#define limit_test(function) cmocka_unit_test_teardown(function, gates_open)

void gate_push(int gate);
/* Takes them all away again. */
void gates_shut(void);

/* "run -n NAME OPTIONS -- memtree-live --eat STEPS"; in options and steps $0, $1 and $2 are the
 * gates. */
struct started eat(const char *name, const char *options, const char *steps);

/*
 * Steps: a child that does nothing. When the kernel has stopped its parent it lives on until a
 * memtree ends it; without, the tree and its name may be gone before the stage looks.
 */
#define WITNESS "fork { await $0 } "

/*
 * The same steps under two limits; says how the first one must end. The other one lives. Who shall
 * end of SIGTERM gets more than the default grace time: at its end one that is still in its
 * teardown, which takes as long in an emulated machine, counts as one that gave memory back.
 */
void pair(const char *options, const char *spare_options, const char *steps,
	  void (*assert_end)(const char *name));
void stop_and_spare(const char *options, const char *spare_options, const char *steps);

/* What is said by who keeps the limits: the stage since the last eat(), else the command that has
 * finished last. */
const char *told(void);
void assert_told(const char *text);
void assert_not_told(const char *text);
/* Of a hog that goes on. */
void await_told(const struct started *hog, const char *text);
void assert_reported(const char *name);
/* Reported, and all of it is gone. */
void assert_ended(const char *name);
void assert_stopped(const char *name);
void assert_lived(const char *name);
void assert_status(int status);
void assert_nobody_left(void);
/* The stage ends hooks on its own time. What they leave behind becomes a child of this program. */
void await_hook_end(void);

/* An emulated machine, where commands that the host shall not run may run. */
bool is_emulated(void);

/* memtree set: without a word. */
void set(const char *line);

const char *text_of(const json_t *tree, const char *key);
/* Waits until a tree is shown in this state; the caller drops it. */
json_t *state_await(const char *name, const char *wanted);

#endif /* MEMTREE_TEST_HOG_H */
