/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How many trees may be ended within a minute: one more disarms, until a minute has passed
 * without. A wrong limit, or a fault of memtree's own, then ends a few trees and not all. Pure.
 */
#ifndef MEMTREE_BLAST_H
#define MEMTREE_BLAST_H

#include <stdbool.h>
#include <stdint.h>

#define BLAST_MOST 1000
#define BLAST_MINUTE_NS 60000000000ULL

/* Zero it and set `most`. Times are of one clock that only grows, and never 0. */
struct blast {
	uint32_t most; /* 0: no bound */
	uint32_t next;
	uint64_t ended_ns[BLAST_MOST]; /* a ring of the last `most` */
	uint64_t disarmed_until_ns;    /* 0: armed */
};

/* Whether another tree may be ended now, and notes it. Else it disarms. */
bool blast_permits(struct blast *blast, uint64_t now_ns);

/* Somebody else has ended one, permitted or not. */
void blast_note(struct blast *blast, uint64_t now_ns);

/* Arms again when its time has come; true when it does. */
bool blast_rearms(struct blast *blast, uint64_t now_ns);

static inline bool blast_is_disarmed(const struct blast *blast)
{
	return blast->disarmed_until_ns;
}

#endif /* MEMTREE_BLAST_H */
