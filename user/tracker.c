// SPDX-License-Identifier: GPL-2.0-only
#include "tracker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "cleanup.h"

#define HEADER_MAP_NAME "mt_tracker"
#define POINTERS_MIN 64
#define TREES_MAX 65536 /* slots of any tracker that is believed */

static uint64_t calls, records_seen;

/* A map of this reader's own, of places that an iterator is to visit, and the link that binds
 * the program to it. Kept from reading to reading, as to make them takes longer than the rest. */
struct pointers {
	int map;
	int link;
	uint64_t *elements; /* not there in a child: two would write them */
	size_t room;
	pid_t owner;
};

static void pointers_close(struct pointers *pointers)
{
	if (!pointers->room)
		return;
	if (pointers->owner == getpid())
		munmap(pointers->elements, pointers->room * sizeof(*pointers->elements));
	close(pointers->map);
	if (pointers->link >= 0)
		close(pointers->link);
	pointers->room = 0;
}

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
	for (int i = 0; i < MT_MAPS; i++)
		if (tracker->mapped[i])
			munmap((void *)tracker->mapped[i], tracker->mapped_bytes[i]);
	for (int i = 0; i < MT_PLACED && tracker->pointers; i++)
		pointers_close(&tracker->pointers[i]);
	free(tracker->pointers);
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
	[MT_MAP_HEALTH] = {BPF_MAP_TYPE_ARRAY, 4, sizeof(struct mt_health), false},
	[MT_MAP_GUIDES] = {BPF_MAP_TYPE_ARRAY, 4, sizeof(uint32_t), true},
	[MT_MAP_POLICIES] = {BPF_MAP_TYPE_ARRAY, 4, sizeof(struct mt_policy), true},
	[MT_MAP_CLAIMS] = {BPF_MAP_TYPE_LRU_HASH, sizeof(struct mt_claim), 4, false},
	[MT_MAP_PLACES] = {BPF_MAP_TYPE_ARRAY, 4, sizeof(struct mt_places), false},
	[MT_MAP_EVENTS] = {BPF_MAP_TYPE_RINGBUF, 0, 0, false},
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

/* For children, too: errands read trackers that were opened before them. */
static int map_map(struct tracker *tracker, int which)
{
	struct bpf_map_info info = {};
	__u32 size = sizeof(info);
	size_t bytes;
	void *mapped;

	if (bpf_obj_get_info_by_fd(tracker->maps[which], &info, &size))
		return -errno;
	bytes = (size_t)info.max_entries * info.value_size;
	mapped = mmap(NULL, bytes, PROT_READ, MAP_SHARED, tracker->maps[which], 0);
	if (mapped == MAP_FAILED)
		return -errno;
	tracker->mapped[which] = mapped;
	tracker->mapped_bytes[which] = bytes;
	return 0;
}

