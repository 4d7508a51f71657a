/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Is a tracker healthy: do its figures hold, and does it have room? Pure: judges what
 * vitals.h has read.
 */
#ifndef MEMTREE_HEALTH_H
#define MEMTREE_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "maps.h"

enum fill {
	FILL_PROCESSES,
	FILL_ZOMBIES,
	FILL_SPACES,
	FILL_WINDOWS,
	FILL_TREES,
	FILLS,
};

/* One attached program. `events` and `run_ns` are those of the time measured. */
struct program_cost {
	char name[16]; /* as the kernel keeps it, cut */
	uint64_t events, run_ns;
	uint64_t misses; /* since it was loaded */
};

struct vitals {
	uint32_t id, loader_tgid;
	uint32_t used[FILLS], capacity[FILLS];
	uint64_t losses[MT_LOSSES];
	uint64_t healed[MT_LOSSES]; /* how many of them a census has made good */
	struct program_cost programs[MT_LINKS_MAX];
	int program_count;
	bool misses_known;    /* the kernel counts them */
	bool gone;	      /* it ended while it was read: nothing else is valid */
	uint64_t measured_ns; /* 0: the costs were not measured */
};

/* What a loss does to what is shown. */
enum loss_effect {
	LOSS_WRONG_FIGURES, /* until it is healed: something is not counted, or stays counted */
	LOSS_LACKS_DETAIL,  /* the figures hold; a zombie or arguments are not shown */
	LOSS_IS_HEALED,	    /* it is counted at the moment that it heals */
	LOSS_IS_TOLD,	    /* to the reader that it was lost for; nobody else misses it */
};
enum loss_effect loss_effect(enum mt_loss loss);

/* What happened and what to do, in one phrase, static. */
const char *loss_meaning(enum mt_loss loss);

/* How many losses of a reason still falsify figures. */
uint64_t loss_open(const struct vitals *vitals, enum mt_loss loss);

/* Is there hardly room left? Windows are sized for their worst case and may be full. */
bool fill_is_critical(const struct vitals *vitals, enum fill fill);
const char *fill_name(enum fill fill);

bool health_judge(const struct vitals *vitals);

/* Per program and for all of them: 0 when nothing was measured. */
double cost_events_per_second(const struct vitals *vitals, const struct program_cost *program);
double cost_ns_per_event(const struct program_cost *program);
double cost_cpu_percent(const struct vitals *vitals, const struct program_cost *program);
struct program_cost cost_sum(const struct vitals *vitals);

#endif /* MEMTREE_HEALTH_H */
