// SPDX-License-Identifier: GPL-2.0-only
#include "vitals.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "census.h"
#include "cleanup.h"
#include "clock.h"

/* Entries fetched at once; a bucket holds far fewer. */
#define BATCH 256

static const struct {
	enum mt_map map;
	size_t key_size, value_size;
} filled[FILLS] = {
	[FILL_PROCESSES] = {MT_MAP_PROCESSES, 4, sizeof(struct mt_process)},
	[FILL_ZOMBIES] = {MT_MAP_ZOMBIES, 4, sizeof(struct mt_zombie)},
	[FILL_SPACES] = {MT_MAP_SPACES, 8, sizeof(struct mt_space)},
	[FILL_WINDOWS] = {MT_MAP_WINDOWS, sizeof(struct mt_window_key), sizeof(struct mt_window)},
	[FILL_TREES] = {MT_MAP_REGISTRY, 4, sizeof(struct mt_registration)},
};

/* Bucket by bucket, each entry once: a walk from key to key would begin again at a key that
 * was deleted meanwhile. */
static int entries_count(int map, size_t key_size, size_t value_size, uint32_t *ret_used)
{
	_cleanup_free_ void *keys = calloc(BATCH, key_size), *values = calloc(BATCH, value_size);
	__u32 place = 0, used = 0, got;
	bool first = true;
	int err;

	if (!keys || !values)
		return -ENOMEM;
	do {
		got = BATCH;
		err = bpf_map_lookup_batch(map, first ? NULL : &place, &place, keys, values, &got,
					   NULL);
		if (err && errno != ENOENT)
			return -errno;
		used += got;
		first = false;
	} while (!err);
	*ret_used = used;
	return 0;
}

static int fills_read(const struct tracker *tracker, struct vitals *vitals)
{
	for (int fill = 0; fill < FILLS; fill++) {
		int map = tracker->maps[filled[fill].map];
		struct bpf_map_info info = {};
		__u32 size = sizeof(info);
		int err;

		if (bpf_obj_get_info_by_fd(map, &info, &size))
			return -errno;
		vitals->capacity[fill] = info.max_entries;
		err = entries_count(map, filled[fill].key_size, filled[fill].value_size,
				    &vitals->used[fill]);
		if (err)
			return err;
	}
	return 0;
}

/* The program behind a link; both are named by a header that may be anybody's, and nothing
 * but figures is read of them. */
static int program_open(uint32_t link_id)
{
	_cleanup_close_ int link = bpf_link_get_fd_by_id(link_id);
	struct bpf_link_info info = {};
	__u32 size = sizeof(info);
	int program;

	if (link < 0 || bpf_obj_get_info_by_fd(link, &info, &size))
		return -errno;
	program = bpf_prog_get_fd_by_id(info.prog_id);
	return program < 0 ? -errno : program;
}

static int program_read(uint32_t link_id, struct program_cost *ret_cost, bool *ret_misses_known)
{
	_cleanup_close_ int program = program_open(link_id);
	struct bpf_prog_info info = {};
	__u32 size = sizeof(info);

	if (program < 0)
		return program;
	if (bpf_obj_get_info_by_fd(program, &info, &size))
		return -errno;
	memcpy(ret_cost->name, info.name, sizeof(ret_cost->name));
	ret_cost->name[sizeof(ret_cost->name) - 1] = '\0';
	ret_cost->events = info.run_cnt;
	ret_cost->run_ns = info.run_time_ns;
	ret_cost->misses = info.recursion_misses;
	*ret_misses_known = size >= offsetof(struct bpf_prog_info, recursion_misses) +
					    sizeof(info.recursion_misses);
	return 0;
}

/* Its maps are ours to read even after its end; its links go with it. */
static int programs_read(const struct tracker *tracker, struct vitals *vitals)
{
	int err = 0;

	for (int i = 0; i < MT_LINKS_MAX && tracker->header.link_ids[i] && !err; i++) {
		err = program_read(tracker->header.link_ids[i],
				   &vitals->programs[vitals->program_count], &vitals->misses_known);
		vitals->program_count++;
	}
	vitals->gone = err == -ENOENT;
	return vitals->gone ? 0 : err;
}

static int all_programs_read(struct tracker *const *trackers, int count, struct vitals *vitals)
{
	int err = 0;

	for (int i = 0; i < count && !err; i++)
		err = programs_read(trackers[i], &vitals[i]);
	return err;
}

/* What the programs did from one reading to the next. */
static void costs_subtract(struct vitals *vitals, const struct vitals *before)
{
	vitals->gone |= before->gone;
	for (int i = 0; i < vitals->program_count && !vitals->gone; i++) {
		vitals->programs[i].events -= before->programs[i].events;
		vitals->programs[i].run_ns -= before->programs[i].run_ns;
	}
}

static void wait_ns(uint64_t ns)
{
	struct timespec left = {.tv_sec = (time_t)(ns / 1000000000),
				.tv_nsec = (long)(ns % 1000000000)};

	while (nanosleep(&left, &left) && errno == EINTR)
		;
}

static int costs_read(struct tracker *const *trackers, int count, uint64_t measure_ns,
		      struct vitals *vitals)
{
	_cleanup_free_ struct vitals *before = calloc((size_t)count, sizeof(*before));
	uint64_t began_ns = clock_ns(CLOCK_MONOTONIC), measured_ns;
	int err;

	if (!before)
		return -ENOMEM;
	err = all_programs_read(trackers, count, before);
	if (!err)
		wait_ns(measure_ns);
	measured_ns = measure_ns ? clock_ns(CLOCK_MONOTONIC) - began_ns : 0;
	if (!err)
		err = all_programs_read(trackers, count, vitals);
	for (int i = 0; i < count && !err; i++) {
		costs_subtract(&vitals[i], &before[i]);
		vitals[i].measured_ns = measured_ns;
	}
	return err;
}

/* A census first: what it heals is no illness. */
static int losses_read(const struct tracker *tracker, struct vitals *vitals)
{
	uint64_t open[MT_LOSSES];
	int err = census_heal(tracker);

	if (!err)
		err = census_losses(tracker, open);
	if (!err)
		err = tracker_losses(tracker, vitals->losses);
	for (int loss = 0; loss < MT_LOSSES && !err; loss++)
		vitals->healed[loss] = vitals->losses[loss] - open[loss];
	return err;
}

int vitals_read(struct tracker *const *trackers, int count, uint64_t measure_ns,
		struct vitals *ret_vitals)
{
	int err;

	memset(ret_vitals, 0, (size_t)count * sizeof(*ret_vitals));
	err = count ? costs_read(trackers, count, measure_ns, ret_vitals) : 0;
	for (int i = 0; i < count && !err; i++) {
		ret_vitals[i].id = trackers[i]->id;
		ret_vitals[i].loader_tgid = trackers[i]->header.loader_tgid;
		err = fills_read(trackers[i], &ret_vitals[i]);
		if (!err)
			err = losses_read(trackers[i], &ret_vitals[i]);
	}
	return err;
}