static int maps_map(struct tracker *tracker)
{
	uint64_t places = 0;
	int err = map_map(tracker, MT_MAP_SETTINGS);

	if (!err)
		err = map_map(tracker, MT_MAP_TOTALS);
	if (!err)
		err = map_map(tracker, MT_MAP_POLICIES);
	if (!err)
		err = map_map(tracker, MT_MAP_PLACES);
	for (int i = 0; i < MT_PLACED; i++)
		places += tracker->header.places[i];
	if (!err && places * sizeof(__u32) > tracker->mapped_bytes[MT_MAP_PLACES])
		err = -ENOENT;
	tracker->pointers = calloc(MT_PLACED, sizeof(*tracker->pointers));
	return err ? err : tracker->pointers ? 0 : -ENOMEM;
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
	if (!err)
		err = maps_map(tracker);
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

struct tracker *trackers_take_pinned(struct tracker **trackers, int count)
{
	for (int i = 0; i < count; i++)
		if (trackers[i] && trackers[i]->header.pinned)
			return take_pointer(trackers[i]);
	return NULL;
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
		/* Its maps last as long as somebody has them open, and say nothing any more. */
		if (!tracker_is_attached(tracker)) {
			tracker_close(tracker);
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

int tracker_own(struct tracker *tracker)
{
	struct mt_tracker header = tracker->header;
	__u32 zero = 0;

	header.loader_tgid = (uint32_t)getpid();
	if (bpf_map_update_elem(tracker->header_map, &zero, &header, BPF_ANY))
		return -errno;
	tracker->header = header;
	return 0;
}

bool tracker_is_attached(const struct tracker *tracker)
{
	_cleanup_close_ int link = bpf_link_get_fd_by_id(tracker->header.link_ids[0]);

	return link >= 0 || errno != ENOENT;
}

int tracker_call(const struct tracker *tracker, enum mt_prog prog, const uint64_t *args,
		 size_t count, uint32_t *ret_answer)
{
	LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = args,
		    .ctx_size_in = (__u32)(count * sizeof(*args)));

	calls++;
	if (bpf_prog_test_run_opts(tracker->progs[prog], &options))
		return -errno;
	if (ret_answer)
		*ret_answer = options.retval;
	return 0;
}

int tracker_lookup(const struct tracker *tracker, enum mt_map map, const void *key, void *ret_value)
{
	calls++;
	return bpf_map_lookup_elem(tracker->maps[map], key, ret_value) ? -errno : 0;
}

const void *tracker_slot(const struct tracker *tracker, enum mt_map map, uint32_t slot)
{
	const char *values = tracker->mapped[map];

	slot &= tracker->header.tree_capacity - 1;
	return values + (size_t)slot * map_shapes[map].value_size;
}

uint64_t tracker_calls(void)
{
	return calls;
}

uint64_t tracker_records(void)
{
	return records_seen;
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
		calls++;
		if (got < 0 && errno != EINTR && errno != EAGAIN)
			return -errno;
		if (got > 0)
			used += (size_t)got;
	} while (got);
	if (used % record_size)
		return -EPROTO;
	*ret_records = take_pointer(records);
	*ret_count = used / record_size;
	records_seen += *ret_count;
	return 0;
}

/* Binds a program to a map, or (with -1) to all tasks. An fd, or a negative errno. */
static int iterator_link(const struct tracker *tracker, enum mt_prog prog, int map)
{
	bool tasks = map < 0;
	union bpf_iter_link_info target = {.map = {.map_fd = tasks ? 0 : (__u32)map}};
	LIBBPF_OPTS(bpf_link_create_opts, options, .iter_info = tasks ? NULL : &target,
		    .iter_info_len = tasks ? 0 : sizeof(target));
	int link = bpf_link_create(tracker->progs[prog], 0, BPF_TRACE_ITER, &options);

	calls += 2; /* to make and to close it */
	return link < 0 ? -errno : link;
}

static int link_read(int link, size_t record_size, void **ret_records, size_t *ret_count)
{
	_cleanup_close_ int iterator = bpf_iter_create(link);

	calls += 2;
	if (iterator < 0)
		return -errno;
	return records_read(iterator, record_size, ret_records, ret_count);
}

int tracker_iterate(const struct tracker *tracker, enum mt_prog prog, enum mt_map map,
		    size_t record_size, void **ret_records, size_t *ret_count)
{
	_cleanup_close_ int link = iterator_link(tracker, prog,
						 map == MT_MAPS ? -1 : tracker->maps[map]);

	return link < 0 ? link : link_read(link, record_size, ret_records, ret_count);
}

const uint32_t *tracker_places(const struct tracker *tracker, enum mt_placed which)
{
	const struct mt_places *blocks = tracker->mapped[MT_MAP_PLACES];
	const uint32_t *places = blocks->trees;

	if (!tracker->header.places[which])
		return NULL;
	for (int i = 0; i < (int)which; i++)
		places += tracker->header.places[i];
	return places;
}

/* Elements of an array have 8 bytes at least. */
static int pointers_open(struct pointers *pointers, size_t count)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE);
	size_t room = POINTERS_MIN;
	_cleanup_close_ int map = -1;
	void *elements;

	while (room < count)
		room *= 2;
	map = bpf_map_create(BPF_MAP_TYPE_ARRAY, NULL, sizeof(__u32), sizeof(__u32), (__u32)room,
			     &options);
	calls += 3;
	if (map < 0)
		return -errno;
	elements = mmap(NULL, room * sizeof(*pointers->elements), PROT_READ | PROT_WRITE,
			MAP_SHARED, map, 0);
	if (elements == MAP_FAILED)
		return -errno;
	madvise(elements, room * sizeof(*pointers->elements), MADV_DONTFORK);
	*pointers = (struct pointers){
		.map = take_fd(map),
		.link = -1,
		.elements = elements,
		.room = room,
		.owner = getpid(),
	};
	return 0;
}

/* Too large a map would be walked in vain each time. */
static int pointers_set(struct pointers *pointers, const uint32_t *places, size_t count)
{
	int err;

	if (count > pointers->room || pointers->owner != getpid() ||
	    (pointers->room > POINTERS_MIN && count < pointers->room / 4)) {
		pointers_close(pointers);
		err = pointers_open(pointers, count);
		if (err)
			return err;
	}
	for (size_t i = 0; i < pointers->room; i++)
		pointers->elements[i] = i < count ? places[i] : UINT32_MAX;
	return 0;
}

