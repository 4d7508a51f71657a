// SPDX-License-Identifier: GPL-2.0-only
#include "probe.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <mntent.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "cleanup.h"

#define BTF_PATH "/sys/kernel/btf/vmlinux"

#define ANSWER_42 42
#define MEASURING_RUNS 1000

static const struct bpf_insn program_simple[] = {
	{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = ANSWER_42},
	{.code = BPF_JMP | BPF_EXIT},
};

static const struct bpf_insn program_zero[] = {
	{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0},
	{.code = BPF_JMP | BPF_EXIT},
};

/* A fetching add on the stack: before 5.12 a reserved field. */
static const struct bpf_insn program_fetch[] = {
	{.code = BPF_ST | BPF_MEM | BPF_DW, .dst_reg = BPF_REG_10, .off = -8, .imm = 0},
	{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_1, .imm = 1},
	{.code = BPF_STX | BPF_ATOMIC | BPF_DW,
	 .dst_reg = BPF_REG_10,
	 .src_reg = BPF_REG_1,
	 .off = -8,
	 .imm = BPF_ADD | BPF_FETCH},
	{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0},
	{.code = BPF_JMP | BPF_EXIT},
};

#define LENGTH(program) (sizeof(program) / sizeof((program)[0]))

static enum answer answer_of(bool there)
{
	return there ? ANSWER_YES : ANSWER_NO;
}

static int raw_load(const struct bpf_insn *program, size_t length)
{
	int fd = bpf_prog_load(BPF_PROG_TYPE_RAW_TRACEPOINT, "mt_probe", "GPL", program, length,
			       NULL);

	return fd < 0 ? -errno : fd;
}

/* A program of `attach_type` at something that BTF describes; attached too, if asked. */
static enum answer tracing_try(const struct btf *btf, const char *name, __u32 kind,
			       enum bpf_attach_type attach_type, bool attach)
{
	int id = btf__find_by_name_kind(btf, name, kind);
	LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = attach_type,
		    .attach_btf_id = id > 0 ? (__u32)id : 0);
	_cleanup_close_ int program = -1, link = -1;

	if (id <= 0)
		return ANSWER_NO;
	program = bpf_prog_load(BPF_PROG_TYPE_TRACING, "mt_probe", "GPL", program_zero,
				LENGTH(program_zero), &options);
	if (program < 0 || !attach)
		return answer_of(program >= 0);
	link = bpf_raw_tracepoint_open(NULL, program);
	return answer_of(link >= 0);
}

/* Both must work where a feature stands twice. */
static void tracing_ask(const struct btf *btf, enum answer *asked)
{
	static const struct {
		enum feature feature;
		const char *name;
		__u32 kind;
		enum bpf_attach_type type;
		bool attach;
	} tries[] = {
		{FEATURE_RSS_STAT, "btf_trace_rss_stat", BTF_KIND_TYPEDEF, BPF_TRACE_RAW_TP, false},
		{FEATURE_ITERATORS, "bpf_iter_task", BTF_KIND_FUNC, BPF_TRACE_ITER, false},
		{FEATURE_ITERATORS, "bpf_iter_bpf_map_elem", BTF_KIND_FUNC, BPF_TRACE_ITER, false},
		/* The kernel's own function for such tests, which nothing else calls. */
		{FEATURE_TRAMPOLINES, "bpf_fentry_test1", BTF_KIND_FUNC, BPF_TRACE_FENTRY, true},
		{FEATURE_FMOD_RET, "security_task_alloc", BTF_KIND_FUNC, BPF_MODIFY_RETURN, false},
	};

	for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++)
		if (asked[tries[i].feature] != ANSWER_NO)
			asked[tries[i].feature] = tracing_try(btf, tries[i].name, tries[i].kind,
							      tries[i].type, tries[i].attach);
	if (asked[FEATURE_TRAMPOLINES] == ANSWER_NO)
		asked[FEATURE_FMOD_RET] = ANSWER_NO;
}

