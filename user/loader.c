// SPDX-License-Identifier: GPL-2.0-only
#include "loader.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "maps.h"
#include "memtree.skel.h"

#include "cleanup.h"
#include "kernel.h"
#include "talk.h"

#define DEFAULT_PROCESSES 8192
#define DEFAULT_TREES 64
#define ENDINGS_PER_CPU 8
#define ENDINGS_MIN 64
#define RING_SIZE 131072 /* more than a thousand edges; a multiple of any page size */

struct loader {
	struct memtree_bpf *skel;
	struct kernel_features features;
	uint32_t process_capacity;
	uint32_t tree_capacity;
	bool places_known;
	const struct loader_options *options; /* while it starts */
	uint32_t tracker_id;
};

__attribute__((format(printf, 2, 0))) static int quiet_print(enum libbpf_print_level level,
							     const char *format, va_list args)
{
	if (talk_level < TALK_VERBOSE || level > LIBBPF_WARN)
		return 0;
	return vfprintf(stderr, format, args);
}

static uint32_t power_of_two(uint32_t least)
{
	uint32_t power = 1;

	while (power < least)
		power <<= 1;
	return power;
}

static int features_read(struct kernel_features *ret_features)
{
	struct btf *btf;
	const char *missing;

	if (access("/sys/kernel/btf/vmlinux", R_OK))
		return talk_error(-EOPNOTSUPP, "this kernel has no BTF (/sys/kernel/btf/vmlinux): "
					       "boot one built with CONFIG_DEBUG_INFO_BTF");
	btf = btf__load_vmlinux_btf();
	if (!btf)
		return talk_error(-EOPNOTSUPP, "the kernel's BTF cannot be read: %s",
				  strerror(errno));
	*ret_features = kernel_probe(btf);
	btf__free(btf);
	missing = kernel_missing(ret_features);
	if (missing)
		return talk_error(-EOPNOTSUPP, "this kernel lacks %s: memtree needs 5.10 or newer",
				  missing);
	return 0;
}

/* Run by readers, and by who registers or adopts; attached to nothing. */
static void progs_on_demand(const struct memtree_bpf *skel, struct bpf_program *ret_progs[MT_PROGS])
{
	struct bpf_program *const progs[MT_PROGS] = {
		[MT_PROG_REGISTER] = skel->progs.process_register,
		[MT_PROG_PEAK_RAISE] = skel->progs.peak_raise,
		[MT_PROG_TREE_ARM] = skel->progs.tree_arm,
		[MT_PROG_TREE_WINDOW] = skel->progs.tree_window,
		[MT_PROG_TREE_DOOM] = skel->progs.tree_doom,
		[MT_PROG_TREE_NUDGE] = skel->progs.tree_nudge,
		[MT_PROG_STORIES_HEAR] = skel->progs.stories_hear,
		[MT_PROG_CENSUS_BEGIN] = skel->progs.census_begin,
		[MT_PROG_CENSUS_TASKS] = skel->progs.census_tasks,
		[MT_PROG_CENSUS_PROCESSES] = skel->progs.census_processes,
		[MT_PROG_CENSUS_SPACES] = skel->progs.census_spaces,
		[MT_PROG_ARGS_STORE] = skel->progs.args_store,
		[MT_PROG_MEMBER_FORGET] = skel->progs.member_forget,
		[MT_PROG_SNAPSHOT_SPACES] = skel->progs.snapshot_spaces,
		[MT_PROG_SNAPSHOT_PLACED_SPACES] = skel->progs.snapshot_placed_spaces,
		[MT_PROG_SNAPSHOT_PROCESSES] = skel->progs.snapshot_processes,
		[MT_PROG_SNAPSHOT_ZOMBIES] = skel->progs.snapshot_zombies,
		[MT_PROG_SNAPSHOT_THREADS] = skel->progs.snapshot_threads,
		[MT_PROG_SNAPSHOT_CGROUPS] = skel->progs.snapshot_cgroups,
	};

	memcpy(ret_progs, progs, sizeof(progs));
}

struct steady {
	struct bpf_program *prog;
	struct bpf_link **link;
};

#define STEADY 4

/* Twins that are not preempted, where the others can be. */
static void progs_steady(struct memtree_bpf *skel, struct steady ret_steady[STEADY])
{
	const struct steady steady[STEADY] = {
		{skel->progs.steady_created, &skel->links.steady_created},
		{skel->progs.steady_exec, &skel->links.steady_exec},
		{skel->progs.steady_exit, &skel->links.steady_exit},
		{skel->progs.steady_teardown, &skel->links.steady_teardown},
	};

	memcpy(ret_steady, steady, sizeof(steady));
}

