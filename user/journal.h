/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What happened to the trees of one tracker, newest last: a bounded log of JSON objects, each
 * kept as its line. Pure.
 */
#ifndef MEMTREE_JOURNAL_H
#define MEMTREE_JOURNAL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct journal;

/* Keeps at most so many entries, of so many bytes together. NULL without memory. */
struct journal *journal_new(size_t entries_max, size_t bytes_max);
void journal_free(struct journal *journal);

/*
 * Numbers the occurrence ("seq", from 1), keeps its line and forgets the oldest for which no
 * room is left. Takes the reference; NULL stands for one that could not be built. Returns the
 * line with its newline, valid until the next call; NULL, counted as dropped, when it cannot
 * be kept.
 */
const char *journal_add(struct journal *journal, json_t *occurrence);

/*
 * Keeps a line of an earlier journal as it is, of `length` bytes without the newline: its number
 * stands, and the next one follows the highest. False for what is none: no object, no number, one
 * that no journal reaches, or more bytes than may be kept. It comes from a file: it may hold
 * anything.
 */
bool journal_restore(struct journal *journal, const char *line, size_t length);

size_t journal_count(const struct journal *journal);

/* How many were forgotten, or never kept. */
uint64_t journal_dropped(const struct journal *journal);

/* The line of entry 0 (the oldest) to journal_count() - 1, with its newline. */
const char *journal_line(const struct journal *journal, size_t entry);

/* Whether it tells of the tree that "NAME" or "#ID" names. */
bool journal_is_about(const struct journal *journal, size_t entry, const char *tree);

#endif /* MEMTREE_JOURNAL_H */
