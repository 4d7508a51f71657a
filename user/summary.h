/* SPDX-License-Identifier: GPL-2.0-only */
/* What `run` and `add` say when they are done with a tree. */
#ifndef MEMTREE_SUMMARY_H
#define MEMTREE_SUMMARY_H

#include "tracker.h"

/* With -v: how long, the peak, how many processes; `begun_mono_ns` is CLOCK_MONOTONIC. */
void summary_tell(const struct tracker *tracker, uint32_t tree, uint64_t begun_mono_ns);

/* What the tracker of this tree has lost; with -v also what was healed. */
void summary_tell_losses(const struct tracker *tracker, const char *name);

/* What the daemon has decided about it, when it answers: nobody else tells who started it. */
void summary_tell_verdicts(const struct tracker *tracker, uint32_t tree, const char *name);

#endif /* MEMTREE_SUMMARY_H */