int tracker_iterate_places(const struct tracker *tracker, enum mt_placed which, enum mt_prog prog,
			   const uint32_t *places, size_t count, size_t record_size,
			   void **ret_records, size_t *ret_count)
{
	struct pointers *pointers = &tracker->pointers[which];
	int err;

	*ret_records = NULL;
	*ret_count = 0;
	if (!count)
		return 0;
	err = pointers_set(pointers, places, count);
	if (err)
		return err;
	if (pointers->link < 0)
		pointers->link = iterator_link(tracker, prog, pointers->map);
	return pointers->link < 0 ? pointers->link
				  : link_read(pointers->link, record_size, ret_records, ret_count);
}

int tracker_register_self(const struct tracker *tracker, uint32_t tree)
{
	const uint64_t args[] = {tree};
	uint32_t joined = 0;
	int err = tracker_call(tracker, MT_PROG_REGISTER, args, 1, &joined);

	if (err)
		return err;
	return joined == tree ? 0 : -ENOSPC;
}

uint32_t tracker_tree_of_self(const struct tracker *tracker)
{
	const uint64_t args[] = {0};
	uint32_t tree = 0;

	return tracker_call(tracker, MT_PROG_REGISTER, args, 1, &tree) ? 0 : tree;
}

void tracker_peak_raise(const struct tracker *tracker, uint32_t tree, int64_t charged)
{
	const uint64_t args[] = {tree, (uint64_t)charged};

	/* The view shows it in any case; it is kept if it can be. */
	tracker_call(tracker, MT_PROG_PEAK_RAISE, args, 2, NULL);
}

static uint64_t link_misses(uint32_t id)
{
	_cleanup_close_ int link = bpf_link_get_fd_by_id(id), prog = -1;
	struct bpf_link_info link_info = {};
	struct bpf_prog_info prog_info = {};
	__u32 link_size = sizeof(link_info), prog_size = sizeof(prog_info);

	if (link < 0 || bpf_obj_get_info_by_fd(link, &link_info, &link_size))
		return 0;
	prog = bpf_prog_get_fd_by_id(link_info.prog_id);
	if (prog < 0 || bpf_obj_get_info_by_fd(prog, &prog_info, &prog_size))
		return 0;
	return prog_info.recursion_misses;
}

uint64_t tracker_misses(const struct tracker *tracker)
{
	uint64_t misses = 0;

	for (int i = 0; i < MT_LINKS_MAX && tracker->header.link_ids[i]; i++)
		misses += link_misses(tracker->header.link_ids[i]);
	return misses;
}

int tracker_loss(const struct tracker *tracker, enum mt_loss loss, uint64_t *ret_count)
{
	int cpus = libbpf_num_possible_cpus(), err;
	_cleanup_free_ uint64_t *counts = NULL;
	__u32 key = loss;
	uint64_t sum = 0;

	if (cpus < 0)
		return cpus;
	counts = calloc((size_t)cpus, sizeof(*counts));
	if (!counts)
		return -ENOMEM;
	err = tracker_lookup(tracker, MT_MAP_LOSSES, &key, counts);
	for (int cpu = 0; cpu < cpus && !err; cpu++)
		sum += counts[cpu];
	if (!err)
		*ret_count = sum;
	return err;
}

int tracker_losses(const struct tracker *tracker, uint64_t *ret_losses)
{
	int err = 0;

	for (int loss = 0; loss < MT_LOSSES && !err; loss++)
		err = tracker_loss(tracker, (enum mt_loss)loss, &ret_losses[loss]);
	return err;
}

const char *loss_name(enum mt_loss loss)
{
	static const char *const names[MT_LOSSES] = {
		[MT_LOSS_PROCESSES_FULL] = "processes_full",
		[MT_LOSS_ZOMBIES_FULL] = "zombies_full",
		[MT_LOSS_SPACES_FULL] = "spaces_full",
		[MT_LOSS_WINDOWS_FULL] = "windows_full",
		[MT_LOSS_MISSED_BIRTH] = "missed_birth",
		[MT_LOSS_CHILDREN] = "children",
		[MT_LOSS_STALE_PROCESS] = "stale_process",
		[MT_LOSS_STALE_SPACE] = "stale_space",
		[MT_LOSS_NO_TREE] = "no_tree",
		[MT_LOSS_ARGS] = "args",
		[MT_LOSS_BUSY] = "busy",
		[MT_LOSS_EVENTS] = "events",
		[MT_LOSS_SCRATCH] = "scratch",
		[MT_LOSS_STORIES] = "stories",
	};

	return names[loss];
}
