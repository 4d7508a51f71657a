/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Workloads for the tests of limits, told in words: memtree-live --eat WORDS... does one
 * step after the other. It shares nothing with the test but its standard files and the
 * file that `await` waits for, so that it runs as the command of a real `memtree run`.
 *
 *   anon SIZE | huge SIZE | shmem SIZE | file SIZE   touches so much fresh memory, and keeps it
 *   reserve SIZE       so much address space, untouched
 *   free               gives the last of these back
 *   poked SIZE         the same as anon, but a child writes it from outside
 *   threads N SIZE     N threads at once, each anon SIZE; they stay
 *   again              writes the last of these once more, page by page: what a fork left shared
 *                      becomes the writer's own
 *   fork { ... }       a child does these steps and ends; the parent goes on at once
 *   forks N { ... }    the same for N children
 *   children N SIZE    N children at once, each anon SIZE; they stay as long as the parent
 *   chain N MS SIZE    N times: anon SIZE, MS of sleep, a fork; the child goes on, the parent ends
 *   execs N [at-once]  N children do an exec of something small; waits for all
 *   churn FILE         a child with 1M comes and goes, again and again, until the file is there
 *   bomb MS            forks without end, in every child too, each anon 1M; ends after MS
 *   wait               for all children
 *   setsid | ignore-term | sleep MS | say WORD | await FILE | make FILE | exit N
 */
#ifndef MEMTREE_TEST_EATER_H
#define MEMTREE_TEST_EATER_H

/* `words` ends with NULL. Returns an exit status. */
int eater_main(char **words);

#endif /* MEMTREE_TEST_EATER_H */
