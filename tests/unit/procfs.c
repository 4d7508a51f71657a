// SPDX-License-Identifier: GPL-2.0-only
/* What a proc file system tells: hostile fixtures made of plain files, and the real one. */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "proc.h"

/* --- the scan -------------------------------------------------------------------------- */

static const struct procfs_stat *scanned(const struct procfs_stat *stats, size_t count, pid_t pid)
{
	for (size_t i = 0; i < count; i++)
		if (stats[i].pid == pid)
			return &stats[i];
	return NULL;
}

static void test_a_scan_of_a_hostile_folder(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_free_ struct procfs_stat *stats = NULL;
	size_t count, unread;

	process_put(fixture, 100, 'S');
	text_put(fixture, "101/stat", "101 (a\n) R 1 (\xff)" AFTER_NAME);
	folder_put(fixture, "200"); /* it went away after the listing */
	folder_put(fixture, "201");
	link_put(fixture, "201/stat", "nowhere"); /* as did this one */
	folder_put(fixture, "300");
	folder_put(fixture, "300/stat");
	text_put(fixture, "301/stat", "");
	text_put(fixture, "302/stat", "302 (cut) S 1 302 302 0 -1 41");
	text_put(fixture, "303/stat", "304 (another) S" AFTER_STATE);
	link_put(fixture, "self", "100"); /* these are no folders of a pid */
	link_put(fixture, "400", "100");
	text_put(fixture, "0100/stat", "100 (twin)" AFTER_NAME);
	text_put(fixture, "12x/stat", "12 (x)" AFTER_NAME);
	text_put(fixture, "-5/stat", "5 (x)" AFTER_NAME);
	text_put(fixture, "99999999999/stat", "9 (x)" AFTER_NAME);
	text_put(fixture, "500", "a file");

	assert_int_equal(procfs_scan(&fixture->procfs, &stats, &count, &unread), 0);
	assert_int_equal(count, 2);
	assert_non_null(scanned(stats, count, 100));
	assert_string_equal(scanned(stats, count, 101)->comm, "a\n) R 1 (\xff");
	assert_int_equal(unread, 4);
}

static void test_a_scan_of_more_than_one_listing(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_free_ struct procfs_stat *stats = NULL;
	size_t count, unread;

	for (int pid = 1; pid <= 3000; pid++)
		process_put(fixture, pid, 'S');
	assert_int_equal(procfs_scan(&fixture->procfs, &stats, &count, &unread), 0);
	assert_int_equal(count, 3000);
	assert_int_equal(unread, 0);
	assert_non_null(scanned(stats, count, 3000));
}

static void test_an_empty_folder(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_free_ struct procfs_stat *stats = NULL;
	size_t count, unread;

	assert_int_equal(procfs_scan(&fixture->procfs, &stats, &count, &unread), 0);
	assert_int_equal(count, 0);
	assert_int_equal(unread, 0);
}

static void test_a_folder_that_is_not_there(void **state)
{
	struct fixture *fixture = *state;
	struct procfs procfs = {.root = -1};
	struct procfs_stat *stats = NULL;
	char path[PATH_MAX];
	size_t count, unread;

	snprintf(path, sizeof(path), "%s/missing", fixture->path);
	assert_int_equal(procfs_open(path, &procfs), -ENOENT);
	assert_int_equal(procfs.root, -1);
	procfs_close(&procfs);
	text_put(fixture, "missing", "a file");
	assert_int_equal(procfs_open(path, &procfs), -ENOTDIR);

	assert_int_equal(remove(path), 0);
	assert_int_equal(remove(fixture->path), 0); /* under the open fd */
	assert_int_not_equal(procfs_scan(&fixture->procfs, &stats, &count, &unread), 0);
	assert_null(stats);
}

/* Three calls for a process, four for the listing. */
static void test_system_calls_are_counted(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_free_ struct procfs_stat *stats = NULL;
	_cleanup_free_ char *cmdline = NULL;
	size_t count, unread;
	struct procfs_stat stat;

	assert_int_equal(fixture->procfs.calls, 1);
	for (int pid = 1; pid <= 3; pid++)
		process_put(fixture, pid, 'S');
	assert_int_equal(procfs_scan(&fixture->procfs, &stats, &count, &unread), 0);
	assert_int_equal(fixture->procfs.calls, 1 + 4 + 3 * 3);
	assert_int_equal(procfs_stat_read(&fixture->procfs, 1, &stat), 0);
	assert_int_equal(fixture->procfs.calls, 14 + 3);
	assert_int_equal(procfs_stat_read(&fixture->procfs, 4, &stat), -ESRCH);
	assert_int_equal(fixture->procfs.calls, 17 + 1);
	folder_put(fixture, "5");
	folder_put(fixture, "5/stat");
	assert_int_equal(procfs_stat_read(&fixture->procfs, 5, &stat), -EISDIR);
	assert_int_equal(fixture->procfs.calls, 18 + 3);
	text_put(fixture, "1/cmdline", "x");
	assert_int_equal(procfs_cmdline_read(&fixture->procfs, 1, &cmdline, &count), 0);
	assert_int_equal(fixture->procfs.calls, 21 + 4);
}

