// SPDX-License-Identifier: GPL-2.0-only
#include "tracker.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "cleanup.h"

#define HEADER_MAP_NAME "mt_tracker"
#define TREES_MAX 65536 /* slots of any tracker that is believed */

static void fds_clear(int *fds, int count)
{
	for (int i = 0; i < count; i++)
		fds[i] = -1;
}

static void fds_close(int *fds, int count)
{
	for (int i = 0; i < count; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

void tracker_close(struct tracker *tracker)
{
	if (!tracker)
		return;
	fds_close(&tracker->header_map, 1);
	fds_close(tracker->maps, MT_MAPS);
	fds_close(tracker->progs, MT_PROGS);
	fds_close(tracker->links, MT_LINKS_MAX);
	free(tracker);
}

/* Reads the header of a map that may be anybody's. */
static int header_read(uint32_t id, struct mt_tracker *ret_header, int *ret_map)
{
	struct bpf_map_info info = {};
	__u32 size = sizeof(info), zero = 0;
	_cleanup_close_ int fd = bpf_map_get_fd_by_id(id);

	if (fd < 0)
		return -errno;
	if (bpf_obj_get_info_by_fd(fd, &info, &size))
		return -errno;
	if (strcmp(info.name, HEADER_MAP_NAME) || info.type != BPF_MAP_TYPE_ARRAY ||
	    info.value_size < sizeof(ret_header->magic) + sizeof(ret_header->layout))
		return -ENOENT;
	if (info.value_size != sizeof(*ret_header))
		return -EPROTO;
	if (bpf_map_lookup_elem(fd, &zero, ret_header))
		return -errno;
	if (ret_header->magic != MT_MAGIC)
		return -ENOENT;
	if (ret_header->layout != MT_LAYOUT)
		return -EPROTO;
	if (!ret_header->tree_capacity || ret_header->tree_capacity > TREES_MAX ||
	    ret_header->tree_capacity & (ret_header->tree_capacity - 1))
		return -ENOENT;
	*ret_map = take_fd(fd);
	return 0;
}

/* What a map of ours looks like; a header may be anybody's, and so may what it names. */
static const struct {
	uint32_t type, key_size, value_size;
	bool per_tree; /* one entry per tree slot */
} map_shapes[MT_MAPS] = {
	[MT_MAP_REGISTRY] = {BPF_MAP_TYPE_HASH, 4, sizeof(struct mt_registration), true},
	[MT_MAP_SETTINGS] = {BPF_MAP_TYPE_ARRAY, 4, sizeof(struct mt_settings), true},
	[MT_MAP_TOTALS] = {BPF_MAP_TYPE_ARRAY, 4, sizeof(struct mt_totals), true},
	[MT_MAP_PROCESSES] = {BPF_MAP_TYPE_HASH, 4, sizeof(struct mt_process), false},
	[MT_MAP_ZOMBIES] = {BPF_MAP_TYPE_HASH, 4, sizeof(struct mt_zombie), false},
	[MT_MAP_SPACES] = {BPF_MAP_TYPE_HASH, 8, sizeof(struct mt_space), false},
	[MT_MAP_WINDOWS] = {BPF_MAP_TYPE_HASH, sizeof(struct mt_window_key),
			    sizeof(struct mt_window), false},
	[MT_MAP_LOSSES] = {BPF_MAP_TYPE_PERCPU_ARRAY, 4, sizeof(uint64_t), false},
};

static int map_open(const struct tracker *tracker, int which, int *ret_fd)
{
	struct bpf_map_info info = {};
	__u32 size = sizeof(info);
	_cleanup_close_ int fd = bpf_map_get_fd_by_id(tracker->header.map_ids[which]);

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &size))
		return -errno;
	if (info.type != map_shapes[which].type || info.key_size != map_shapes[which].key_size ||
	    info.value_size != map_shapes[which].value_size ||
	    (map_shapes[which].per_tree && info.max_entries != tracker->header.tree_capacity) ||
	    (which == MT_MAP_LOSSES && info.max_entries != MT_LOSSES))
		return -ENOENT;
	*ret_fd = take_fd(fd);
	return 0;
}

