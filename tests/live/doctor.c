// SPDX-License-Identifier: GPL-2.0-only
/* What doctor says of this kernel and of trackers that are well, full, or just ending. */
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "groups.h"
#include "shell.h"

#define WORKLOAD "while :; do /bin/true; done & work=$!; "

static json_t *member_named(const json_t *list, const char *name)
{
	json_t *member;
	size_t i;

	json_array_foreach(list, i, member)
	{
		if (!strcmp(json_string_value(json_object_get(member, "name")), name))
			return member;
	}
	fail_msg("there is no %s", name);
	return NULL;
}

static json_t *tracker_entry(const json_t *root, pid_t pid)
{
	json_t *list = json_object_get(root, "trackers"), *entry;
	size_t i;

	json_array_foreach(list, i, entry)
	{
		if (integer(entry, "pid") == pid)
			return entry;
	}
	fail_msg("no tracker of pid %d", (int)pid);
	return NULL;
}

/* The text after a start of line, of the last command's output. */
static void assert_line(const char *start)
{
	char line[128];

	snprintf(line, sizeof(line), "\n%s", start);
	if (strncmp(outcome.out, start, strlen(start)) && !strstr(outcome.out, line))
		fail_msg("no line '%s' in %s", start, outcome.out);
}

/* --- the kernel ----------------------------------------------------------------------------- */

static void test_the_kernel_is_described(void **state)
{
	static const char *const keys[] = {"kernel",  "user",	"features", "trackers",
					   "healthy", "usable", "reason",   NULL};
	static const char *const kernel_keys[] = {"release",	     "architecture",
						  "cpus_online",     "btf",
						  "cpus_possible",   "unprivileged_bpf_disabled",
						  "lockdown",	     "memlock_bytes",
						  "memlock_matters", NULL};
	json_t *root, *feature;
	size_t i;

	(void)state;
	run("doctor --json --for 10ms");
	root = document();
	assert_keys(root, keys);
	assert_keys(json_object_get(root, "kernel"), kernel_keys);
	assert_true(json_is_true(json_object_get(root, "usable")));
	assert_true(json_is_boolean(json_object_get(root, "healthy")));
	assert_true(json_array_size(json_object_get(root, "features")) > 15);
	json_array_foreach(json_object_get(root, "features"), i, feature)
	{
		const char *what = json_string_value(json_object_get(feature, "state"));

		assert_true(json_string_length(json_object_get(feature, "why")) > 0);
		if (!strcmp(what, "unknown"))
			fail_msg("root does not know of %s",
				 json_string_value(json_object_get(feature, "name")));
	}
	json_decref(root);
}

static void test_without_a_tracker_all_is_well(void **state)
{
	(void)state;
	if (trackers_count(false))
		skip_because("somebody else's tracker runs on this machine");
	run("doctor");
	assert_int_equal(outcome.status, 0);
	assert_string_equal(outcome.err, "");
	assert_line("verdict   usable; no tracker runs\n");
	assert_line("rss_stat          used ");
}

/* When a feature came. */
static const struct {
	const char *feature;
	int since; /* 1000 * major + minor */
} history[] = {
	{"btf", 5004},
	{"rss_stat", 5005},
	{"iterators", 5009},
	{"test_run", 5010},
	{"run_statistics", 5008},
	{"ring_buffer", 5008},
	{"recursion_misses", 5012},
	{"fetch_atomics", 5012},
	{"cgroup_kill", 5014},
	{"oom_victims", 5005},
	{"bpf_loop", 5017},
	{"percpu_lookup", 5019},
	{"send_signal", 5003},
	{"send_signal_task", 6013},
	{"trampolines", 5005},
	{"fmod_ret", 5007},
	{"teardown_end", 5005},
	{"pidfds", 5003},
	{"kernel_reads", 5005},
};

/* These kernels are known: what was found by trying must agree with their history. */
static void test_the_features_of_a_known_kernel(void **state)
{
	struct utsname name;
	int major, minor, version;
	json_t *root, *features;

	(void)state;
	if (!getenv("MEMTREE_TEST_VM"))
		skip_because("this kernel may have anything: the matrix compares");
	uname(&name);
	assert_int_equal(sscanf(name.release, "%d.%d", &major, &minor), 2);
	version = major * 1000 + minor;
	run("doctor --json");
	root = document();
	features = json_object_get(root, "features");
	for (size_t i = 0; i < sizeof(history) / sizeof(history[0]); i++) {
		json_t *feature = member_named(features, history[i].feature);
		bool missing = !strcmp(json_string_value(json_object_get(feature, "state")),
				       "missing");

		if (missing != (version < history[i].since))
			fail_msg("%s on %s: %s", history[i].feature, name.release,
				 json_string_value(json_object_get(feature, "state")));
	}
	assert_string_equal(json_string_value(json_object_get(
				    member_named(features, "steady_handlers"), "state")),
			    version < 7000 ? "used" : "missing");
	json_decref(root);
}

