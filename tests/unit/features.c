// SPDX-License-Identifier: GPL-2.0-only
/* What is said of machines of several kinds, and why memtree cannot run on some. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>

#include <cmocka.h>

#include "features.h"

static void capabilities_set(struct machine *machine, bool present)
{
	for (int i = 0; i < CAPABILITIES; i++)
		machine->capabilities[i] = present;
}

/* By BTF alone, as a user without rights finds it. */
static struct machine machine_bare(void)
{
	return (struct machine){
		.kernel = {.features = {.rss_stat = true, .task_iterator = true},
			   .test_run = true,
			   .send_signal = true,
			   .ring_buffer = true,
			   .run_statistics = true},
		.asked = {[FEATURE_BTF] = ANSWER_YES, [FEATURE_PIDFDS] = ANSWER_YES},
		.load_error = -EPERM,
		.cpus_online = 2,
		.cpus_possible = 2,
		.page_size = 4096,
		.memlock_bytes = 65536,
	};
}

static struct machine linux_5_10(void)
{
	struct machine machine = machine_bare();

	machine.kernel.features.thread_remainders = true;
	machine.kernel.features.exit_mmap_function = true;
	machine.kernel.memlock_charged = true;
	return machine;
}

static struct machine linux_6_12(void)
{
	struct machine machine = machine_bare();

	machine.kernel.features.percpu_counters = true;
	machine.kernel.features.exit_mmap_tracepoint = true;
	machine.kernel.features.exit_mmap_function = true;
	machine.kernel.percpu_lookup = true;
	machine.kernel.loop = true;
	machine.kernel.recursion_misses = true;
	machine.kernel.cgroup_kill = true;
	return machine;
}

static struct machine linux_7_2(void)
{
	struct machine machine = linux_6_12();

	machine.kernel.send_signal_task = true;
	machine.kernel.features.preemptible_handler = true;
	return machine;
}

/* What root gets to know: everything that BTF says is allowed, and trampolines too. */
static struct machine as_root(struct machine machine)
{
	struct feature_row rows[FEATURES];

	machine.load_error = 0;
	capabilities_set(&machine, true);
	features_judge(&machine, rows);
	for (int i = 0; i < FEATURES; i++)
		if (rows[i].state == FEATURE_UNKNOWN)
			machine.asked[i] = ANSWER_YES;
	machine.asked[FEATURE_TEARDOWN_END] = ANSWER_UNKNOWN;
	return machine;
}

static struct feature_row row_of(const struct machine *machine, enum feature feature)
{
	struct feature_row rows[FEATURES];

	features_judge(machine, rows);
	return rows[feature];
}

static void assert_state(const struct machine *machine, enum feature feature,
			 enum feature_state state)
{
	struct feature_row row = row_of(machine, feature);

	if (row.state != state)
		fail_msg("%s is %s: %s", row.name, feature_state_name(row.state), row.why);
}

static void assert_says(const struct machine *machine, enum feature feature, const char *words)
{
	struct feature_row row = row_of(machine, feature);

	if (!strstr(row.why, words))
		fail_msg("%s does not say '%s': %s", row.name, words, row.why);
}

static void assert_usable(const struct machine *machine)
{
	struct feature_row rows[FEATURES];
	char buffer[FEATURE_BLOCKER];

	features_judge(machine, rows);
	assert_null(features_blocker(machine, rows, buffer));
}

static void assert_blocked(const struct machine *machine, const char *words)
{
	struct feature_row rows[FEATURES];
	char buffer[FEATURE_BLOCKER];
	const char *reason;

	features_judge(machine, rows);
	reason = features_blocker(machine, rows, buffer);
	assert_non_null(reason);
	assert_null(strchr(reason, '\n'));
	if (!strstr(reason, words))
		fail_msg("'%s' does not say '%s'", reason, words);
}

static void test_every_row_has_a_name_and_a_reason(void **state)
{
	const struct machine machines[] = {
		{},
		linux_5_10(),
		linux_6_12(),
		linux_7_2(),
		machine_bare(),
		as_root(linux_5_10()),
		as_root(linux_6_12()),
		as_root(linux_7_2()),
	};

	for (size_t i = 0; i < sizeof(machines) / sizeof(machines[0]); i++) {
		struct feature_row rows[FEATURES];

		features_judge(&machines[i], rows);
		for (int j = 0; j < FEATURES; j++) {
			assert_non_null(rows[j].name);
			assert_true(rows[j].why[0] != '\0');
			/* Not cut, and no line of a terminal is too short for it. */
			assert_true(strlen(rows[j].why) < 75);
			assert_non_null(feature_state_name(rows[j].state));
		}
	}
	for (int i = 0; i < CAPABILITIES; i++)
		assert_non_null(capability_name((enum capability)i));
}