/* Root's own programs only: they are run by whoever reads. */
static int prog_open(const struct tracker *tracker, int which, int *ret_fd)
{
	struct bpf_prog_info info = {};
	__u32 size = sizeof(info);
	_cleanup_close_ int fd = -1;

	if (!tracker->header.prog_ids[which])
		return 0; /* not needed on this kernel */
	fd = bpf_prog_get_fd_by_id(tracker->header.prog_ids[which]);
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &size))
		return -errno;
	if (info.created_by_uid != 0 ||
	    (info.type != BPF_PROG_TYPE_RAW_TRACEPOINT && info.type != BPF_PROG_TYPE_TRACING))
		return -ENOENT;
	*ret_fd = take_fd(fd);
	return 0;
}

int tracker_open(uint32_t id, struct tracker **ret_tracker)
{
	struct tracker *tracker;
	int err;

	tracker = calloc(1, sizeof(*tracker));
	if (!tracker)
		return -ENOMEM;
	fds_clear(&tracker->header_map, 1);
	fds_clear(tracker->maps, MT_MAPS);
	fds_clear(tracker->progs, MT_PROGS);
	fds_clear(tracker->links, MT_LINKS_MAX);
	tracker->id = id;

	err = header_read(id, &tracker->header, &tracker->header_map);
	for (int i = 0; i < MT_MAPS && !err; i++)
		err = map_open(tracker, i, &tracker->maps[i]);
	for (int i = 0; i < MT_PROGS && !err; i++)
		err = prog_open(tracker, i, &tracker->progs[i]);
	if (err) {
		tracker_close(tracker);
		return err;
	}
	*ret_tracker = tracker;
	return 0;
}

void trackers_close(struct tracker **trackers, int count)
{
	for (int i = 0; i < count; i++)
		tracker_close(trackers[i]);
	free(trackers);
}

int trackers_find(struct tracker ***ret_trackers, int *ret_count, int *ret_foreign)
{
	struct tracker **trackers = NULL;
	int count = 0, foreign = 0, err = 0;
	__u32 id = 0;

	while (!err && !bpf_map_get_next_id(id, &id)) {
		struct tracker *tracker, **longer;

		err = tracker_open(id, &tracker);
		if (err == -EPROTO)
			foreign++;
		if (err) {
			if (err != -EPERM && err != -ENOMEM && err != -EMFILE && err != -ENFILE)
				err = 0; /* another program's map, or gone by now */
			continue;
		}
		longer = reallocarray(trackers, (size_t)count + 1, sizeof(struct tracker *));
		if (!longer) {
			tracker_close(tracker);
			err = -ENOMEM;
			break;
		}
		trackers = longer;
		trackers[count++] = tracker;
	}
	if (!err && errno != ENOENT)
		err = -errno;
	if (err) {
		trackers_close(trackers, count);
		return err;
	}
	*ret_trackers = trackers;
	*ret_count = count;
	*ret_foreign = foreign;
	return 0;
}

int tracker_keep(struct tracker *tracker)
{
	for (int i = 0; i < MT_LINKS_MAX && tracker->header.link_ids[i]; i++) {
		tracker->links[i] = bpf_link_get_fd_by_id(tracker->header.link_ids[i]);
		if (tracker->links[i] < 0)
			return -errno;
	}
	return 0;
}

static uint32_t slot_of(const struct tracker *tracker, uint32_t tree)
{
	return tree & (tracker->header.tree_capacity - 1);
}

static bool process_is_alive(uint32_t tgid)
{
	return !kill((pid_t)tgid, 0) || errno != ESRCH;
}

/* Whether another tree has the name; frees the slots of ended trees whose memtree was
 * killed. */
