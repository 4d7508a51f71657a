// SPDX-License-Identifier: GPL-2.0-only
#include "beside.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "census.h"
#include "clock.h"

static void maps_free(struct beside_maps *maps, int count)
{
	for (int i = 0; maps && i < count; i++)
		look_free(&maps[i].look);

	free(maps);
}

static int maps_read(const struct node *node, struct beside_maps *maps)
{
	int err = 0;

	for (int i = 0; i < node->count && !err; i++)
		err = look_take(node->trackers[i].tracker, &maps[i].look);
	return err;
}

/* What a loss has left is mended first, so that it is not taken for a difference. */
static int trackers_heal(const struct node *node)
{
	int err = 0;

	for (int i = 0; i < node->count && !err; i++)
		err = census_heal(node->trackers[i].tracker);
	return err < 0 ? err : 0;
}

static int sides_read(const struct node *node, struct procfs *procfs, struct beside *beside)
{
	uint64_t calls = procfs->calls, begun, ended;
	int err;

	beside->begun_boot_ns = clock_ns(CLOCK_BOOTTIME);
	beside->begun_real_ns = (int64_t)clock_ns(CLOCK_REALTIME);
	beside->map_calls = tracker_calls();
	begun = clock_ns(CLOCK_MONOTONIC);
	err = maps_read(node, beside->before);
	ended = clock_ns(CLOCK_MONOTONIC);
	beside->map_ns = ended - begun;
	beside->map_calls = tracker_calls() - beside->map_calls;
	if (!err)
		err = procfs_scan(procfs, &beside->all, &beside->all_count, &beside->unread);
	beside->procfs_ns = clock_ns(CLOCK_MONOTONIC) - ended;
	beside->procfs_calls = procfs->calls - calls;
	if (!err)
		err = maps_read(node, beside->after);
	/* Attached still: so it was while both sides were read. */
	for (int i = 0; i < node->count && !err; i++)
		beside->after[i].ended = !tracker_is_attached(node->trackers[i].tracker);
	return err;
}

int beside_read(const struct node *node, struct procfs *procfs, struct beside *ret_beside)
{
	struct beside beside = {.trackers = node->count};
	int err = trackers_heal(node);

	beside.before = calloc((size_t)node->count + 1, sizeof(*beside.before));
	beside.after = calloc((size_t)node->count + 1, sizeof(*beside.after));
	if (!beside.before || !beside.after)
		err = -ENOMEM;
	if (!err)
		err = sides_read(node, procfs, &beside);
	if (err) {
		beside_free(&beside);
		return err;
	}
	*ret_beside = beside;
	return 0;
}

void beside_free(struct beside *beside)
{
	maps_free(beside->before, beside->trackers);
	maps_free(beside->after, beside->trackers);
	free(beside->all);
	memset(beside, 0, sizeof(*beside));
}
