/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A process that has a tracker, guards its trees and listens on a path: what a daemon is to those
 * who ask it. And what one asks it, one line each.
 */
#ifndef MEMTREE_TEST_HOST_H
#define MEMTREE_TEST_HOST_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

struct host {
	pid_t pid;
	char folder[64], path[96];
	FILE *err; /* what it has said */
};

/* Of the test's program: `--host PATH GID`. */
int host_main(const char *path, const char *gid);

/* A folder for its socket, which anybody may pass, and the host once it listens. */
struct host host_start(gid_t gid);
/* Another one on the same path; it is awaited until it listens or has ended. True: it listens. */
bool host_restart(struct host *host, gid_t gid);
/* With SIGTERM; what is left of it is removed. */
void host_stop(struct host *host);

/* -1 when that is not permitted, or nobody listens. Reading from it has a deadline. */
int host_connect(const struct host *host);
void host_send(int fd, const char *text);
/* The next line as JSON; NULL at the end. The caller drops it. */
json_t *host_hear(int fd);

/* On a connection of its own; the caller drops the answer. `format` is one JSON object. */
json_t *host_ask(const struct host *host, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* The same, when it is to be refused with that status and with `text` in the reason. */
void host_refuses(const struct host *host, int status, const char *text, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* The same, when it is to be done. */
void host_does(const struct host *host, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif /* MEMTREE_TEST_HOST_H */