static void helpers_ask(enum answer *asked)
{
	static const struct {
		enum feature feature;
		enum bpf_func_id helper;
	} tries[] = {
		{FEATURE_KERNEL_READS, BPF_FUNC_probe_read_kernel},
		{FEATURE_PERCPU_LOOKUP, BPF_FUNC_map_lookup_percpu_elem},
		{FEATURE_LOOP, BPF_FUNC_loop},
		{FEATURE_SEND_SIGNAL, BPF_FUNC_send_signal},
		{FEATURE_RING_BUFFER, BPF_FUNC_ringbuf_reserve},
	};

	for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
		int known = libbpf_probe_bpf_helper(BPF_PROG_TYPE_RAW_TRACEPOINT, tries[i].helper,
						    NULL);

		if (known >= 0)
			asked[tries[i].feature] = answer_of(known);
	}
	if (asked[FEATURE_RING_BUFFER] == ANSWER_YES)
		asked[FEATURE_RING_BUFFER] =
			answer_of(libbpf_probe_bpf_map_type(BPF_MAP_TYPE_RINGBUF, NULL) > 0);
}

/* With a program of ours: can it be run from here, and what is told of it? */
static void program_ask(int program, enum answer *asked)
{
	__u64 args[] = {0};
	LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = args, .ctx_size_in = sizeof(args));
	struct bpf_prog_info info = {};
	__u32 size = sizeof(info);

	asked[FEATURE_TEST_RUN] = answer_of(!bpf_prog_test_run_opts(program, &options) &&
					    options.retval == ANSWER_42);
	/* An older kernel gives back a shorter record. */
	if (!bpf_obj_get_info_by_fd(program, &info, &size))
		asked[FEATURE_RECURSION_MISSES] =
			answer_of(size >= offsetof(struct bpf_prog_info, recursion_misses) +
						  sizeof(info.recursion_misses));
}

static void fetch_ask(enum answer *asked)
{
	_cleanup_close_ int program = raw_load(program_fetch, LENGTH(program_fetch));

	asked[FEATURE_FETCH_ATOMICS] = answer_of(program >= 0);
}

/* Needs permission to use BPF; without, nothing of this is known. */
static void bpf_ask(const struct btf *btf, struct machine *machine)
{
	_cleanup_close_ int program = raw_load(program_simple, LENGTH(program_simple));
	__u32 id = 0;

	machine->load_error = program < 0 ? program : 0;
	if (machine->load_error)
		return;
	if (bpf_prog_get_next_id(id, &id) && errno != ENOENT)
		machine->walk_error = -errno;
	program_ask(program, machine->asked);
	helpers_ask(machine->asked);
	fetch_ask(machine->asked);
	if (btf)
		tracing_ask(btf, machine->asked);
}

static void pidfd_ask(enum answer *asked)
{
	_cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	asked[FEATURE_PIDFDS] = answer_of(pidfd >= 0 &&
					  !syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0));
}

static void cgroups_ask(struct machine *machine)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	char line[8192]; /* a longer one is cut: of what follows nothing is a type of ours */
	struct mntent entry;

	if (!mounts)
		return;
	while (getmntent_r(mounts, &entry, line, sizeof(line))) {
		machine->cgroup_v1 |= !strcmp(entry.mnt_type, "cgroup");
		machine->cgroup_v2 |= !strcmp(entry.mnt_type, "cgroup2");
	}
	endmntent(mounts);
}

static void capabilities_ask(bool *ret_capabilities)
{
	static const int numbers[CAPABILITIES] = {
		[CAPABILITY_BPF] = CAP_BPF,
		[CAPABILITY_PERFMON] = CAP_PERFMON,
		[CAPABILITY_SYS_ADMIN] = CAP_SYS_ADMIN,
		[CAPABILITY_SYS_RESOURCE] = CAP_SYS_RESOURCE,
		[CAPABILITY_SYS_PTRACE] = CAP_SYS_PTRACE,
	};
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};

	if (syscall(SYS_capget, &header, data))
		return;
	for (int i = 0; i < CAPABILITIES; i++)
		ret_capabilities[i] = data[numbers[i] / 32].effective >> numbers[i] % 32 & 1;
}

