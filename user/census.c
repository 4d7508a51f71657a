// SPDX-License-Identifier: GPL-2.0-only
#include "census.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "cleanup.h"
#include "clock.h"
#include "health.h"

/* Each pass adopts at least one, and all that hang together in the order of their pids. */
#define PASSES_MAX 1000
#define PASSES_PATIENCE 4 /* then somebody is in the middle of something: a newborn for 50 ms */
#define PASSES_PAUSE_US 1000
#define CHUNK_WORDS 8 /* of arguments, as args_store() takes them */
#define CHUNK (CHUNK_WORDS * sizeof(uint64_t))

struct census {
	const struct tracker *tracker;
	uint32_t tree;
	uint32_t root_tgid;
	uint64_t root_start_boot_ns;
	pid_t wanted;
};

struct pass {
	struct mt_census_record *records;
	size_t count; /* without the last one */
	uint64_t adoptions;
};

/* 1 when the passes meet all tasks, 0 when those of our pid namespace alone. */
static int census_begin(const struct census *census)
{
	const uint64_t args[] = {1, census->tree, census->root_tgid, census->root_start_boot_ns,
				 (uint64_t)census->wanted};
	uint32_t begun = 0;
	int err = tracker_call(census->tracker, MT_PROG_CENSUS_BEGIN, args, 5, &begun);

	return err ? err : begun ? begun == 1 : -ENOSPC;
}

static void census_end(const struct census *census)
{
	const uint64_t args[] = {0, 0, 0, 0, 0};

	tracker_call(census->tracker, MT_PROG_CENSUS_BEGIN, args, 5, NULL);
}

/* The caller frees the records. */
static int pass_run(const struct census *census, struct pass *ret_pass)
{
	struct pass pass;
	int err = tracker_iterate(census->tracker, MT_PROG_CENSUS_TASKS, MT_MAPS,
				  sizeof(*pass.records), (void **)&pass.records, &pass.count);

	if (err)
		return err;
	if (!pass.count) {
		free(pass.records);
		return -EPROTO;
	}
	pass.adoptions = pass.records[--pass.count].adoptions;
	*ret_pass = pass;
	return 0;
}

/*
 * From the memory of a process that runs. If it ends meanwhile and its pid is used again,
 * its record is gone from the map and nothing is stored.
 */
static void args_capture(const struct census *census, const struct mt_census_record *record)
{
	union {
		char bytes[MT_ARGS_SIZE];
		uint64_t words[MT_ARGS_SIZE / sizeof(uint64_t)];
	} area = {};
	uint64_t length = record->arg_end - record->arg_start;
	struct iovec here = {.iov_base = area.bytes, .iov_len = sizeof(area.bytes)};
	struct iovec there = {.iov_base = (void *)(uintptr_t)record->arg_start};
	ssize_t got;

	there.iov_len = length < sizeof(area.bytes) ? length : sizeof(area.bytes);
	if (!record->pid || !length)
		return;
	got = process_vm_readv((pid_t)record->pid, &here, 1, &there, 1, 0);
	for (ssize_t at = 0; at < got; at += (ssize_t)CHUNK) {
		uint64_t args[4 + CHUNK_WORDS] = {record->tgid, record->mm, (uint64_t)at, length};

		memcpy(args + 4, area.bytes + at, CHUNK);
		tracker_call(census->tracker, MT_PROG_ARGS_STORE, args, 4 + CHUNK_WORDS, NULL);
	}
}

/* Passes until one adopts nobody; see bpf/census.bpf.h for why that is the end. */
static int passes_run(const struct census *census)
{
	uint64_t before = UINT64_MAX;

	for (int i = 0; i < PASSES_MAX; i++) {
		struct pass pass;
		int err;

		if (i >= PASSES_PATIENCE)
			usleep(PASSES_PAUSE_US);
		err = pass_run(census, &pass);
		if (err)
			return err;
		for (size_t j = 0; j < pass.count; j++)
			args_capture(census, &pass.records[j]);
		free(pass.records);
		if (pass.adoptions == before)
			return 0;
		before = pass.adoptions;
	}
	return -EAGAIN;
}