static void test_linux_5_10(void **state)
{
	struct machine machine = as_root(linux_5_10());

	assert_usable(&machine);
	assert_state(&machine, FEATURE_RSS_LAYOUT, FEATURE_USED);
	assert_says(&machine, FEATURE_RSS_LAYOUT, "threads keep");
	assert_says(&machine, FEATURE_RSS_LAYOUT, "4.06M");
	assert_state(&machine, FEATURE_PERCPU_LOOKUP, FEATURE_MISSING);
	assert_says(&machine, FEATURE_PERCPU_LOOKUP, "costs nothing");
	assert_state(&machine, FEATURE_TRAMPOLINES, FEATURE_USED);
	assert_state(&machine, FEATURE_TEARDOWN_END, FEATURE_USED);
	assert_says(&machine, FEATURE_TEARDOWN_END, "fexit");
	assert_state(&machine, FEATURE_STEADY_HANDLERS, FEATURE_USED);
	assert_state(&machine, FEATURE_RECURSION_MISSES, FEATURE_MISSING);
	assert_state(&machine, FEATURE_LOOP, FEATURE_MISSING);
	assert_state(&machine, FEATURE_SEND_SIGNAL, FEATURE_UNUSED);
	assert_state(&machine, FEATURE_SEND_SIGNAL_TASK, FEATURE_MISSING);
	assert_state(&machine, FEATURE_CGROUP_KILL, FEATURE_MISSING);
}

static void test_linux_6_12(void **state)
{
	struct machine machine = as_root(linux_6_12());

	assert_usable(&machine);
	assert_says(&machine, FEATURE_RSS_LAYOUT, "CPUs keep");
	assert_says(&machine, FEATURE_RSS_LAYOUT, "256K");
	assert_state(&machine, FEATURE_PERCPU_LOOKUP, FEATURE_USED);
	assert_says(&machine, FEATURE_TEARDOWN_END, "mmap:exit_mmap");
	assert_state(&machine, FEATURE_TRAMPOLINES, FEATURE_UNUSED);
	assert_state(&machine, FEATURE_STEADY_HANDLERS, FEATURE_USED);
	assert_state(&machine, FEATURE_RECURSION_MISSES, FEATURE_USED);
	assert_state(&machine, FEATURE_FMOD_RET, FEATURE_UNUSED);
	assert_state(&machine, FEATURE_CGROUP_KILL, FEATURE_UNUSED);
}

static void test_linux_7_2_preempts_handlers(void **state)
{
	struct machine machine = as_root(linux_7_2());

	assert_usable(&machine);
	assert_state(&machine, FEATURE_STEADY_HANDLERS, FEATURE_MISSING);
	assert_says(&machine, FEATURE_STEADY_HANDLERS, "twin");
	assert_state(&machine, FEATURE_SEND_SIGNAL_TASK, FEATURE_UNUSED);
}

/* As on a machine that allows tracepoints and refuses fentry. */
static void test_refused_trampolines(void **state)
{
	struct machine old = as_root(linux_5_10()), new = as_root(linux_6_12());

	old.asked[FEATURE_TRAMPOLINES] = new.asked[FEATURE_TRAMPOLINES] = ANSWER_NO;
	old.asked[FEATURE_FMOD_RET] = ANSWER_NO;
	assert_usable(&old);
	assert_state(&old, FEATURE_TRAMPOLINES, FEATURE_MISSING);
	assert_state(&old, FEATURE_TEARDOWN_END, FEATURE_MISSING);
	assert_says(&old, FEATURE_TEARDOWN_END, "teardown's start");
	assert_state(&old, FEATURE_FMOD_RET, FEATURE_MISSING);
	assert_usable(&new);
	assert_says(&new, FEATURE_TRAMPOLINES, "costs nothing");
	assert_state(&new, FEATURE_TEARDOWN_END, FEATURE_USED);
}

static void test_a_user_without_rights(void **state)
{
	struct machine old = linux_5_10(), new = linux_7_2();

	assert_blocked(&old, "run as root");
	assert_blocked(&new, "run as root");
	/* BTF tells a lot all the same; what depends on permission is unknown. */
	assert_state(&new, FEATURE_RSS_STAT, FEATURE_USED);
	assert_state(&new, FEATURE_STEADY_HANDLERS, FEATURE_MISSING);
	assert_state(&new, FEATURE_RING_BUFFER, FEATURE_UNUSED);
	assert_state(&new, FEATURE_FMOD_RET, FEATURE_UNKNOWN);
	assert_says(&new, FEATURE_FMOD_RET, "root");
	assert_state(&old, FEATURE_TEARDOWN_END, FEATURE_UNKNOWN);
	assert_state(&new, FEATURE_TEARDOWN_END, FEATURE_USED);
	assert_state(&old, FEATURE_PIDFDS, FEATURE_USED);
}

static void test_root_to_whom_it_is_refused(void **state)
{
	struct machine machine = linux_6_12();

	capabilities_set(&machine, true);
	assert_blocked(&machine, "in spite of CAP_SYS_ADMIN");
	machine.load_error = -ENOSYS;
	assert_blocked(&machine, "Function not implemented");
}