static void test_a_user_without_rights_learns_what_he_can(void **state)
{
	json_t *root;

	(void)state;
	run_prepared(become_nobody, "doctor");
	assert_int_equal(outcome.status, 4);
	assert_one_line(outcome.err);
	assert_non_null(strstr(outcome.err, "root"));
	assert_line("verdict   NOT usable");
	assert_line("rss_stat          used ");
	assert_line("fmod_ret          unknown  only root");
	run_prepared(become_nobody, "doctor --json");
	assert_int_equal(outcome.status, 4);
	root = document();
	assert_true(json_is_false(json_object_get(root, "usable")));
	assert_true(json_is_null(json_object_get(root, "healthy")));
	assert_true(json_is_string(json_object_get(root, "reason")));
	assert_int_equal(json_array_size(json_object_get(root, "trackers")), 0);
	json_decref(root);
}

static void test_a_kernel_without_btf(void **state)
{
	json_t *root;

	(void)state;
	run_prepared(hide_btf, "doctor --json --for 10ms");
	assert_int_equal(outcome.status, 4);
	assert_one_line(outcome.err);
	assert_non_null(strstr(outcome.err, "BTF"));
	root = document();
	assert_true(json_is_false(json_object_get(root, "usable")));
	assert_string_equal(
		json_string_value(json_object_get(
			member_named(json_object_get(root, "features"), "btf"), "state")),
		"missing");
	json_decref(root);
}

/* --- trackers -------------------------------------------------------------------------------- */

static struct tracker *tracker_of(pid_t pid)
{
	struct tracker **trackers, *found = NULL;
	int count, foreign;

	assert_int_equal(trackers_find(&trackers, &count, &foreign), 0);
	for (int i = 0; i < count; i++)
		if (trackers[i]->header.loader_tgid == (uint32_t)pid) {
			found = trackers[i];
			trackers[i] = NULL;
		}
	trackers_close(trackers, count);
	assert_non_null(found);
	return found;
}

/* How often its programs have run while somebody had the statistics on. */
static uint64_t runs_counted(const struct tracker *tracker)
{
	uint64_t runs = 0;

	for (int i = 0; i < MT_LINKS_MAX && tracker->header.link_ids[i]; i++) {
		int link = bpf_link_get_fd_by_id(tracker->header.link_ids[i]), program;
		struct bpf_link_info link_info = {};
		struct bpf_prog_info info = {};
		__u32 size = sizeof(link_info);

		assert_true(link >= 0);
		assert_int_equal(bpf_obj_get_info_by_fd(link, &link_info, &size), 0);
		program = bpf_prog_get_fd_by_id(link_info.prog_id);
		assert_true(program >= 0);
		size = sizeof(info);
		assert_int_equal(bpf_obj_get_info_by_fd(program, &info, &size), 0);
		runs += info.run_cnt;
		close(program);
		close(link);
	}
	return runs;
}

/* A fork, many faults and an exit, so that the programs run. */
static void programs_provoke(void)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid)
		_exit(0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static bool is_counting(const struct tracker *tracker)
{
	uint64_t before = runs_counted(tracker);

	programs_provoke();
	return runs_counted(tracker) != before;
}

static void await_counting(const struct tracker *tracker)
{
	bool counting = is_counting(tracker);

	for (time_t end = 0; !counting && poll_on(&end);)
		counting = is_counting(tracker);
	assert_true(counting);
}

static int statistics_setting(void)
{
	FILE *file = fopen("/proc/sys/kernel/bpf_stats_enabled", "r");
	int enabled = -1;

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%d", &enabled), 1);
	fclose(file);
	return enabled;
}

static void test_the_cost_of_a_busy_tracker(void **state)
{
	static const char *const programs[] = {"memory_moved", "fork_seen", "exec_seen",
					       "exit_seen"};
	static const char *const keys[] = {"id",       "pid",	      "maps",
					   "losses",   "unhealed",    "healthy",
					   "programs", "measured_ns", NULL};
	static const char *const maps[] = {"processes", "zombies", "spaces",
					   "windows",	"trees",   NULL};
	struct started started = start(NULL, "run -n busy -- sh -c '" WORKLOAD
					     "$M doctor --json; kill $work'");
	json_t *root, *entry, *program;

	(void)state;
	finish(started);
	assert_int_equal(outcome.status, 0);
	root = document();
	entry = tracker_entry(root, started.pid);
	assert_keys(entry, keys);
	assert_keys(json_object_get(entry, "maps"), maps);
	assert_true(json_is_true(json_object_get(entry, "healthy")));
	assert_true(integer(entry, "measured_ns") >= 1000000000);
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		program = member_named(json_object_get(entry, "programs"), programs[i]);
		assert_true(integer(program, "events") > 0);
		assert_true(integer(program, "ns_per_event") > 0);
		assert_true(json_real_value(json_object_get(program, "cpu_percent")) > 0);
	}
	assert_true(integer(json_object_get(json_object_get(entry, "maps"), "processes"), "used") >=
		    2);
	assert_int_equal(integer(json_object_get(json_object_get(entry, "maps"), "trees"), "used"),
			 1);
	assert_int_equal(
		integer(json_object_get(json_object_get(entry, "maps"), "trees"), "capacity"), 64);
	json_decref(root);
	await_trackers(0);
}