/* One handler for each event, and as many as it takes where one can miss it. */
static void twins_choose(struct memtree_bpf *skel, const struct kernel_features *features)
{
	struct bpf_program *const twins[] = {
		skel->progs.task_created,
		skel->progs.fork_seen_again,
		skel->progs.exec_seen_again,
		skel->progs.exit_seen_again,
	};
	bool wanted = features->preemptible_handler;
	struct steady steady[STEADY];

	for (size_t i = 0; i < sizeof(twins) / sizeof(twins[0]); i++)
		bpf_program__set_autoload(twins[i], wanted);
	bpf_program__set_autoload(skel->progs.teardown_ended_again,
				  wanted && features->exit_mmap_tracepoint);
	progs_steady(skel, steady);
	for (int i = 0; i < STEADY; i++) {
		bpf_program__set_autoload(steady[i].prog, wanted);
		bpf_program__set_autoattach(steady[i].prog, false);
	}
}

static void programs_choose(struct loader *loader, bool fexit)
{
	const struct kernel_features *features = &loader->features;
	struct memtree_bpf *skel = loader->skel;
	struct bpf_program *on_demand[MT_PROGS];

	twins_choose(skel, features);
	bpf_program__set_autoload(skel->progs.teardown_ended, features->exit_mmap_tracepoint);
	bpf_program__set_autoload(skel->progs.teardown_returned, fexit);
	bpf_program__set_autoload(skel->progs.oom_killed, features->oom_tracepoint);
	bpf_program__set_autoload(skel->progs.cpu_offset_learn, features->percpu_counters);
	bpf_program__set_autoattach(skel->progs.cpu_offset_learn, false);
	bpf_program__set_autoattach(skel->progs.places_learn, false);
	progs_on_demand(skel, on_demand);
	for (int i = 0; i < MT_PROGS; i++)
		bpf_program__set_autoattach(on_demand[i], false);

	skel->rodata->page_shift = (__u32)__builtin_ctzl((unsigned long)sysconf(_SC_PAGESIZE));
	skel->rodata->cpus_possible = (__u32)libbpf_num_possible_cpus();
	skel->rodata->fault_wait_ns = loader->options->fault_wait_ns;
	skel->rodata->tree_slot_mask = loader->tree_capacity - 1;
	skel->rodata->ends_are_told = loader->options->pinned;
	skel->rodata->teardown_is_seen = features->exit_mmap_tracepoint || fexit;
}

/* A hash has an element more for each CPU than it has entries (prealloc_init()). */
static void places_size(struct memtree_bpf *skel)
{
	const struct bpf_map *hashes[MT_PLACED] = {
		[MT_PLACED_PROCESSES] = skel->maps.mt_processes,
		[MT_PLACED_ZOMBIES] = skel->maps.mt_zombies,
		[MT_PLACED_SPACES] = skel->maps.mt_spaces,
	};
	uint32_t places = 0;

	for (int i = 0; i < MT_PLACED; i++) {
		skel->rodata->places_first[i] = places;
		skel->rodata->places_count[i] = bpf_map__max_entries(hashes[i]) +
						(uint32_t)libbpf_num_possible_cpus();
		places += skel->rodata->places_count[i];
	}
	bpf_map__set_max_entries(skel->maps.mt_places,
				 (places + MT_PLACES_BLOCK - 1) / MT_PLACES_BLOCK);
}

/* Claims of a moment: one each CPU, more where programs can be preempted. */
static uint32_t endings_max(void)
{
	uint32_t most = ENDINGS_PER_CPU * (uint32_t)libbpf_num_possible_cpus();

	return most > ENDINGS_MIN ? most : ENDINGS_MIN;
}

/* A process that execs holds two address spaces for a moment, and one that ended is in its
 * teardown: hence three eighths more. */
static void maps_size(struct loader *loader)
{
	struct memtree_bpf *skel = loader->skel;
	uint32_t processes = loader->process_capacity;

	bpf_map__set_max_entries(skel->maps.mt_registry, loader->tree_capacity);
	bpf_map__set_max_entries(skel->maps.mt_settings, loader->tree_capacity);
	bpf_map__set_max_entries(skel->maps.mt_totals, loader->tree_capacity);
	bpf_map__set_max_entries(skel->maps.mt_guides, loader->tree_capacity);
	bpf_map__set_max_entries(skel->maps.mt_policies, loader->tree_capacity);
	bpf_map__set_max_entries(skel->maps.mt_claims, loader->tree_capacity * 2);
	bpf_map__set_max_entries(skel->maps.mt_events, RING_SIZE);
	bpf_map__set_max_entries(skel->maps.mt_windows, loader->tree_capacity * MT_EPOCHS);
	bpf_map__set_max_entries(skel->maps.mt_processes, processes);
	bpf_map__set_max_entries(skel->maps.mt_zombies, processes);
	bpf_map__set_max_entries(skel->maps.mt_spaces, processes + (3 * processes + 7) / 8);
	bpf_map__set_max_entries(skel->maps.mt_endings, endings_max());
	places_size(skel);
}

