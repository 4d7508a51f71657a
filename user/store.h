/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The journal's lines on disk, so that `why` answers after a tree's end and after a restart:
 * PATH, and PATH.1 for the generation before, each at most half of the size. A line is one write
 * into the page cache and never an fsync: SIGKILL of memtree costs nothing, a power loss what the
 * kernel had not written back (some 30 s as kernels come), and perhaps a torn or zeroed end, which
 * is skipped when it is read. Belongs on a local file system: one that hangs would hold up the
 * loop. Tells nobody; store_complaint has what is to be told.
 */
#ifndef MEMTREE_STORE_H
#define MEMTREE_STORE_H

#include <stdint.h>

#include "journal.h"

struct store;

struct store_counts {
	uint64_t written;   /* lines */
	uint64_t lost;	    /* lines that could not be written, or were longer than a generation */
	uint64_t restored;  /* lines read back */
	uint64_t garbage;   /* lines that were none of ours, a torn one included */
	uint64_t rotations; /* generations begun anew */
	int error;	    /* of the last write: 0, or a negative errno while it fails */
};

/*
 * Never fails but for memory (-ENOMEM): where the file cannot be opened, lines are counted as lost,
 * and each further one tries again. `bytes` are of both generations. The folder is made (0700) if
 * its parent is there; the file has mode 0600, and is neither followed as a symbolic link nor taken
 * over from somebody else.
 */
int store_open(const char *path, uint64_t bytes, struct store **ret_store);

/* NULL is allowed. Nothing waits for the disk. */
void store_close(struct store *store);

/* Another size from now on; a generation that is larger already ends with the next line. */
void store_resize(struct store *store, uint64_t bytes);

/*
 * Hands the newest lines of both generations back to a journal, oldest first, `bytes_max` of them
 * at most: their numbers stand, and its next one follows the highest. What is no line of a journal
 * is counted as garbage. For the start: it reads up to `bytes_max` bytes at once. -ENOMEM, or the
 * negative errno of a file that cannot be read; what could be read is there then.
 */
int store_restore(struct store *store, struct journal *journal, uint64_t bytes_max);

/* Appends one line, with its newline, as journal_add returns it; NULL is allowed and counted as
 * lost. 0, or a negative errno: the line is lost. */
int store_append(struct store *store, const char *line);

/* What is to be said now, one line; NULL when there is nothing new. Each trouble is handed out
 * once, and its end with the number of lines that it cost. Valid until the next call. */
const char *store_complaint(struct store *store);

const struct store_counts *store_counts(const struct store *store);

#endif /* MEMTREE_STORE_H */