static void test_the_fill_is_counted(void **state)
{
	json_t *root, *maps;
	struct started started =
		start(NULL, "run -n fill --capacity 64 -- sh -c 'for i in 1 2 3 4 5 6 7 8 9; do "
			    "sleep 100 & all=\"$all $!\"; done; sleep 0.3; "
			    "exec 2>/dev/null; $M doctor --json --for 0; kill $all'");

	(void)state;
	finish(started);
	root = document();
	maps = json_object_get(tracker_entry(root, started.pid), "maps");
	/* The shell, nine of its children, and the doctor. */
	assert_int_equal(integer(json_object_get(maps, "processes"), "used"), 11);
	assert_int_equal(integer(json_object_get(maps, "processes"), "capacity"), 64);
	assert_int_equal(integer(json_object_get(maps, "spaces"), "used"), 11);
	assert_int_equal(integer(json_object_get(maps, "spaces"), "capacity"), 88);
	json_decref(root);
	await_trackers(0);
}

static void test_a_full_tracker_is_unhealthy(void **state)
{
	struct started started =
		start(NULL, "run -q -n tiny --capacity 4 -- sh -c 'for i in 1 2 3 4 5 6 7 8; do "
			    "sleep 1000 & all=\"$all $!\"; done; sleep 0.3; "
			    "$M doctor --json --for 0; echo $? >&2; $M doctor --for 0 >&2; "
			    "kill $all'");
	json_t *root, *entry, *program;

	(void)state;
	finish(started);
	assert_int_equal(outcome.status, 0);
	assert_non_null(strstr(outcome.err, "trackers is unhealthy"));
	assert_non_null(strstr(outcome.err, "\n1\n"));
	assert_non_null(strstr(outcome.err, "\n! full     processes 4/4(!)"));
	assert_non_null(strstr(outcome.err, "\n! lost     processes_full "));
	root = document();
	assert_true(json_is_true(json_object_get(root, "usable")));
	assert_true(json_is_false(json_object_get(root, "healthy")));
	entry = tracker_entry(root, started.pid);
	assert_true(json_is_false(json_object_get(entry, "healthy")));
	assert_true(integer(json_object_get(entry, "losses"), "processes_full") > 0);
	assert_true(integer(json_object_get(entry, "unhealed"), "processes_full") > 0);
	/* Not measured is not 0. */
	program = member_named(json_object_get(entry, "programs"), "memory_moved");
	assert_true(json_is_null(json_object_get(program, "events")));
	json_decref(root);
	await_trackers(0);
}

static void test_two_trackers_are_both_examined(void **state)
{
	struct started one = start(NULL, "run -q -n one -- sleep 1000");
	struct started other = start(NULL, "run -q -n other -- sleep 1000");
	json_t *root;

	(void)state;
	await_trackers(2);
	run("doctor --json --for 100ms");
	root = document();
	assert_int_not_equal(integer(tracker_entry(root, one.pid), "id"),
			     integer(tracker_entry(root, other.pid), "id"));
	json_decref(root);
	kill(one.pid, SIGTERM);
	kill(other.pid, SIGTERM);
	finish(one);
	finish(other);
	await_trackers(0);
}

/* --- the run statistics ------------------------------------------------------------------------ */

static void test_the_statistics_are_off_again(void **state)
{
	struct started started = start(NULL, "run -q -n quiet -- sleep 100"), doctor;
	int setting = statistics_setting();
	struct tracker *tracker;
	bool counted;

	(void)state;
	await_trackers(1);
	tracker = tracker_of(started.pid);
	counted = is_counting(tracker);
	if (!counted) {
		doctor = start(NULL, "doctor --for 2s");
		await_counting(tracker);
		finish(doctor);
		assert_int_equal(outcome.status, 0);
		assert_int_equal(statistics_setting(), setting);
		assert_false(is_counting(tracker));
	}
	tracker_close(tracker);
	kill(started.pid, SIGTERM);
	finish(started);
	await_trackers(0);
	if (counted)
		skip_because("somebody has the run statistics on");
}

