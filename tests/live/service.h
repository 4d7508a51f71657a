/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Daemons in tests: in a mount namespace of this program's own with a BPF file system of its own,
 * so that nothing stays pinned and no other daemon is met.
 */
#ifndef MEMTREE_TEST_SERVICE_H
#define MEMTREE_TEST_SERVICE_H

#include <jansson.h>
#include <stdbool.h>

#define PINS "/sys/fs/bpf/memtree"

/* For cmocka's group functions. */
int daemons_open(void **state);
int daemons_close(void **state);
/* Also after a test that failed. */
int daemon_clear(void **state);
#define daemon_test(function) cmocka_unit_test_teardown(function, daemon_clear)

/* A folder of this program's: the socket, the verdicts' log, the configuration. */
const char *service_path(const char *name);
/* Beside where these are, more lines of configuration. */
void configure(const char *lines);
/* The command, with that configuration: "" serves, "--check", ... */
void daemon_command(const char *options);

/* One at a time; it serves when this returns. */
void daemon_start(void);
const char *daemon_said(void);
void await_daemon_says(const char *text);
void daemon_signal(int signal_number);
/* How it ended stands in `outcome`. */
void daemon_end(int signal_number);
/* Of one that has ended: nothing of it is left. */
void unload(void);

bool is_shown(const char *name);
void await_gone(const char *name);
/* "charged", "rss", ... of a tree that is shown. */
json_int_t figure_of(const char *name, const char *key);

#endif /* MEMTREE_TEST_SERVICE_H */
