// SPDX-License-Identifier: GPL-2.0-only
#include "health.h"

#define FILL_CRITICAL_PERCENT 90

static const struct {
	enum loss_effect effect;
	const char *meaning;
} losses[MT_LOSSES] = {
	[MT_LOSS_PROCESSES_FULL] = {LOSS_WRONG_FIGURES,
				    "attempts (up to 3 a fork) found no process slot: those are "
				    "not counted; start with a larger --capacity"},
	[MT_LOSS_ZOMBIES_FULL] = {LOSS_LACKS_DETAIL, "zombies found no slot: they are not shown"},
	[MT_LOSS_SPACES_FULL] = {LOSS_WRONG_FIGURES,
				 "address spaces found no slot: they are not charged; start with "
				 "a larger --capacity"},
	[MT_LOSS_WINDOWS_FULL] = {LOSS_WRONG_FIGURES,
				  "inherited memory found no window: it was charged at once"},
	[MT_LOSS_MISSED_BIRTH] = {LOSS_IS_HEALED,
				  "forks were never seen: a census found the children"},
	[MT_LOSS_STALE_PROCESS] = {LOSS_IS_HEALED, "exits were never seen: found since"},
	[MT_LOSS_STALE_SPACE] = {LOSS_IS_HEALED,
				 "ends of address spaces were never seen: found since"},
	[MT_LOSS_CHILDREN] = {LOSS_WRONG_FIGURES,
			      "children of members that ended could not be entered: they are not "
			      "counted and cannot be found again"},
	[MT_LOSS_NO_TREE] = {LOSS_WRONG_FIGURES, "events of members whose tree is gone"},
	[MT_LOSS_ARGS] = {LOSS_LACKS_DETAIL, "arguments could not be read at an exec"},
	[MT_LOSS_BUSY] = {LOSS_WRONG_FIGURES,
			  "a map's lock could not be had: entries stay or are missing"},
	[MT_LOSS_EVENTS] = {LOSS_LACKS_DETAIL, "crossings found no room in the ring buffer: the "
					       "next event told them"},
	[MT_LOSS_SCRATCH] = {LOSS_WRONG_FIGURES, "no scratch record: a fork was not seen"},
	[MT_LOSS_STORIES] = {LOSS_IS_TOLD, "forks, execs and exits came too fast for a reader of "
					   "events --all"},
};

enum loss_effect loss_effect(enum mt_loss loss)
{
	return losses[loss].effect;
}

const char *loss_meaning(enum mt_loss loss)
{
	return losses[loss].meaning;
}

uint64_t loss_open(const struct vitals *vitals, enum mt_loss loss)
{
	if (losses[loss].effect != LOSS_WRONG_FIGURES ||
	    vitals->healed[loss] >= vitals->losses[loss])
		return 0;
	return vitals->losses[loss] - vitals->healed[loss];
}

bool fill_is_critical(const struct vitals *vitals, enum fill fill)
{
	return fill != FILL_WINDOWS &&
	       (uint64_t)vitals->used[fill] * 100 >
		       (uint64_t)vitals->capacity[fill] * FILL_CRITICAL_PERCENT;
}

const char *fill_name(enum fill fill)
{
	static const char *const names[FILLS] = {
		[FILL_PROCESSES] = "processes", [FILL_ZOMBIES] = "zombies",
		[FILL_SPACES] = "spaces",	[FILL_WINDOWS] = "windows",
		[FILL_TREES] = "trees",
	};

	return names[fill];
}

/* Misses alone make nobody ill: a twin has mostly seen the event, and what has come of one
 * that has not is among the losses once it is known. */
bool health_judge(const struct vitals *vitals)
{
	if (vitals->gone)
		return true;
	for (int loss = 0; loss < MT_LOSSES; loss++)
		if (loss_open(vitals, (enum mt_loss)loss))
			return false;
	for (int fill = 0; fill < FILLS; fill++)
		if (fill_is_critical(vitals, (enum fill)fill))
			return false;
	return true;
}

double cost_events_per_second(const struct vitals *vitals, const struct program_cost *program)
{
	if (!vitals->measured_ns)
		return 0;
	return (double)program->events * 1e9 / (double)vitals->measured_ns;
}

double cost_ns_per_event(const struct program_cost *program)
{
	return program->events ? (double)program->run_ns / (double)program->events : 0;
}

double cost_cpu_percent(const struct vitals *vitals, const struct program_cost *program)
{
	if (!vitals->measured_ns)
		return 0;
	return (double)program->run_ns * 100 / (double)vitals->measured_ns;
}

struct program_cost cost_sum(const struct vitals *vitals)
{
	struct program_cost sum = {.name = "all"};

	for (int i = 0; i < vitals->program_count; i++) {
		sum.events += vitals->programs[i].events;
		sum.run_ns += vitals->programs[i].run_ns;
		sum.misses += vitals->programs[i].misses;
	}
	return sum;
}
