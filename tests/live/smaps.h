/* SPDX-License-Identifier: GPL-2.0-only */
/* The oracle: the kernel's own walk of the page tables, by kind. */
#ifndef MEMTREE_TEST_SMAPS_H
#define MEMTREE_TEST_SMAPS_H

#include <stdint.h>
#include <sys/types.h>

#include "maps.h"

/* Bytes by kind of the thread `tid` of `pid`; -1 when it cannot be read. */
int smaps_read(pid_t pid, pid_t tid, int64_t ret_bytes[MT_KINDS]);

#endif /* MEMTREE_TEST_SMAPS_H */