static int skeleton_load(struct loader *loader, bool fexit)
{
	int err;

	loader->skel = memtree_bpf__open();
	if (!loader->skel)
		return -errno;
	programs_choose(loader, fexit);
	maps_size(loader);
	err = memtree_bpf__load(loader->skel);
	if (err) {
		memtree_bpf__destroy(loader->skel);
		loader->skel = NULL;
	}
	return err;
}

/* Without a tracepoint at the end of a teardown, a trampoline is tried, then neither; some
 * machines refuse trampolines, and only these, with EPERM. */
static int programs_load(struct loader *loader)
{
	bool fexit = !loader->features.exit_mmap_tracepoint && loader->features.exit_mmap_function;
	int err = skeleton_load(loader, fexit);

	if (err && fexit)
		err = skeleton_load(loader, false);
	if (err == -EPERM)
		return talk_error(-EPERM, "loading BPF programs is not permitted: run as root "
					  "(needs CAP_BPF, CAP_PERFMON and CAP_SYS_ADMIN)");
	/* Not a matter of permission: the verifier's word for an access that it cannot prove. */
	if (err == -EACCES)
		return talk_error(err, "the verifier (or a security module) of this kernel refused "
				       "the BPF programs; see why with memtree -v");
	if (err == -EMFILE)
		return talk_error(err, "too few file descriptors: raise ulimit -n to 64 or more");
	if (err)
		return talk_error(err,
				  "the kernel refused the BPF programs: %s; see why with "
				  "memtree -v",
				  strerror(-err));
	return 0;
}

static int cpu_offsets_learn(struct loader *loader)
{
	int cpus = libbpf_num_possible_cpus();
	int fd = bpf_program__fd(loader->skel->progs.cpu_offset_learn);

	if (!loader->features.percpu_counters)
		return 0;
	for (int cpu = 0; cpu < cpus; cpu++) {
		__u64 args[] = {(__u64)cpu};
		LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = args,
			    .ctx_size_in = sizeof(args));

		if (bpf_prog_test_run_opts(fd, &options))
			return talk_error(-errno, "the per-CPU offsets cannot be learnt: %s",
					  strerror(errno));
		if (options.retval)
			return talk_error(-EOPNOTSUPP, "CPU %d is beyond the %d that memtree reads",
					  cpu, cpus);
	}
	return 0;
}

/* Where places are not known, readers walk. */
static void places_learn(struct loader *loader)
{
	LIBBPF_OPTS(bpf_test_run_opts, options);

	loader->places_known =
		!bpf_prog_test_run_opts(bpf_program__fd(loader->skel->progs.places_learn),
					&options) &&
		options.retval;
}

/* These need a mounted tracefs. Without it they are missed, and nothing else. */
static int programs_attach(struct loader *loader)
{
	struct steady steady[STEADY];
	int err = memtree_bpf__attach(loader->skel);

	if (err)
		return talk_error(err,
				  "the BPF programs cannot be attached: %s; see why with "
				  "memtree -v",
				  strerror(-err));
	progs_steady(loader->skel, steady);
	for (int i = 0; i < STEADY && loader->features.preemptible_handler; i++)
		*steady[i].link = bpf_program__attach(steady[i].prog);
	return 0;
}

static uint32_t map_id(const struct bpf_map *map)
{
	struct bpf_map_info info = {};
	__u32 size = sizeof(info);

	return bpf_obj_get_info_by_fd(bpf_map__fd(map), &info, &size) ? 0 : info.id;
}

/* 0 for a program that this kernel needs not. */
static uint32_t prog_id(const struct bpf_program *prog)
{
	struct bpf_prog_info info = {};
	__u32 size = sizeof(info);

	if (bpf_program__fd(prog) < 0)
		return 0;
	return bpf_obj_get_info_by_fd(bpf_program__fd(prog), &info, &size) ? 0 : info.id;
}