static void test_the_thread_that_speaks_for_a_process(void **state)
{
	struct fixture *fixture = *state;
	pid_t tid = 0;

	process_put(fixture, 100, 'S');
	assert_int_equal(procfs_thread_find(&fixture->procfs, 100, &tid), 0);
	assert_int_equal(tid, 100);

	process_put(fixture, 200, 'Z'); /* its first thread has exited, others run on */
	thread_put(fixture, 200, 200, 'Z');
	thread_put(fixture, 200, 201, 'X');
	thread_put(fixture, 200, 202, 'S');
	folder_put(fixture, "200/task/203");
	assert_int_equal(procfs_thread_find(&fixture->procfs, 200, &tid), 0);
	assert_int_equal(tid, 202);

	process_put(fixture, 300, 'Z');
	thread_put(fixture, 300, 300, 'Z');
	assert_int_equal(procfs_thread_find(&fixture->procfs, 300, &tid), -ESRCH);
	process_put(fixture, 400, 'Z');
	assert_int_equal(procfs_thread_find(&fixture->procfs, 400, &tid), -ESRCH);
	assert_int_equal(procfs_thread_find(&fixture->procfs, 500, &tid), -ESRCH);
	assert_int_equal(tid, 202);
}

/* --- status, statm, smaps, cmdline ------------------------------------------------------ */

static int kinds_of(struct fixture *fixture, const char *text, struct procfs_kinds *ret_kinds)
{
	text_put(fixture, "100/task/100/status", text);
	return procfs_kinds_read(&fixture->procfs, 100, 100, ret_kinds);
}

static void test_kinds(void **state)
{
	struct fixture *fixture = *state;
	struct procfs_kinds kinds = {.anon = 7};

	assert_int_equal(procfs_kinds_read(&fixture->procfs, 100, 100, &kinds), -ESRCH);
	assert_int_equal(kinds_of(fixture, "", &kinds), -EPROTO);
	assert_int_equal(kinds_of(fixture, "Name:\tx\nRssAnon:\t   12", &kinds), -EPROTO);
	assert_int_equal(kinds_of(fixture, "Name:\tx\nRssAnon:\t\n", &kinds), -EPROTO);
	assert_int_equal(kinds_of(fixture, "RssAnon:\t99999999999999999999 kB\n", &kinds), -EPROTO);
	assert_int_equal(kinds_of(fixture, "RssAnon:\t9223372036854775807 kB\n", &kinds), -EPROTO);
	assert_int_equal(kinds.anon, 7);

	assert_int_equal(kinds_of(fixture,
				  "Name:\tRssAnon: 5 kB\nUmask:\t0022\nNew line\n:\n\n\xff:1\n"
				  "VmRSS:\t     999 kB\nRssAnon:\t      10 kB\nRssFile:\t 20 kB\n"
				  "RssShmem:\t  30 kB\nRssAnonymous:\t7 kB\nVmSwap:\t 40 kB",
				  &kinds),
			 0);
	assert_int_equal(kinds.anon, 10 * 1024);
	assert_int_equal(kinds.file, 20 * 1024);
	assert_int_equal(kinds.shmem, 30 * 1024);
	assert_int_equal(kinds.swap, 40 * 1024);
}

static void test_a_kernel_thread_has_no_memory(void **state)
{
	struct procfs_kinds kinds = {.anon = 7, .swap = 7};

	assert_int_equal(kinds_of(*state, "Name:\tkthreadd\nState:\tS\nThreads:\t1\n", &kinds), 0);
	assert_int_equal(kinds.anon + kinds.file + kinds.shmem + kinds.swap, 0);
}

