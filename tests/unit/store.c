// SPDX-License-Identifier: GPL-2.0-only
/* The journal on disk: what comes back, what is bounded, and what somebody else does to the file. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "folder.h"
#include "store.h"

#define SIZE 8192	 /* of both generations */
#define ROOM (1UL << 20) /* of a journal */

static struct folder folder;
static struct store *store;
static struct journal *journal;

static const char *path(const char *name)
{
	return folder_path(&folder, name);
}

/* As after a restart of the daemon. */
static void restart(void)
{
	store_close(store);
	journal_free(journal);
	journal = journal_new(1024, ROOM);
	assert_non_null(journal);
	assert_int_equal(store_open(path("log"), SIZE, &store), 0);
}

static int setup(void **state)
{
	(void)state;
	folder_make(&folder);
	restart();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	store_close(store);
	journal_free(journal);
	store = NULL;
	journal = NULL;
	folder_remove(folder.path);
	return 0;
}

static int happen(const char *name, size_t padding)
{
	char pad[4096] = "";

	memset(pad, 'x', padding);
	return store_append(store, journal_add(journal, json_pack("{s:s, s:s, s:s}", "name", name,
								  "id", "1.1", "pad", pad)));
}

static json_int_t seq_of(size_t entry)
{
	json_t *object = json_loads(journal_line(journal, entry), 0, NULL);
	json_int_t seq = json_integer_value(json_object_get(object, "seq"));

	json_decref(object);
	return seq;
}

/* The numbers of the newest that came back, without a gap. */
static void assert_restored(json_int_t first, json_int_t last)
{
	assert_int_equal(store_restore(store, journal, ROOM), 0);
	assert_int_equal(journal_count(journal), (size_t)(last - first + 1));
	for (size_t i = 0; i < journal_count(journal); i++)
		assert_int_equal(seq_of(i), first + (json_int_t)i);
}

static off_t size_of(const char *name)
{
	struct stat status;

	return stat(path(name), &status) ? -1 : status.st_size;
}

static void assert_complains(const char *text)
{
	const char *complaint = store_complaint(store);

	if (!complaint || !strstr(complaint, text))
		fail_msg("'%s' does not say '%s'", complaint ? complaint : "(nothing)", text);
	assert_null(store_complaint(store));
}

