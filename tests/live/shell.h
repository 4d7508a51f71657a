/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * memtree as a user starts it: command lines with their outcome, the trackers that they
 * leave, and their JSON. Every wait has a deadline.
 */
#ifndef MEMTREE_TEST_SHELL_H
#define MEMTREE_TEST_SHELL_H

#include <jansson.h>
#include <stdio.h>
#include <sys/types.h>

#include "fixture.h"

#define TEXT_MAX 262144

/* Of the command that finished last. */
struct outcome {
	int status; /* exit status, or 1000 + signal */
	char out[TEXT_MAX], err[TEXT_MAX];
};
extern struct outcome outcome;

struct started {
	pid_t pid;
	FILE *out, *err;
};

/* Runs in the child before the exec. */
typedef void (*prepare_fn)(void);

void become_nobody(void);
void hide_btf(void);

/* Starts memtree with the words of `line`, split at blanks; a word in quotes keeps its
 * blanks, and $M is memtree for a shell in it. */
struct started start(prepare_fn prepare, const char *line);
void finish(struct started started);
void run_prepared(prepare_fn prepare, const char *line);
void run(const char *line);

/* What a command that still runs has written, behind `from`; and until it writes that. */
void text_read(FILE *file, off_t from, char text[TEXT_MAX]);
void text_await(FILE *file, const char *wanted);

/* Of a child, as wait() gives it. Who does not end in time is killed, and the test fails. */
int await_end(pid_t child);

/* An end of a FIFO for writing, as soon as somebody reads. */
int reader_await(const char *fifo);

/* The program under test. */
const char *memtree(void);

void assert_one_line(const char *text);

/* The trackers of this machine that are ours, or those that are not. */
int trackers_count(bool ours);
bool tracker_left(void);
/* Of ours. */
void await_trackers(int wanted);
/* That of `loader` is nobody's leftover: it counts as another's. */
void tracker_disown(pid_t loader);

/* What was printed, parsed; the caller drops it. */
json_t *document(void);
/* A tree as memtree shows it now, with its processes; NULL: there is none (that has one name).
 * The caller drops it. */
json_t *tree_shown(const char *name);
/* Of all that are shown; fails the test when there is none of that name. */
json_t *tree_named(const json_t *root, const char *name);
json_int_t integer(const json_t *object, const char *key);
/* `keys` ends with NULL. */
void assert_keys(const json_t *object, const char *const *keys);

#endif /* MEMTREE_TEST_SHELL_H */