/* CAP_BPF and CAP_PERFMON load programs; finding trackers takes more. */
static void test_some_capabilities(void **state)
{
	struct machine machine = as_root(linux_6_12());

	machine.capabilities[CAPABILITY_SYS_ADMIN] = false;
	machine.walk_error = -EPERM;
	assert_blocked(&machine, "CAP_SYS_ADMIN");
}

static void test_what_was_tried_counts_more_than_btf(void **state)
{
	struct machine machine = as_root(linux_6_12());

	machine.asked[FEATURE_ITERATORS] = ANSWER_NO;
	assert_state(&machine, FEATURE_ITERATORS, FEATURE_MISSING);
	assert_blocked(&machine, "iterators");
	machine = as_root(linux_6_12());
	machine.kernel.loop = false;
	machine.asked[FEATURE_LOOP] = ANSWER_YES;
	assert_state(&machine, FEATURE_LOOP, FEATURE_UNUSED);
	machine.asked[FEATURE_KERNEL_READS] = ANSWER_NO;
	assert_blocked(&machine, "lockdown");
}

static void test_what_memtree_cannot_do_without(void **state)
{
	struct machine machine = as_root(linux_6_12());

	machine.kernel.features.rss_stat = false;
	assert_blocked(&machine, "rss_stat");
	machine = as_root(linux_6_12());
	machine.kernel.features.percpu_counters = false;
	assert_blocked(&machine, "rss_layout");
	machine = as_root(linux_6_12());
	machine.kernel.percpu_lookup = false;
	assert_blocked(&machine, "percpu_lookup");
	machine = as_root(linux_6_12());
	machine.kernel.test_run = false;
	assert_blocked(&machine, "test_run");
	/* The kernel is named first: root could not help. */
	machine.load_error = -EPERM;
	assert_blocked(&machine, "test_run");
}

static void test_without_btf(void **state)
{
	struct machine machine = {.asked = {[FEATURE_BTF] = ANSWER_NO}};

	assert_blocked(&machine, "BTF");
	assert_state(&machine, FEATURE_BTF, FEATURE_MISSING);
	assert_state(&machine, FEATURE_RSS_STAT, FEATURE_UNKNOWN);
	assert_says(&machine, FEATURE_RSS_STAT, "without BTF");
	assert_state(&machine, FEATURE_STEADY_HANDLERS, FEATURE_UNKNOWN);
	machine.load_error = -EPERM;
	assert_blocked(&machine, "BTF");
}

static void test_locked_memory(void **state)
{
	struct machine machine = as_root(linux_5_10());

	/* CAP_SYS_RESOURCE raises it. */
	assert_usable(&machine);
	machine.capabilities[CAPABILITY_SYS_RESOURCE] = false;
	assert_blocked(&machine, "ulimit -l");
	machine.memlock_bytes = UINT64_MAX;
	assert_usable(&machine);
	machine.memlock_bytes = 64 << 20;
	assert_usable(&machine);
	/* Charged to the memory cgroup from 5.11. */
	machine = as_root(linux_6_12());
	machine.capabilities[CAPABILITY_SYS_RESOURCE] = false;
	assert_usable(&machine);
}

static void test_cgroups(void **state)
{
	struct machine machine = as_root(linux_6_12());

	assert_state(&machine, FEATURE_CGROUPS, FEATURE_MISSING);
	machine.cgroup_v1 = true;
	assert_state(&machine, FEATURE_CGROUPS, FEATURE_UNUSED);
	assert_says(&machine, FEATURE_CGROUPS, "v1 mounted");
	machine.cgroup_v2 = true;
	assert_says(&machine, FEATURE_CGROUPS, "v1 and v2 mounted");
	machine.cgroup_v1 = false;
	assert_says(&machine, FEATURE_CGROUPS, "v2 mounted");
	assert_usable(&machine);
}

static void test_the_error_bound_of_a_large_machine(void **state)
{
	struct machine machine = as_root(linux_6_12());

	machine.cpus_online = machine.cpus_possible = 1024;
	assert_says(&machine, FEATURE_RSS_LAYOUT, "8.00G");
}

int main(void)
{
	const struct CMUnitTest features[] = {
		cmocka_unit_test(test_every_row_has_a_name_and_a_reason),
		cmocka_unit_test(test_linux_5_10),
		cmocka_unit_test(test_linux_6_12),
		cmocka_unit_test(test_linux_7_2_preempts_handlers),
		cmocka_unit_test(test_refused_trampolines),
		cmocka_unit_test(test_a_user_without_rights),
		cmocka_unit_test(test_root_to_whom_it_is_refused),
		cmocka_unit_test(test_some_capabilities),
		cmocka_unit_test(test_what_was_tried_counts_more_than_btf),
		cmocka_unit_test(test_what_memtree_cannot_do_without),
		cmocka_unit_test(test_without_btf),
		cmocka_unit_test(test_locked_memory),
		cmocka_unit_test(test_cgroups),
		cmocka_unit_test(test_the_error_bound_of_a_large_machine),
	};

	return cmocka_run_group_tests(features, NULL, NULL);
}