static void test_statm(void **state)
{
	struct fixture *fixture = *state;
	struct procfs_statm statm = {.size = 7};

	text_put(fixture, "100/task/101/statm", "100 20 3 4");
	assert_int_equal(procfs_statm_read(&fixture->procfs, 100, 101, &statm), -EPROTO);
	text_put(fixture, "100/task/101/statm", "9223372036854775807 20 3 4 0 5 0\n");
	assert_int_equal(procfs_statm_read(&fixture->procfs, 100, 101, &statm), -EPROTO);
	assert_int_equal(statm.size, 7);
	text_put(fixture, "100/task/101/statm", "100 20 3 4 0 5 0\n");
	assert_int_equal(procfs_statm_read(&fixture->procfs, 100, 101, &statm), 0);
	assert_int_equal(statm.size, 100 * PAGE);
	assert_int_equal(statm.resident, 20 * PAGE);
	assert_int_equal(statm.shared, 3 * PAGE);
}

static void test_thousands_of_mappings(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_free_ struct procfs_mapping *mappings = NULL;
	_cleanup_free_ char *text = NULL;
	int64_t sum = 0;
	size_t count, length;
	FILE *out = open_memstream(&text, &length);

	assert_non_null(out);
	for (int i = 0; i < 5000; i++)
		fprintf(out, HEAD "Rss: %19d kB\nVmFlags: rd wr\n", i);
	assert_int_equal(fclose(out), 0);
	file_put(fixture, "100/task/100/smaps", text, length);
	assert_int_equal(procfs_mappings_read(&fixture->procfs, 100, 100, &mappings, &count), 0);
	assert_int_equal(count, 5000);
	for (size_t i = 0; i < count; i++)
		sum += mappings[i].rss;
	assert_int_equal(sum, 4999LL * 5000 / 2 * 1024);
}

static void test_command_lines(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_free_ char *text = NULL, *big = malloc(300000);
	size_t length;

	assert_non_null(big);
	assert_int_equal(procfs_cmdline_read(&fixture->procfs, 100, &text, &length), -ESRCH);
	file_put(fixture, "100/cmdline", "sh\0-c\0\0a\nb\0", 11);
	assert_int_equal(procfs_cmdline_read(&fixture->procfs, 100, &text, &length), 0);
	assert_int_equal(length, 11);
	assert_memory_equal(text, "sh\0-c\0\0a\nb\0", 12);
	free(take_pointer(text));

	text_put(fixture, "100/cmdline", "");
	assert_int_equal(procfs_cmdline_read(&fixture->procfs, 100, &text, &length), 0);
	assert_int_equal(length, 0);
	assert_string_equal(text, "");
	free(take_pointer(text));

	memset(big, 'x', 300000);
	file_put(fixture, "100/cmdline", big, 300000);
	assert_int_equal(procfs_cmdline_read(&fixture->procfs, 100, &text, &length), 0);
	assert_int_equal(length, 300000);
	assert_memory_equal(text, big, 300000);
	assert_int_equal(text[300000], '\0');
}

/* --- the real one ----------------------------------------------------------------------- */

static int proc_open(void **state)
{
	struct procfs *procfs = calloc(1, sizeof(*procfs));

	*state = procfs;
	return procfs ? procfs_open("/proc", procfs) : -1;
}

static int proc_close(void **state)
{
	procfs_close(*state);
	free(*state);
	return 0;
}

static void test_this_process(void **state)
{
	struct procfs *procfs = *state;
	_cleanup_free_ char *cmdline = NULL;
	struct procfs_statm statm;
	struct procfs_kinds kinds;
	struct procfs_stat stat;
	size_t length;
	pid_t tid;

	assert_int_equal(prctl(PR_SET_NAME, "a) b\n(c"), 0);
	assert_int_equal(procfs_stat_read(procfs, getpid(), &stat), 0);
	assert_int_equal(stat.pid, getpid());
	assert_int_equal(stat.ppid, getppid());
	assert_int_equal(stat.pgrp, getpgrp());
	assert_int_equal(stat.session, getsid(0));
	assert_int_equal(stat.threads, 1);
	assert_int_equal(stat.state, 'R');
	assert_string_equal(stat.comm, "a) b\n(c");
	assert_true(stat.start_ticks && stat.rss_bytes > 0);

	assert_int_equal(procfs_statm_read(procfs, getpid(), getpid(), &statm), 0);
	assert_true(statm.resident > 0 && statm.shared > 0);
	assert_true(statm.size >= statm.resident && statm.resident >= statm.shared);
	assert_int_equal(procfs_kinds_read(procfs, getpid(), getpid(), &kinds), 0);
	assert_true(kinds.anon > 0 && kinds.file > 0);
	assert_int_equal(procfs_thread_find(procfs, getpid(), &tid), 0);
	assert_int_equal(tid, getpid());
	assert_int_equal(procfs_cmdline_read(procfs, getpid(), &cmdline, &length), 0);
	assert_non_null(strstr(cmdline, program_invocation_short_name));
	assert_int_equal(strlen(cmdline) + 1, length); /* it was called without arguments */
}