static bool registry_review(struct tracker *tracker, const char *name, uint32_t own)
{
	struct mt_registration registration;
	struct mt_totals totals;
	bool taken = false;

	for (__u32 slot = 0; slot < tracker->header.tree_capacity; slot++) {
		if (bpf_map_lookup_elem(tracker->maps[MT_MAP_REGISTRY], &slot, &registration) ||
		    bpf_map_lookup_elem(tracker->maps[MT_MAP_TOTALS], &slot, &totals) ||
		    registration.id == own)
			continue;
		if (totals.root_tgid && !totals.holds && !process_is_alive(registration.owner_tgid))
			tracker_tree_remove(tracker, registration.id);
		else if (!strcmp(registration.name, name))
			taken = true;
	}
	return taken;
}

static uint64_t clock_boot_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Claims a free slot for the registration and gives it an id that was never given. */
static int registry_claim(struct tracker *tracker, struct mt_registration *registration)
{
	uint32_t capacity = tracker->header.tree_capacity;

	for (uint32_t i = 1; i <= capacity; i++) {
		__u32 slot = i & (capacity - 1);
		struct mt_settings settings;

		if (bpf_map_lookup_elem(tracker->maps[MT_MAP_SETTINGS], &slot, &settings))
			return -errno;
		registration->id = settings.last_id ? settings.last_id + capacity : i;
		if (!bpf_map_update_elem(tracker->maps[MT_MAP_REGISTRY], &slot, registration,
					 BPF_NOEXIST))
			return 0;
		if (errno != EEXIST)
			return -errno;
	}
	return -ENOSPC;
}

/* How many trees lie around one, itself included. */
static int depth_of(const struct tracker *tracker, uint32_t tree)
{
	int depth = 0;

	while (tree && depth < MT_DEPTH) {
		struct mt_settings settings;
		__u32 slot = slot_of(tracker, tree);

		if (bpf_map_lookup_elem(tracker->maps[MT_MAP_SETTINGS], &slot, &settings) ||
		    settings.id != tree)
			break;
		depth++;
		tree = settings.parent;
	}
	return depth;
}

int tracker_tree_create(struct tracker *tracker, const struct tree_request *request,
			uint32_t *ret_tree)
{
	struct mt_registration registration = {
		.registered_boot_ns = clock_boot_ns(),
		.owner_tgid = (uint32_t)getpid(),
	};
	struct mt_settings settings = {
		.window_ns = request->window_ns,
		.parent = request->parent,
		.metric = request->metric,
	};
	struct mt_totals totals = {};
	__u32 slot;
	int err;

	memcpy(registration.name, request->name, sizeof(registration.name));
	if (depth_of(tracker, request->parent) >= MT_DEPTH)
		return -ELOOP;
	if (registry_review(tracker, request->name, 0))
		return -EEXIST;
	err = registry_claim(tracker, &registration);
	if (err)
		return err;
	/* Another run may have claimed the same name meanwhile: both see it and both yield. */
	if (registry_review(tracker, request->name, registration.id)) {
		tracker_tree_remove(tracker, registration.id);
		return -EEXIST;
	}
	slot = slot_of(tracker, registration.id);
	settings.id = settings.last_id = registration.id;
	if (bpf_map_update_elem(tracker->maps[MT_MAP_TOTALS], &slot, &totals, BPF_ANY) ||
	    bpf_map_update_elem(tracker->maps[MT_MAP_SETTINGS], &slot, &settings, BPF_ANY)) {
		err = -errno;
		tracker_tree_remove(tracker, registration.id);
		return err;
	}
	*ret_tree = registration.id;
	return 0;
}