static void maps_enter(const struct memtree_bpf *skel, uint32_t *ret_ids)
{
	const struct bpf_map *maps[MT_MAPS] = {
		[MT_MAP_REGISTRY] = skel->maps.mt_registry,
		[MT_MAP_SETTINGS] = skel->maps.mt_settings,
		[MT_MAP_TOTALS] = skel->maps.mt_totals,
		[MT_MAP_PROCESSES] = skel->maps.mt_processes,
		[MT_MAP_ZOMBIES] = skel->maps.mt_zombies,
		[MT_MAP_SPACES] = skel->maps.mt_spaces,
		[MT_MAP_WINDOWS] = skel->maps.mt_windows,
		[MT_MAP_LOSSES] = skel->maps.mt_losses,
		[MT_MAP_HEALTH] = skel->maps.mt_health,
		[MT_MAP_GUIDES] = skel->maps.mt_guides,
		[MT_MAP_POLICIES] = skel->maps.mt_policies,
		[MT_MAP_CLAIMS] = skel->maps.mt_claims,
		[MT_MAP_PLACES] = skel->maps.mt_places,
		[MT_MAP_EVENTS] = skel->maps.mt_events,
	};

	for (int i = 0; i < MT_MAPS; i++)
		ret_ids[i] = map_id(maps[i]);
}

static void progs_enter(const struct memtree_bpf *skel, uint32_t *ret_ids)
{
	struct bpf_program *progs[MT_PROGS];

	progs_on_demand(skel, progs);
	for (int i = 0; i < MT_PROGS; i++)
		ret_ids[i] = prog_id(progs[i]);
}

static void links_enter(struct loader *loader, uint32_t *ret_ids)
{
	const struct bpf_object_skeleton *skeleton = loader->skel->skeleton;
	int count = 0;

	for (int i = 0; i < skeleton->prog_cnt; i++) {
		const struct bpf_link *link = *skeleton->progs[i].link;
		struct bpf_link_info info = {};
		__u32 size = sizeof(info);

		if (link && count < MT_LINKS_MAX &&
		    !bpf_obj_get_info_by_fd(bpf_link__fd(link), &info, &size))
			ret_ids[count++] = info.id;
	}
}

/* The header has 32 bits, which 4K pages exceed from 725 CPUs on. */
static uint32_t error_bound(const struct kernel_features *features)
{
	uint64_t bound = kernel_error_bound(features, get_nprocs(), libbpf_num_possible_cpus(),
					    sysconf(_SC_PAGESIZE));

	return bound < UINT32_MAX ? (uint32_t)bound : UINT32_MAX;
}

/* Announces the tracker to readers: written whole, after everything runs. */
static int tracker_announce(struct loader *loader)
{
	struct memtree_bpf *skel = loader->skel;
	struct mt_tracker header = {
		.magic = MT_MAGIC,
		.layout = MT_LAYOUT,
		.loader_tgid = (uint32_t)getpid(),
		.tree_capacity = loader->tree_capacity,
		.process_capacity = loader->process_capacity,
		.thread_remainders = loader->features.thread_remainders,
		.pinned = loader->options->pinned,
		.error_bound_bytes = error_bound(&loader->features),
	};
	__u32 zero = 0;

	maps_enter(skel, header.map_ids);
	progs_enter(skel, header.prog_ids);
	links_enter(loader, header.link_ids);
	for (int i = 0; i < MT_PLACED && loader->places_known; i++)
		header.places[i] = skel->rodata->places_count[i];
	if (bpf_map_update_elem(bpf_map__fd(skel->maps.mt_tracker), &zero, &header, BPF_ANY))
		return talk_error(-errno, "the tracker's header cannot be written: %s",
				  strerror(errno));
	loader->tracker_id = map_id(skel->maps.mt_tracker);
	return 0;
}

static int loader_prepare(struct loader *loader)
{
	int err;

	libbpf_set_print(quiet_print);
	err = features_read(&loader->features);
	if (err)
		return err;
	err = programs_load(loader);
	if (err)
		return err;
	err = cpu_offsets_learn(loader);
	if (err)
		return err;
	places_learn(loader);
	err = programs_attach(loader);
	if (err)
		return err;
	return tracker_announce(loader);
}

int loader_start(const struct loader_options *options, struct loader **ret_loader)
{
	struct loader *loader = calloc(1, sizeof(*loader));
	int err;

	if (!loader)
		return talk_error(-ENOMEM, "out of memory");
	loader->process_capacity = options->process_capacity ?: DEFAULT_PROCESSES;
	loader->tree_capacity = power_of_two(options->tree_capacity ?: DEFAULT_TREES);
	loader->options = options;
	err = loader_prepare(loader);
	loader->options = NULL;
	if (err) {
		loader_stop(loader);
		return err;
	}
	*ret_loader = loader;
	return 0;
}

uint32_t loader_tracker_id(const struct loader *loader)
{
	return loader->tracker_id;
}

void loader_refuse(struct loader *loader, bool refuse)
{
	loader->skel->bss->fault_refuse = refuse;
}

void loader_stop(struct loader *loader)
{
	if (!loader)
		return;
	memtree_bpf__destroy(loader->skel);
	free(loader);
}
