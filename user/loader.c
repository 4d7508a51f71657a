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
#define THREAD_BATCH 65	    /* faults between two flushes, TASK_RSS_EVENTS_THRESH (until 6.1) */
#define FAULT_AROUND 16	    /* pages that one file fault may map */
#define PERCPU_BATCH_MIN 32 /* lib/percpu_counter.c: max(32, 2 * online CPUs) */

struct loader {
	struct memtree_bpf *skel;
	struct kernel_features features;
	uint32_t process_capacity;
	uint32_t tree_capacity;
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

static void programs_choose(struct loader *loader, bool fexit)
{
	const struct kernel_features *features = &loader->features;
	struct memtree_bpf *skel = loader->skel;

	bpf_program__set_autoload(skel->progs.teardown_ended, features->exit_mmap_tracepoint);
	bpf_program__set_autoload(skel->progs.teardown_ended_again, features->exit_mmap_tracepoint);
	bpf_program__set_autoload(skel->progs.teardown_returned, fexit);
	bpf_program__set_autoload(skel->progs.cpu_offset_learn, features->percpu_counters);
	bpf_program__set_autoload(skel->progs.snapshot_threads, features->thread_remainders);
	/* Run on demand, by others too. */
	bpf_program__set_autoattach(skel->progs.cpu_offset_learn, false);
	bpf_program__set_autoattach(skel->progs.process_register, false);
	bpf_program__set_autoattach(skel->progs.peak_raise, false);
	bpf_program__set_autoattach(skel->progs.snapshot_spaces, false);
	bpf_program__set_autoattach(skel->progs.snapshot_processes, false);
	bpf_program__set_autoattach(skel->progs.snapshot_zombies, false);
	bpf_program__set_autoattach(skel->progs.snapshot_threads, false);

	skel->rodata->page_shift = (__u32)__builtin_ctzl((unsigned long)sysconf(_SC_PAGESIZE));
	skel->rodata->cpus_possible = (__u32)libbpf_num_possible_cpus();
	skel->rodata->tree_slot_mask = loader->tree_capacity - 1;
	skel->rodata->teardown_is_seen = features->exit_mmap_tracepoint || fexit;
}

/* A process that execs holds two address spaces for a moment, hence the half more. */
static void maps_size(struct loader *loader)
{
	struct memtree_bpf *skel = loader->skel;
	uint32_t processes = loader->process_capacity;

	bpf_map__set_max_entries(skel->maps.mt_registry, loader->tree_capacity);
	bpf_map__set_max_entries(skel->maps.mt_settings, loader->tree_capacity);
	bpf_map__set_max_entries(skel->maps.mt_totals, loader->tree_capacity);
	bpf_map__set_max_entries(skel->maps.mt_windows, loader->tree_capacity * MT_EPOCHS);
	bpf_map__set_max_entries(skel->maps.mt_processes, processes);
	bpf_map__set_max_entries(skel->maps.mt_zombies, processes);
	bpf_map__set_max_entries(skel->maps.mt_spaces, processes + processes / 2);
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

/* Without a tracepoint at the end of a teardown, a trampoline is tried, then neither. */
static int programs_load(struct loader *loader)
{
	bool fexit = !loader->features.exit_mmap_tracepoint && loader->features.exit_mmap_function;
	int err = skeleton_load(loader, fexit);

	if (err && err != -EPERM && fexit)
		err = skeleton_load(loader, false);
	if (err == -EPERM || err == -EACCES)
		return talk_error(-EPERM, "loading BPF programs is not permitted: run as root "
					  "(needs CAP_BPF, CAP_PERFMON and CAP_SYS_ADMIN)");
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
	};

	for (int i = 0; i < MT_MAPS; i++)
		ret_ids[i] = map_id(maps[i]);
}

static void progs_enter(const struct memtree_bpf *skel, uint32_t *ret_ids)
{
	const struct bpf_program *progs[MT_PROGS] = {
		[MT_PROG_REGISTER] = skel->progs.process_register,
		[MT_PROG_PEAK_RAISE] = skel->progs.peak_raise,
		[MT_PROG_SNAPSHOT_SPACES] = skel->progs.snapshot_spaces,
		[MT_PROG_SNAPSHOT_PROCESSES] = skel->progs.snapshot_processes,
		[MT_PROG_SNAPSHOT_ZOMBIES] = skel->progs.snapshot_zombies,
		[MT_PROG_SNAPSHOT_THREADS] = skel->progs.snapshot_threads,
	};

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

/* In bytes: how far the live view of one unit (a thread's kinds together, or one kind of
 * one address space) may be off; see KERNEL facts in docs/DESIGN.md. */
static uint32_t error_bound(const struct kernel_features *features)
{
	long page = sysconf(_SC_PAGESIZE);
	int batch = 2 * get_nprocs();

	if (features->thread_remainders)
		return (uint32_t)(THREAD_BATCH * FAULT_AROUND * page);
	if (batch < PERCPU_BATCH_MIN)
		batch = PERCPU_BATCH_MIN;
	return (uint32_t)(batch * libbpf_num_possible_cpus() * page);
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
		.error_bound_bytes = error_bound(&loader->features),
	};
	__u32 zero = 0;

	maps_enter(skel, header.map_ids);
	progs_enter(skel, header.prog_ids);
	links_enter(loader, header.link_ids);
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
	err = memtree_bpf__attach(loader->skel);
	if (err)
		return talk_error(err,
				  "the BPF programs cannot be attached: %s; see why with "
				  "memtree -v",
				  strerror(-err));
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
	err = loader_prepare(loader);
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

void loader_stop(struct loader *loader)
{
	if (!loader)
		return;
	memtree_bpf__destroy(loader->skel);
	free(loader);
}
