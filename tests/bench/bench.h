/* SPDX-License-Identifier: GPL-2.0-only */
/* The benchmarks that main.c chooses from. Each prints rows and raw lines and fails only
 * when it could not measure. */
#ifndef MEMTREE_BENCH_BENCH_H
#define MEMTREE_BENCH_BENCH_H

int bench_faults(int argc, char **argv);
int bench_spawn(int argc, char **argv);
int bench_snapshot(int argc, char **argv);
int bench_slots(int argc, char **argv);
int bench_watch(int argc, char **argv);
int bench_bursts(int argc, char **argv);
int bench_crossing(int argc, char **argv);
int grower_main(int argc, char **argv);
int burst_main(int argc, char **argv);
int bench_accuracy(int argc, char **argv);
int sleepers_main(int argc, char **argv);

#endif /* MEMTREE_BENCH_BENCH_H */