void tracker_tree_remove(struct tracker *tracker, uint32_t tree)
{
	struct mt_registration registration;
	struct mt_settings closed = {.last_id = tree};
	struct mt_totals totals = {};
	__u32 slot = slot_of(tracker, tree);

	/* Somebody else may have freed it, and a new tree may stand there. */
	if (bpf_map_lookup_elem(tracker->maps[MT_MAP_REGISTRY], &slot, &registration) ||
	    registration.id != tree)
		return;
	bpf_map_update_elem(tracker->maps[MT_MAP_SETTINGS], &slot, &closed, BPF_ANY);
	if (!bpf_map_lookup_elem(tracker->maps[MT_MAP_TOTALS], &slot, &totals))
		for (int i = 0; i < MT_EPOCHS; i++) {
			struct mt_window_key key = {.epoch = totals.epochs[i], .tree = tree};

			if (key.epoch)
				bpf_map_delete_elem(tracker->maps[MT_MAP_WINDOWS], &key);
		}
	memset(&totals, 0, sizeof(totals));
	bpf_map_update_elem(tracker->maps[MT_MAP_TOTALS], &slot, &totals, BPF_ANY);
	bpf_map_delete_elem(tracker->maps[MT_MAP_REGISTRY], &slot);
}

/* The program answers with the tree that the caller is a member of afterwards. */
static int membership(const struct tracker *tracker, uint32_t join, uint32_t *ret_tree)
{
	__u64 args[] = {join};
	LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = args, .ctx_size_in = sizeof(args));

	if (bpf_prog_test_run_opts(tracker->progs[MT_PROG_REGISTER], &options))
		return -errno;
	*ret_tree = options.retval;
	return 0;
}

int tracker_register_self(const struct tracker *tracker, uint32_t tree)
{
	uint32_t joined;
	int err = membership(tracker, tree, &joined);

	if (err)
		return err;
	return joined == tree ? 0 : -ENOSPC;
}

uint32_t tracker_tree_of_self(const struct tracker *tracker)
{
	uint32_t tree;

	return membership(tracker, 0, &tree) ? 0 : tree;
}

int64_t tracker_tree_holds(const struct tracker *tracker, uint32_t tree)
{
	struct mt_totals totals;
	__u32 slot = slot_of(tracker, tree);

	if (bpf_map_lookup_elem(tracker->maps[MT_MAP_TOTALS], &slot, &totals))
		return -errno;
	return totals.holds < 0 ? 0 : totals.holds;
}

void tracker_peak_raise(const struct tracker *tracker, uint32_t tree, int64_t charged)
{
	__u64 args[] = {tree, (__u64)charged};
	LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = args, .ctx_size_in = sizeof(args));

	/* The view shows it in any case; it is kept if it can be. */
	bpf_prog_test_run_opts(tracker->progs[MT_PROG_PEAK_RAISE], &options);
}

int tracker_losses(const struct tracker *tracker, uint64_t *ret_losses)
{
	int cpus = libbpf_num_possible_cpus();
	_cleanup_free_ uint64_t *counts = NULL;

	if (cpus < 0)
		return cpus;
	counts = calloc((size_t)cpus, sizeof(*counts));
	if (!counts)
		return -ENOMEM;
	for (__u32 loss = 0; loss < MT_LOSSES; loss++) {
		if (bpf_map_lookup_elem(tracker->maps[MT_MAP_LOSSES], &loss, counts))
			return -errno;
		ret_losses[loss] = 0;
		for (int cpu = 0; cpu < cpus; cpu++)
			ret_losses[loss] += counts[cpu];
	}
	return 0;
}

const char *loss_name(enum mt_loss loss)
{
	static const char *const names[MT_LOSSES] = {
		[MT_LOSS_PROCESSES_FULL] = "processes_full",
		[MT_LOSS_ZOMBIES_FULL] = "zombies_full",
		[MT_LOSS_SPACES_FULL] = "spaces_full",
		[MT_LOSS_WINDOWS_FULL] = "windows_full",
		[MT_LOSS_STALE_PROCESS] = "stale_process",
		[MT_LOSS_STALE_SPACE] = "stale_space",
		[MT_LOSS_NO_TREE] = "no_tree",
		[MT_LOSS_ARGS] = "args",
		[MT_LOSS_BUSY] = "busy",
		[MT_LOSS_SCRATCH] = "scratch",
	};

	return names[loss];
}