static void test_what_happened_is_there_after_a_restart(void **state)
{
	struct stat status;

	(void)state;
	assert_int_equal(store_restore(store, journal, ROOM), 0);
	assert_int_equal(happen("a", 10), 0);
	assert_int_equal(happen("b\n", 10), 0);
	assert_int_equal(store_counts(store)->written, 2);
	assert_int_equal(stat(path("log"), &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
	restart();
	assert_restored(1, 2);
	assert_true(journal_is_about(journal, 0, "a"));
	assert_true(journal_is_about(journal, 1, "b\n"));
	assert_int_equal(store_counts(store)->restored, 2);
	/* Numbers go on. */
	assert_int_equal(happen("c", 0), 0);
	assert_int_equal(seq_of(2), 3);
	restart();
	assert_restored(1, 3);
	assert_null(store_complaint(store));
	assert_int_equal(store_counts(store)->garbage, 0);
}

static void test_two_generations_are_kept(void **state)
{
	json_int_t first;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(happen("a", 100), 0);
		assert_in_range(size_of("log"), 1, SIZE / 2);
		assert_true(size_of("log.1") <= SIZE / 2);
	}
	assert_in_range(store_counts(store)->rotations, 30, 50);
	restart();
	assert_int_equal(store_restore(store, journal, ROOM), 0);
	first = seq_of(0);
	assert_in_range(first, 930, 975);
	restart();
	assert_restored(first, 1000);
}

static void test_reading_back_is_bounded(void **state)
{
	(void)state;
	for (int i = 0; i < 50; i++)
		assert_int_equal(happen("a", 100), 0);
	restart();
	assert_int_equal(store_restore(store, journal, 500), 0);
	assert_in_range(journal_count(journal), 2, 3);
	assert_int_equal(seq_of(journal_count(journal) - 1), 50);
	assert_int_equal(store_counts(store)->garbage, 0);
	/* By the journal, too. */
	journal_free(journal);
	journal = journal_new(5, ROOM);
	assert_restored(46, 50);
	restart();
	assert_int_equal(store_restore(store, journal, 0), 0);
	assert_int_equal(journal_count(journal), 0);
}

static void test_a_torn_end_costs_one_line(void **state)
{
	(void)state;
	assert_int_equal(happen("a", 10), 0);
	assert_int_equal(happen("b", 10), 0);
	assert_int_equal(truncate(path("log"), size_of("log") - 5), 0);
	restart();
	assert_restored(1, 1);
	assert_int_equal(store_counts(store)->garbage, 1);
	/* The next line is not spoiled by it. */
	assert_int_equal(happen("c", 10), 0);
	restart();
	assert_restored(1, 2);
	assert_true(journal_is_about(journal, 1, "c"));
	assert_int_equal(store_counts(store)->garbage, 1);
	/* A power loss may leave zeros. */
	assert_int_equal(truncate(path("log"), size_of("log") + 100), 0);
	restart();
	assert_restored(1, 2);
	assert_int_equal(happen("d", 10), 0);
	restart();
	assert_restored(1, 3);
}

static void test_garbage_is_skipped_and_counted(void **state)
{
	static const char *const lines[] = {
		"nonsense",
		"{\"seq\":1",
		"[1]",
		"5",
		"{}",
		"{\"seq\":0}",
		"{\"seq\":-1}",
		"{\"seq\":\"7\"}",
		"{\"seq\":7.5}",
		"{\"seq\":9007199254740993}",
		"{\"seq\":99999999999999999999999}",
		"{\"seq\":1,\"seq\":2}",
		"\xff\xfe{}",
		"{\"seq\":3,\"name\":\"\xff\"}",
		"{\"seq\":1} {\"seq\":2}",
		"{\"seq\":4,\"name\":\"a\\u0000b\"}",
	};
	char text[4096] = "{\"seq\":41,\"name\":5,\"id\":[]}\n\n";

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		sprintf(text + strlen(text), "%s\n", lines[i]);
	strcat(text, "{\"seq\":42,\"name\":\"a\"}\n");
	folder_write(&folder, "log", text);
	restart();
	assert_restored(41, 42);
	assert_int_equal(store_counts(store)->garbage, sizeof(lines) / sizeof(lines[0]));
	assert_int_equal(happen("a", 0), 0);
	assert_int_equal(seq_of(2), 43);
}

/* Depth that would overflow a parser's stack. */
static void test_a_hostile_line_is_garbage(void **state)
{
	char *text = malloc(100001);

	(void)state;
	assert_non_null(text);
	memset(text, '[', 100000);
	text[100000] = '\n';
	folder_write_bytes(&folder, "log", text, 100001);
	free(text);
	restart();
	assert_int_equal(store_restore(store, journal, ROOM), 0);
	assert_int_equal(store_counts(store)->garbage, 1);
	/* It is more than a generation: the next line begins one. */
	assert_int_equal(happen("a", 0), 0);
	assert_in_range(size_of("log"), 1, SIZE / 2);
	assert_int_equal(size_of("log.1"), 100001);
}

/* The order is that of the numbers, whatever the clock did. */
static void test_a_clock_that_jumps_changes_no_order(void **state)
{
	static const char *const times[] = {"2026-01-02T00:00:00Z", "1970-01-01T00:00:00Z",
					    "2262-01-01T00:00:00Z"};

	(void)state;
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(store_append(store, journal_add(journal, json_pack("{s:s}", "ts",
										    times[i]))),
				 0);
	restart();
	assert_restored(1, 3);
}

static void limit_files(rlim_t bytes)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* A full disk takes a part of a line, then nothing: as a limit on the file's size does. */
static void test_a_full_disk_is_counted_and_told_once(void **state)
{
	off_t before;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(happen("a", 100), 0);
	before = size_of("log");
	limit_files((rlim_t)before + 20);
	assert_int_equal(happen("b", 100), -ENOSPC);
	assert_complains("cannot be written: No space left on device");
	assert_int_equal(size_of("log"), before);
	assert_int_equal(happen("c", 100), -ENOSPC);
	assert_null(store_complaint(store));
	assert_int_equal(store_counts(store)->lost, 2);
	limit_files(RLIM_INFINITY);
	assert_int_equal(happen("d", 100), 0);
	assert_complains("is written again; lines lost: 2");
	assert_int_equal(happen("e", 100), 0);
	assert_null(store_complaint(store));
	restart();
	assert_int_equal(store_restore(store, journal, ROOM), 0);
	assert_int_equal(journal_count(journal), 3);
	assert_int_equal(seq_of(1), 4);
	assert_int_equal(store_counts(store)->garbage, 0);
}

static void test_what_is_too_long_is_lost_alone(void **state)
{
	(void)state;
	assert_int_equal(happen("a", 4095), -EFBIG);
	assert_complains("is too small for a verdict: raise log-size");
	assert_int_equal(happen("a", 10), 0);
	assert_complains("lines lost: 1");
	assert_int_equal(store_append(store, NULL), -ENOMEM);
	assert_complains("could not be built");
	store_resize(store, 2 * SIZE);
	assert_int_equal(happen("a", 4095), 0);
}

static void test_a_file_that_went_away_is_made_anew(void **state)
{
	(void)state;
	assert_int_equal(happen("a", 10), 0);
	assert_int_equal(unlink(path("log")), 0);
	assert_int_equal(happen("b", 10), 0);
	assert_int_equal(rename(path("log"), path("elsewhere")), 0);
	folder_write(&folder, "log", "foreign");
	assert_int_equal(happen("c", 10), 0);
	restart();
	assert_restored(3, 3);
	assert_int_equal(store_counts(store)->garbage, 1);
	/* Cut while it is open. */
	assert_int_equal(truncate(path("log"), 3), 0);
	assert_int_equal(happen("d", 10), 0);
	restart();
	assert_restored(4, 4);
}

static void test_a_link_is_not_followed(void **state)
{
	(void)state;
	folder_write(&folder, "victim", "precious\n");
	assert_int_equal(happen("a", 10), 0);
	assert_int_equal(unlink(path("log")), 0);
	assert_int_equal(symlink("victim", path("log")), 0);
	assert_int_equal(happen("b", 10), -ELOOP);
	assert_complains("move it away");
	assert_int_equal(unlink(path("log")), 0);
	assert_int_equal(link(path("victim"), path("log")), 0);
	assert_int_equal(happen("b", 10), -EPERM);
	assert_int_equal(size_of("victim"), 9);
	restart();
	assert_complains("move it away");
	assert_int_equal(store_restore(store, journal, ROOM), -EPERM);
	assert_int_equal(unlink(path("log")), 0);
	assert_int_equal(mkfifo(path("log"), 0600), 0);
	assert_int_equal(happen("b", 10), -EINVAL);
	assert_int_equal(store_restore(store, journal, ROOM), -EINVAL);
	assert_int_equal(unlink(path("log")), 0);
	assert_int_equal(happen("b", 10), 0);
	assert_complains("is written again");
}

/* Another name for it, given while it is open, is another's hold on it; so is another owner. */
static void test_a_file_is_ours_alone(void **state)
{
	struct stat status;

	(void)state;
	assert_int_equal(chmod(path("log"), 0666), 0);
	restart();
	assert_int_equal(stat(path("log"), &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
	assert_int_equal(link(path("log"), path("other")), 0);
	assert_int_equal(happen("a", 10), -EPERM);
	assert_int_equal(unlink(path("other")), 0);
	assert_int_equal(happen("a", 10), 0);
	if (geteuid())
		return;
	assert_int_equal(chown(path("log"), 1, 1), 0);
	restart();
	assert_int_equal(happen("a", 10), -EPERM);
	assert_int_equal(store_restore(store, journal, ROOM), -EPERM);
}

/* Links in the place of the older generation are replaced, not followed. */
static void test_rotation_overwrites_no_other_file(void **state)
{
	(void)state;
	folder_write(&folder, "victim", "precious\n");
	assert_int_equal(symlink("victim", path("log.1")), 0);
	for (int i = 0; i < 50; i++)
		assert_int_equal(happen("a", 100), 0);
	assert_int_equal(size_of("victim"), 9);
	assert_true(store_counts(store)->rotations > 0);
	/* Where it cannot be done, the bound holds all the same. */
	assert_int_equal(unlink(path("log.1")), 0);
	assert_int_equal(mkdir(path("log.1"), 0700), 0);
	for (int i = 0; i < 50; i++)
		happen("a", 100);
	assert_complains("cannot be renamed to PATH.1: Is a directory");
	assert_in_range(size_of("log"), 1, SIZE / 2);
	assert_true(store_counts(store)->lost > 0);
}

static void test_the_folder_is_made(void **state)
{
	struct stat status;

	(void)state;
	store_close(store);
	assert_int_equal(store_open(path("sub/log"), SIZE, &store), 0);
	assert_int_equal(happen("a", 10), 0);
	assert_int_equal(stat(path("sub"), &status), 0);
	assert_int_equal(status.st_mode & 07777, 0700);
	store_close(store);
	assert_int_equal(store_open(path("no/such/log"), SIZE, &store), 0);
	assert_complains("cannot be opened: No such file or directory");
	assert_int_equal(happen("a", 10), -ENOENT);
	store_close(NULL);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_what_happened_is_there_after_a_restart),
		TEST(test_two_generations_are_kept),
		TEST(test_reading_back_is_bounded),
		TEST(test_a_torn_end_costs_one_line),
		TEST(test_garbage_is_skipped_and_counted),
		TEST(test_a_hostile_line_is_garbage),
		TEST(test_a_clock_that_jumps_changes_no_order),
		TEST(test_a_full_disk_is_counted_and_told_once),
		TEST(test_what_is_too_long_is_lost_alone),
		TEST(test_a_file_that_went_away_is_made_anew),
		TEST(test_a_link_is_not_followed),
		TEST(test_a_file_is_ours_alone),
		TEST(test_rotation_overwrites_no_other_file),
		TEST(test_the_folder_is_made),
	};

	return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