int census_find(const struct tracker *tracker, pid_t pid, struct mt_census_record *ret_found)
{
	const struct census census = {.tracker = tracker, .wanted = pid};
	struct pass pass;
	int err = census_begin(&census);

	if (err < 0)
		return err;
	err = pass_run(&census, &pass);
	census_end(&census);
	if (err)
		return err;
	if (pass.count)
		*ret_found = pass.records[0];
	err = pass.count ? 0 : -ESRCH;
	free(pass.records);
	return err;
}

int census_adopt(const struct tracker *tracker, uint32_t tree, uint32_t root_tgid,
		 uint64_t root_start_boot_ns)
{
	const struct census census = {.tracker = tracker,
				      .tree = tree,
				      .root_tgid = root_tgid,
				      .root_start_boot_ns = root_start_boot_ns};
	int err = census_begin(&census);

	if (err < 0)
		return err;
	err = passes_run(&census);
	census_end(&census);
	return err;
}

/* Counts what was spared, being too young. */
static int sweep(const struct census *census, enum mt_prog prog, enum mt_map map,
		 size_t *ret_spared)
{
	_cleanup_free_ void *records = NULL;

	return tracker_iterate(census->tracker, prog, map, 1, &records, ret_spared);
}

/* 1 when all is healed; 0 when it is not while somebody is young, or only what can be seen from
 * our pid namespace: a space that nobody was met with may be used outside. */
static int census_heal_now(const struct tracker *tracker)
{
	const struct census census = {.tracker = tracker};
	int whole = census_begin(&census), err;
	size_t processes = 0, spaces = 0;

	if (whole < 0)
		return whole;
	err = passes_run(&census);
	if (!err)
		err = sweep(&census, MT_PROG_CENSUS_PROCESSES, MT_MAP_PROCESSES, &processes);
	if (!err && whole)
		err = sweep(&census, MT_PROG_CENSUS_SPACES, MT_MAP_SPACES, &spaces);
	census_end(&census);
	return err ? err : whole && !processes && !spaces;
}

static int health_read(const struct tracker *tracker, struct mt_health *ret_health)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(tracker->maps[MT_MAP_HEALTH], &zero, ret_health) ? -errno : 0;
}

int census_losses(const struct tracker *tracker, uint64_t *ret_losses)
{
	struct mt_health health;
	int err = health_read(tracker, &health);

	if (!err)
		err = tracker_losses(tracker, ret_losses);
	for (int loss = 0; loss < MT_LOSSES && !err; loss++)
		ret_losses[loss] -= loss_effect((enum mt_loss)loss) == LOSS_IS_TOLD
					    ? ret_losses[loss]
					    : health.losses[loss];
	return err;
}

/* Children whose last link to the tree is cut cannot be found any more. */
static bool is_healable(int loss)
{
	return loss != MT_LOSS_CHILDREN;
}

static bool any_healable(const uint64_t *losses)
{
	for (int loss = 0; loss < MT_LOSSES; loss++)
		if (losses[loss] && is_healable(loss))
			return true;
	return false;
}

int census_heal(const struct tracker *tracker)
{
	uint64_t losses[MT_LOSSES], misses = tracker_misses(tracker);
	struct mt_health health;
	__u32 zero = 0;
	int err = health_read(tracker, &health);

	if (!err)
		err = census_losses(tracker, losses);
	if (err || (misses == health.misses && !any_healable(losses)))
		return err;
	/* What is lost from here on is healed the next time. */
	health.misses = misses;
	for (int loss = 0; loss < MT_LOSSES; loss++)
		health.losses[loss] += is_healable(loss) ? losses[loss] : 0;
	err = census_heal_now(tracker);
	if (err <= 0)
		return err;
	err = tracker_losses(tracker, losses);
	if (err)
		return err;
	/* Found by these very passes. */
	for (int loss = 0; loss < MT_LOSSES; loss++)
		if (loss_effect((enum mt_loss)loss) == LOSS_IS_HEALED)
			health.losses[loss] = losses[loss];
	health.censuses++;
	health.healed_boot_ns = clock_ns(CLOCK_BOOTTIME);
	return bpf_map_update_elem(tracker->maps[MT_MAP_HEALTH], &zero, &health, BPF_ANY) ? -errno
											  : 0;
}