static void test_a_scan_sees_this_process_and_its_parent(void **state)
{
	_cleanup_free_ struct procfs_stat *stats = NULL;
	size_t count, unread;

	assert_int_equal(procfs_scan(*state, &stats, &count, &unread), 0);
	assert_int_equal(scanned(stats, count, getpid())->ppid, getppid());
	if (getppid()) /* 0: outside of this pid namespace */
		assert_non_null(scanned(stats, count, getppid()));
}

/* Bytes of a line of PID/smaps_rollup. */
static int64_t rollup_of(pid_t pid, const char *key)
{
	char path[TEXT], line[TEXT];
	long kb = -1;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
	file = fopen(path, "re");
	assert_non_null(file);
	while (kb < 0 && fgets(line, sizeof(line), file))
		if (!strncmp(line, key, strlen(key)) && line[strlen(key)] == ':')
			kb = strtol(line + strlen(key) + 1, NULL, 10);
	fclose(file);
	assert_true(kb >= 0);
	return kb * 1024;
}

/* A stopped child: nothing of it moves between the two readings. */
static void test_mappings_make_up_the_rollup(void **state)
{
	_cleanup_free_ struct procfs_mapping *mappings = NULL;
	int64_t rss = 0, anonymous = 0, swap = 0;
	pid_t child = fork();
	size_t count;
	int status;

	assert_true(child >= 0);
	if (!child) {
		raise(SIGSTOP);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, WUNTRACED), child);
	assert_true(WIFSTOPPED(status));
	assert_int_equal(procfs_mappings_read(*state, child, child, &mappings, &count), 0);
	for (size_t i = 0; i < count; i++) {
		rss += mappings[i].rss;
		anonymous += mappings[i].anonymous;
		swap += mappings[i].swap;
	}
	assert_true(count > 5 && rss > 0 && anonymous > 0);
	assert_int_equal(rss, rollup_of(child, "Rss"));
	assert_int_equal(anonymous, rollup_of(child, "Anonymous"));
	assert_int_equal(swap, rollup_of(child, "Swap"));
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
}

static void test_a_zombie_and_then_nobody(void **state)
{
	struct procfs_kinds kinds = {.anon = 7};
	struct procfs_stat stat;
	pid_t child = fork(), tid;
	siginfo_t info;

	assert_true(child >= 0);
	if (!child)
		_exit(0);
	assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
	assert_int_equal(procfs_stat_read(*state, child, &stat), 0);
	assert_int_equal(stat.state, 'Z');
	assert_int_equal(stat.rss_bytes, 0);
	assert_int_equal(procfs_kinds_read(*state, child, child, &kinds), 0);
	assert_int_equal(kinds.anon, 0);
	assert_int_equal(procfs_thread_find(*state, child, &tid), -ESRCH);

	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_int_equal(procfs_stat_read(*state, child, &stat), -ESRCH);
	assert_int_equal(procfs_kinds_read(*state, child, child, &kinds), -ESRCH);
	assert_int_equal(procfs_thread_find(*state, child, &tid), -ESRCH);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, fixture_make, fixture_remove)

int main(void)
{
	const struct CMUnitTest fixtures[] = {
		WITH_FIXTURE(test_a_scan_of_a_hostile_folder),
		WITH_FIXTURE(test_a_scan_of_more_than_one_listing),
		WITH_FIXTURE(test_an_empty_folder),
		WITH_FIXTURE(test_a_folder_that_is_not_there),
		WITH_FIXTURE(test_system_calls_are_counted),
		WITH_FIXTURE(test_the_thread_that_speaks_for_a_process),
		WITH_FIXTURE(test_kinds),
		WITH_FIXTURE(test_a_kernel_thread_has_no_memory),
		WITH_FIXTURE(test_statm),
		WITH_FIXTURE(test_thousands_of_mappings),
		WITH_FIXTURE(test_command_lines),
	};
	const struct CMUnitTest real[] = {
		cmocka_unit_test(test_this_process),
		cmocka_unit_test(test_a_scan_sees_this_process_and_its_parent),
		cmocka_unit_test(test_mappings_make_up_the_rollup),
		cmocka_unit_test(test_a_zombie_and_then_nobody),
	};
	int failed = cmocka_run_group_tests(fixtures, NULL, NULL);

	return failed + cmocka_run_group_tests(real, proc_open, proc_close);
}
