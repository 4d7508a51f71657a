/* SPDX-License-Identifier: GPL-2.0-only */
/* Memory that a benchmark shares with the parts of this program that it starts. */
#ifndef MEMTREE_BENCH_BOARD_H
#define MEMTREE_BENCH_BOARD_H

#include <stddef.h>

/* Zeroed, and the fd to name to the parts, which inherit it; NULL, after a line on stderr. */
void *board_create(size_t size, int *ret_fd);

/* The same memory in a part that was told `fd`; ends it when there is none. */
void *board_join(const char *fd, size_t size);

/* NULL is allowed. */
void board_free(void *board, size_t size, int fd);

#endif /* MEMTREE_BENCH_BOARD_H */
