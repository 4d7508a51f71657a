// SPDX-License-Identifier: GPL-2.0-only
/* Kernel memory of all of a tracker's maps, per process slot. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>

#include "bench.h"
#include "cleanup.h"
#include "figures.h"
#include "loader.h"
#include "talk.h"
#include "tracker.h"

#define IDS_MAX 256
#define GOAL_BYTES 1024

struct ids {
	uint32_t ids[IDS_MAX];
	int count;
};

static void ids_add(struct ids *ids, uint32_t id)
{
	for (int i = 0; i < ids->count; i++)
		if (ids->ids[i] == id)
			return;
	if (ids->count < IDS_MAX)
		ids->ids[ids->count++] = id;
}

/* Also those that no reader needs: scratch records, variables. */
static int maps_of_program(int program, struct ids *maps)
{
	uint32_t map_ids[IDS_MAX];
	struct bpf_prog_info info = {
		.nr_map_ids = IDS_MAX,
		.map_ids = (__u64)(unsigned long)map_ids,
	};
	__u32 size = sizeof(info);

	if (bpf_obj_get_info_by_fd(program, &info, &size))
		return -errno;
	for (__u32 i = 0; i < info.nr_map_ids && i < IDS_MAX; i++)
		ids_add(maps, map_ids[i]);
	return 0;
}

static int maps_of_tracker(const struct tracker *tracker, struct ids *maps)
{
	int err = 0;

	for (int i = 0; i < MT_MAPS; i++)
		ids_add(maps, tracker->header.map_ids[i]);
	ids_add(maps, tracker->id);
	for (int i = 0; i < MT_PROGS && !err; i++)
		if (tracker->progs[i] >= 0)
			err = maps_of_program(tracker->progs[i], maps);
	for (int i = 0; i < MT_LINKS_MAX && tracker->header.link_ids[i] && !err; i++) {
		struct bpf_link_info info = {};
		__u32 size = sizeof(info);
		_cleanup_close_ int link = bpf_link_get_fd_by_id(tracker->header.link_ids[i]);
		_cleanup_close_ int program = -1;

		if (link < 0 || bpf_obj_get_info_by_fd(link, &info, &size))
			return -errno;
		program = bpf_prog_get_fd_by_id(info.prog_id);
		err = program < 0 ? -errno : maps_of_program(program, maps);
	}
	return err;
}

/* As the kernel accounts it: real use from 6.4, its estimate before. */
static long long map_memlock(uint32_t id)
{
	_cleanup_close_ int map = bpf_map_get_fd_by_id(id);
	char name[64], line[128];
	long long bytes = -ENOENT;
	FILE *file;

	snprintf(name, sizeof(name), "/proc/self/fdinfo/%d", map);
	file = map < 0 ? NULL : fopen(name, "re");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "memlock: %lld", &bytes) == 1)
			break;
	if (file)
		fclose(file);
	return bytes;
}

static int slots_measure(uint32_t capacity, long long *ret_bytes, uint32_t *ret_capacity)
{
	const struct loader_options options = {.process_capacity = capacity};
	struct loader *loader = NULL;
	struct tracker *tracker = NULL;
	struct ids maps = {};
	long long sum = 0;
	int err = loader_start(&options, &loader);

	if (!err)
		err = tracker_open(loader_tracker_id(loader), &tracker);
	if (!err)
		err = maps_of_tracker(tracker, &maps);
	for (int i = 0; i < maps.count && !err; i++) {
		long long bytes = map_memlock(maps.ids[i]);

		if (bytes < 0)
			err = (int)bytes;
		sum += bytes;
	}
	if (!err) {
		*ret_capacity = tracker->header.process_capacity;
		*ret_bytes = sum;
	}
	tracker_close(tracker);
	loader_stop(loader);
	return err;
}

int bench_slots(int argc, char **argv)
{
	long long bytes, doubled;
	uint32_t capacity, twice;
	char against[FIGURE_TEXT], what[FIGURE_TEXT];
	double per_slot, further;
	int err = slots_measure(0, &bytes, &capacity);

	if (!err)
		err = slots_measure(2 * capacity, &doubled, &twice);
	if (err) {
		talk_error(err, "the maps' memory cannot be read: %s", strerror(-err));
		return EXIT_FAILED;
	}
	per_slot = (double)bytes / capacity;
	further = (double)(doubled - bytes) / (twice - capacity);
	snprintf(what, sizeof(what), "  %u slots (the default), each", capacity);
	snprintf(against, sizeof(against), "%.1f MiB in all", (double)bytes / (1 << 20));
	head_tell("kernel memory of the maps");
	row_tell(&(struct row){.what = what,
			       .unit = "B",
			       .spread = {.median = per_slot},
			       .against = against,
			       .goal = "below 1 KiB",
			       .verdict = figures_verdict(per_slot < GOAL_BYTES)});
	row_tell(&(struct row){
		.what = "  each further slot", .unit = "B", .spread = {.median = further}});
	printf("raw,slots,bytes,%u,%lld\nraw,slots,bytes,%u,%lld\n", capacity, bytes, twice,
	       doubled);
	return EXIT_OK;
}
