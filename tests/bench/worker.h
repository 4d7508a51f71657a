/* SPDX-License-Identifier: GPL-2.0-only */
/* The process that is measured: does on request what costs, and tells how long it took. */
#ifndef MEMTREE_BENCH_WORKER_H
#define MEMTREE_BENCH_WORKER_H

#include <stdint.h>

#define WORKER_REGION (2L << 20)
#define WORKER_THREADS_MAX 8

enum worker_order {
	WORKER_FAULTS, /* picoseconds per fault: the median of `count` passes */
	WORKER_SPAWN,  /* nanoseconds per fork, exec and exit: the median of `count` */
	WORKER_HOLD,   /* touch the region and keep it */
	WORKER_DROP,   /* give it back */
};

/* Asks and waits; 0 or a negative errno. */
int worker_ask(int socket, enum worker_order order, int threads, int count, int64_t *ret_value);

/* The worker itself, on the other end of the socket. */
int worker_main(int argc, char **argv);

#endif /* MEMTREE_BENCH_WORKER_H */