static int quiet_print(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level;
	(void)format;
	(void)args;
	return 0;
}

void probe_machine(struct machine *ret_machine)
{
	struct machine machine = {
		.cpus_online = get_nprocs(),
		.cpus_possible = libbpf_num_possible_cpus(),
		.page_size = sysconf(_SC_PAGESIZE),
		.memlock_bytes = UINT64_MAX,
	};
	struct rlimit memlock;
	/* The file itself: libbpf would also take a copy of it on some disk. */
	struct btf *btf = access(BTF_PATH, R_OK) ? NULL : btf__parse(BTF_PATH, NULL);

	libbpf_set_print(quiet_print);
	machine.asked[FEATURE_BTF] = answer_of(btf);
	if (btf)
		machine.kernel = kernel_survey(btf);
	if (!getrlimit(RLIMIT_MEMLOCK, &memlock) && memlock.rlim_cur != RLIM_INFINITY)
		machine.memlock_bytes = memlock.rlim_cur;
	capabilities_ask(machine.capabilities);
	cgroups_ask(&machine);
	pidfd_ask(machine.asked);
	bpf_ask(btf, &machine);
	btf__free(btf);
	*ret_machine = machine;
}

/* What is measured of a program that does nothing is the measuring itself. */
static uint64_t measuring_cost(void)
{
	_cleanup_close_ int program = raw_load(program_simple, LENGTH(program_simple));
	__u64 args[] = {0};
	LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = args, .ctx_size_in = sizeof(args));
	struct bpf_prog_info info = {};
	__u32 size = sizeof(info);

	for (int i = 0; i < MEASURING_RUNS && program >= 0; i++)
		bpf_prog_test_run_opts(program, &options);
	if (program < 0 || bpf_obj_get_info_by_fd(program, &info, &size) || !info.run_cnt)
		return 0;
	return info.run_time_ns / info.run_cnt;
}

int probe_statistics(struct machine *machine)
{
	int statistics = bpf_enable_stats(BPF_STATS_RUN_TIME);

	machine->asked[FEATURE_RUN_STATISTICS] = answer_of(statistics >= 0);
	if (statistics >= 0)
		machine->measuring_ns = measuring_cost();
	return statistics;
}

static bool first_line_read(const char *path, char *line, int room)
{
	FILE *file = fopen(path, "re");
	bool got = file && fgets(line, room, file);

	if (file)
		fclose(file);
	return got;
}

/* "none [integrity] confidentiality": the one in brackets. */
static void lockdown_read(char *ret_lockdown, size_t room)
{
	char line[128], *start, *end;

	if (!first_line_read("/sys/kernel/security/lockdown", line, sizeof(line)))
		return;
	start = strchr(line, '[');
	end = start ? strchr(start, ']') : NULL;
	if (end)
		snprintf(ret_lockdown, room, "%.*s", (int)(end - start - 1), start + 1);
}

void probe_surroundings(struct surroundings *ret_surroundings)
{
	struct surroundings found = {.unprivileged_bpf = -1, .uid = geteuid()};
	struct utsname name;
	char line[32];

	if (!uname(&name)) {
		snprintf(found.release, sizeof(found.release), "%s", name.release);
		snprintf(found.architecture, sizeof(found.architecture), "%s", name.machine);
	}
	if (first_line_read("/proc/sys/kernel/unprivileged_bpf_disabled", line, sizeof(line)))
		sscanf(line, "%d", &found.unprivileged_bpf);
	lockdown_read(found.lockdown, sizeof(found.lockdown));
	*ret_surroundings = found;
}
