/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One tracker for the runs of a whole group: memtree adds this program, so that every `memtree
 * run` that a test starts registers inside that tree and loads nothing, which costs many seconds
 * in an emulated machine. Limits are then kept, and told on stderr, by the memtree of the stage.
 *
 * What only a memtree with a tracker of its own does is tested without a stage.
 */
#ifndef MEMTREE_TEST_STAGE_H
#define MEMTREE_TEST_STAGE_H

#include <sys/types.h>

/* For cmocka's group functions. The stage must end without a word of losses. */
int stage_open(void **state);
int stage_close(void **state);

/* The memtree of the stage; 0 when there is none. It is no tracker that a test has left. */
pid_t stage_pid(void);

/* What it has said since stage_listen(), valid until it is asked again; "" without a stage. */
const char *stage_said(void);
void stage_listen(void);

#endif /* MEMTREE_TEST_STAGE_H */
