// SPDX-License-Identifier: GPL-2.0-only
#include "snapshot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include "cleanup.h"

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Everything an iterator writes, as one block of records. */
static int records_read(int iterator, size_t record_size, void **ret_records, size_t *ret_count)
{
	_cleanup_free_ char *records = NULL;
	size_t used = 0, room = 0;
	ssize_t got;

	do {
		if (room - used < 32768) {
			char *longer = realloc(records, room ? room * 2 : 65536);

			if (!longer)
				return -ENOMEM;
			records = longer;
			room = room ? room * 2 : 65536;
		}
		got = read(iterator, records + used, room - used);
		if (got < 0 && errno != EINTR && errno != EAGAIN)
			return -errno;
		if (got > 0)
			used += (size_t)got;
	} while (got);
	if (used % record_size)
		return -EPROTO;
	*ret_records = take_pointer(records);
	*ret_count = used / record_size;
	return 0;
}

/* Runs one of the tracker's iterators, over `map` or over all tasks (map < 0). */
static int iterator_run(int prog, int map, size_t record_size, void **ret_records,
			size_t *ret_count)
{
	union bpf_iter_link_info target = {.map = {.map_fd = (__u32)map}};
	LIBBPF_OPTS(bpf_link_create_opts, options, .iter_info = map < 0 ? NULL : &target,
		    .iter_info_len = map < 0 ? 0 : sizeof(target));
	_cleanup_close_ int link = bpf_link_create(prog, 0, BPF_TRACE_ITER, &options);
	_cleanup_close_ int iterator = -1;

	if (link < 0)
		return -errno;
	iterator = bpf_iter_create(link);
	if (iterator < 0)
		return -errno;
	return records_read(iterator, record_size, ret_records, ret_count);
}

/* Slot by slot: a walk from key to key starts again when its key is deleted meanwhile. */
static int trees_read(const struct tracker *tracker, struct snapshot *snapshot)
{
	uint32_t capacity = tracker->header.tree_capacity;

	snapshot->trees = calloc(capacity, sizeof(*snapshot->trees));
	if (!snapshot->trees)
		return -ENOMEM;
	for (__u32 slot = 0; slot < capacity; slot++) {
		struct tree_reading *tree = &snapshot->trees[snapshot->tree_count];

		if (!bpf_map_lookup_elem(tracker->maps[MT_MAP_REGISTRY], &slot,
					 &tree->registration) &&
		    !bpf_map_lookup_elem(tracker->maps[MT_MAP_SETTINGS], &slot, &tree->settings) &&
		    !bpf_map_lookup_elem(tracker->maps[MT_MAP_TOTALS], &slot, &tree->totals) &&
		    tree->settings.id == tree->registration.id)
			snapshot->tree_count++; /* else it is being opened or closed */
	}
	return 0;
}

/* Once more at the end: what stands still in between was read as one moment. */
static void totals_read_again(const struct tracker *tracker, struct snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->tree_count; i++) {
		struct tree_reading *tree = &snapshot->trees[i];
		__u32 slot = tree->settings.id & (tracker->header.tree_capacity - 1);

		bpf_map_lookup_elem(tracker->maps[MT_MAP_TOTALS], &slot, &tree->totals_after);
	}
}

/* Only when a walk along a group's threads hit its bound does a pass over tasks help. */
static int threads_read(const struct tracker *tracker, struct snapshot *snapshot)
{
	bool needed = false;

	for (size_t i = 0; i < snapshot->process_count; i++)
		if (snapshot->processes[i].leader_known &&
		    snapshot->processes[i].threads_read < snapshot->processes[i].threads)
			needed = true;
	if (!needed)
		return 0;
	return iterator_run(tracker->progs[MT_PROG_SNAPSHOT_THREADS], -1,
			    sizeof(*snapshot->threads), (void **)&snapshot->threads,
			    &snapshot->thread_count);
}

static int everything_read(const struct tracker *tracker, struct snapshot *snapshot)
{
	int err = trees_read(tracker, snapshot);

	if (!err)
		err = iterator_run(tracker->progs[MT_PROG_SNAPSHOT_PROCESSES],
				   tracker->maps[MT_MAP_PROCESSES], sizeof(*snapshot->processes),
				   (void **)&snapshot->processes, &snapshot->process_count);
	if (!err)
		err = threads_read(tracker, snapshot);
	if (!err)
		err = iterator_run(tracker->progs[MT_PROG_SNAPSHOT_SPACES],
				   tracker->maps[MT_MAP_SPACES], sizeof(*snapshot->spaces),
				   (void **)&snapshot->spaces, &snapshot->space_count);
	if (!err)
		err = iterator_run(tracker->progs[MT_PROG_SNAPSHOT_ZOMBIES],
				   tracker->maps[MT_MAP_ZOMBIES], sizeof(*snapshot->zombies),
				   (void **)&snapshot->zombies, &snapshot->zombie_count);
	if (!err)
		err = tracker_losses(tracker, snapshot->losses);
	totals_read_again(tracker, snapshot);
	return err;
}

int snapshot_read(const struct tracker *tracker, struct snapshot *ret_snapshot)
{
	struct snapshot snapshot = {
		.tracker_id = tracker->id,
		.loader_tgid = tracker->header.loader_tgid,
		.thread_remainders = tracker->header.thread_remainders,
		.error_bound_bytes = tracker->header.error_bound_bytes,
		.process_capacity = tracker->header.process_capacity,
		.mono_ns = clock_ns(CLOCK_MONOTONIC),
		.boot_ns = clock_ns(CLOCK_BOOTTIME),
		.real_ns = (int64_t)clock_ns(CLOCK_REALTIME),
	};
	int err = everything_read(tracker, &snapshot);

	if (err) {
		snapshot_free(&snapshot);
		return err;
	}
	*ret_snapshot = snapshot;
	return 0;
}

void snapshot_free(struct snapshot *snapshot)
{
	free(snapshot->trees);
	free(snapshot->spaces);
	free(snapshot->processes);
	free(snapshot->threads);
	free(snapshot->zombies);
	memset(snapshot, 0, sizeof(*snapshot));
}

int snapshot_args(const struct tracker *tracker, uint32_t tgid, uint64_t start_boot_ns,
		  struct mt_process *ret_process)
{
	struct mt_process process;

	if (bpf_map_lookup_elem(tracker->maps[MT_MAP_PROCESSES], &tgid, &process))
		return -errno;
	if (process.start_boot_ns != start_boot_ns)
		return -ENOENT;
	*ret_process = process;
	return 0;
}