static void test_a_killed_doctor_leaves_the_statistics_off(void **state)
{
	struct started started = start(NULL, "run -q -n quiet -- sleep 100"), doctor;
	struct tracker *tracker;
	bool counted;

	(void)state;
	await_trackers(1);
	tracker = tracker_of(started.pid);
	counted = is_counting(tracker);
	if (!counted) {
		doctor = start(NULL, "doctor --for 1h");
		await_counting(tracker);
		kill(doctor.pid, SIGKILL);
		finish(doctor);
		assert_int_equal(outcome.status, 1000 + SIGKILL);
		assert_false(is_counting(tracker));
	}
	tracker_close(tracker);
	kill(started.pid, SIGTERM);
	finish(started);
	await_trackers(0);
	if (counted)
		skip_because("somebody has the run statistics on");
}

static void test_a_tracker_that_ends_while_it_is_examined(void **state)
{
	struct started started = start(NULL, "run -q -n ends -- sleep 100"), doctor;
	struct tracker *tracker;

	(void)state;
	await_trackers(1);
	tracker = tracker_of(started.pid);
	doctor = start(NULL, "doctor --for 3s");
	await_counting(tracker);
	tracker_close(tracker);
	kill(started.pid, SIGTERM);
	finish(started);
	finish(doctor);
	assert_int_equal(outcome.status, 0);
	assert_non_null(strstr(outcome.out, "has ended meanwhile"));
	await_trackers(0);
}

/* --- the command -------------------------------------------------------------------------------- */

static void test_an_output_that_is_full_is_told(void **state)
{
	(void)state;
	run("run -q -- sh -c 'for c in doctor \"doctor --json\"; do $M $c --for 0 >/dev/full; "
	    "echo $?; done'");
	assert_string_equal(outcome.out, "1\n1\n");
	assert_non_null(strstr(outcome.err, "stdout cannot be written"));
}

static void test_wrong_usage(void **state)
{
	static const char *const lines[] = {"doctor extra",   "doctor --for",	  "doctor --for x",
					    "doctor --for 3", "doctor --for -1s", "doctor --for 2h",
					    "doctor --bogus"};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		run(lines[i]);
		assert_int_equal(outcome.status, 2);
		assert_one_line(outcome.err);
		assert_string_equal(outcome.out, "");
	}
	run("doctor --help");
	assert_int_equal(outcome.status, 0);
	assert_non_null(strstr(outcome.out, "--for"));
}

static cpu_set_t cpus_before;

/*
 * Switching the statistics patches code that every handler runs through. With a thread per
 * CPU, QEMU 7.2 may run a breakpoint of that which the kernel has taken back ("Oops: int3"
 * in bpf_trace_run2 of 7.2): in the matrix these tests stay on one CPU.
 */
static int one_cpu_take(void **state)
{
	cpu_set_t first;

	(void)state;
	if (!getenv("MEMTREE_TEST_VM"))
		return 0;
	CPU_ZERO(&first);
	CPU_SET(0, &first);
	return sched_getaffinity(0, sizeof(cpus_before), &cpus_before) ||
	       sched_setaffinity(0, sizeof(first), &first);
}

static int cpus_give_back(void **state)
{
	(void)state;
	if (!getenv("MEMTREE_TEST_VM"))
		return 0;
	return sched_setaffinity(0, sizeof(cpus_before), &cpus_before);
}

int doctor_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_kernel_is_described),
		cmocka_unit_test(test_without_a_tracker_all_is_well),
		cmocka_unit_test(test_the_features_of_a_known_kernel),
		cmocka_unit_test(test_a_user_without_rights_learns_what_he_can),
		cmocka_unit_test(test_a_kernel_without_btf),
		cmocka_unit_test(test_the_cost_of_a_busy_tracker),
		cmocka_unit_test(test_the_fill_is_counted),
		cmocka_unit_test(test_a_full_tracker_is_unhealthy),
		cmocka_unit_test(test_two_trackers_are_both_examined),
		cmocka_unit_test(test_the_statistics_are_off_again),
		cmocka_unit_test(test_a_killed_doctor_leaves_the_statistics_off),
		cmocka_unit_test(test_a_tracker_that_ends_while_it_is_examined),
		cmocka_unit_test(test_an_output_that_is_full_is_told),
		cmocka_unit_test(test_wrong_usage),
	};

	return cmocka_run_group_tests_name("doctor", tests, one_cpu_take, cpus_give_back);
}
