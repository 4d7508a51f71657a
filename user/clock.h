/* SPDX-License-Identifier: GPL-2.0-only */
/* The clocks, in nanoseconds. Pure rooms get the time as an argument instead. */
#ifndef MEMTREE_CLOCK_H
#define MEMTREE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

#endif /* MEMTREE_CLOCK_H */
