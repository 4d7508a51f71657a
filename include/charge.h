/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The arithmetic of charging, on integers alone: compiled into the BPF programs and
 * natively, where the unit tests check it. No map, no clock, no kernel type.
 */
#ifndef MEMTREE_CHARGE_H
#define MEMTREE_CHARGE_H

#include "maps.h"

#define CHARGE_INLINE static inline __attribute__((always_inline, unused))

/*
 * No branches where there is one for each of four kinds, or in loops over trees and windows: the
 * verifier would follow all combinations. Sizes are far from the ends of the type.
 */

/* All bits when it is below zero, else none; hidden, or clang (14) makes a branch of it again. */
CHARGE_INLINE __s64 charge_sign(__s64 bytes)
{
	__s64 mask = bytes >> 63;

	__asm__("" : "+r"(mask));
	return mask;
}

/* A per-CPU counter read without its remainders may be below zero for a while. */
CHARGE_INLINE __s64 charge_clamp(__s64 bytes)
{
	return bytes & ~charge_sign(bytes);
}

CHARGE_INLINE __s64 charge_least(__s64 one, __s64 other)
{
	return other + ((one - other) & charge_sign(one - other));
}

/* The first epoch at which an exemption opened at `now_ns` is over. */
CHARGE_INLINE __u64 charge_deadline(__u64 now_ns, __u64 window_ns)
{
	const __u64 grid = 1ULL << MT_EPOCH_SHIFT;

	return window_ns ? (now_ns + window_ns + grid - 1) >> MT_EPOCH_SHIFT : 0;
}

CHARGE_INLINE int charge_window_open(__u64 deadline, __u64 now_ns)
{
	return deadline > (now_ns >> MT_EPOCH_SHIFT);
}

/*
 * What a child inherits of one kind: what it holds at fork, but while its parent's own
 * window is open no more than the parent still has as inherited.
 */
CHARGE_INLINE __s64 charge_inherit(__s64 child, __s64 parent_inherited, int parent_open)
{
	__s64 most = parent_open ? parent_inherited : child;

	return charge_least(charge_clamp(child), charge_clamp(most));
}

/* How far the ratchet turns: never above zero, except to undo what racing CPUs took
 * twice. Add the result to `inherited`. */
CHARGE_INLINE __s64 charge_ratchet(__s64 inherited, __s64 now)
{
	now = charge_clamp(now);
	if (inherited < 0)
		return -inherited;
	return inherited > now ? now - inherited : 0;
}

/* All bits when a metric counts the kind, else none. */
CHARGE_INLINE __s64 charge_mask(__u32 metric, __u32 kind)
{
	return -(__s64)((metric >> kind) & 1);
}

/* The part of four kinds that a metric counts. */
CHARGE_INLINE __s64 charge_measure(const __s64 bytes[MT_KINDS], __u32 metric)
{
	return (bytes[MT_FILE] & charge_mask(metric, MT_FILE)) +
	       (bytes[MT_ANON] & charge_mask(metric, MT_ANON)) +
	       (bytes[MT_SWAP] & charge_mask(metric, MT_SWAP)) +
	       (bytes[MT_SHMEM] & charge_mask(metric, MT_SHMEM));
}

#endif /* MEMTREE_CHARGE_H */
