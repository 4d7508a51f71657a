/* SPDX-License-Identifier: GPL-2.0-only */
/* A cgroup of the test's own, in the hierarchy that counts memory, of either version. */
#ifndef MEMTREE_TEST_BOX_H
#define MEMTREE_TEST_BOX_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct box {
	char folder[256];	   /* empty: none could be made */
	const char *path;	   /* of it, absolute in the hierarchy */
	const char *usage, *limit; /* its files */
	const char *dirty;	   /* a line of its memory.stat */
};

/* Where the hierarchy is mounted that counts memory: of version 1, else the unified one. */
bool hierarchy_find(char ret_folder[128], bool *ret_v1);

/* Whether there is such a hierarchy that this program may change. */
bool box_can_be_made(void);

/* `below` is "" or "/name": a cgroup inside one made before. */
void box_open(struct box *box, const char *below);
/* After its last process has been reaped. */
void box_close(struct box *box);

void box_enter(const struct box *box, pid_t pid);
/* A file that is not there is left out. */
void box_write(const struct box *box, const char *file, const char *text);
uint64_t box_number(const struct box *box, const char *file);
uint64_t box_stat(const struct box *box, const char *line);

#endif /* MEMTREE_TEST_BOX_H */
