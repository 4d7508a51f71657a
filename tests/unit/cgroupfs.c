// SPDX-License-Identifier: GPL-2.0-only
/* What the files of cgroups say, in mountinfo and folders that the test writes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

#include "cgroupfs.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* --- which version ---------------------------------------------------------------------- */

static void test_the_version_is_the_memory_controllers(void **state)
{
	static const struct {
		const char *text;
		enum cgroupfs_version version;
	} cases[] = {
		{"0::/user.slice\n", CGROUPFS_V2},
		{"4:memory:/a\n3:cpuset:/\n0::/\n", CGROUPFS_V1},
		{"0::/\n4:cpu,memory,pids:/a\n", CGROUPFS_V1},
		{"4:cpu:/\n1:name=memory:/\n0::/\n", CGROUPFS_V2},
		{"4:memory_not,notmemory:/\n0::/\n", CGROUPFS_V2},
		{"0::/4:memory:/\n", CGROUPFS_V2},
		{"0::/a:memory:b\n", CGROUPFS_V2},
		{"4:cpu:/\n", CGROUPFS_NONE},
		{"", CGROUPFS_NONE},
		{"\n\n:\n::\nrubbish\n", CGROUPFS_NONE},
		{"4:memory", CGROUPFS_NONE},
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		if (cgroupfs_version_parse(cases[i].text) != cases[i].version)
			fail_msg("'%s'", cases[i].text);
}

/* --- where it is mounted ---------------------------------------------------------------- */

#define HYBRID                                                                                \
	"27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"                                     \
	"31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"                          \
	"32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"                         \
	"35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:7 - cgroup cgroup rw,memory\n" \
	"41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"

static void place_is(const char *text, enum cgroupfs_version version, const char *path,
		     const char *mount, const char *root)
{
	struct cgroupfs_place place;

	assert_int_equal(cgroupfs_place_parse(text, version, path, &place), 0);
	assert_string_equal(place.mount, mount);
	assert_string_equal(place.root, root);
	assert_string_equal(place.path, path);
	cgroupfs_place_free(&place);
}

static void test_the_mount_of_each_version(void **state)
{
	struct cgroupfs_place place;

	place_is(HYBRID, CGROUPFS_V1, "/a/b", "/sys/fs/cgroup/memory", "/");
	place_is(HYBRID, CGROUPFS_V2, "/", "/sys/fs/cgroup/unified", "/");
	assert_int_equal(cgroupfs_place_parse(HYBRID, CGROUPFS_V1, "/a", &place), 0);
	assert_true(place.device == makedev(0, 32));
	cgroupfs_place_free(&place);
	/* Any number of tags may stand before the dash. */
	place_is("1 1 0:9 / /m rw - cgroup2 none rw", CGROUPFS_V2, "/x", "/m", "/");
	place_is("1 1 0:9 / /m rw shared:1 master:2 propagate_from:3 - cgroup2 none rw\n",
		 CGROUPFS_V2, "/x", "/m", "/");
	place_is("1 1 0:9 / /m rw - cgroup none rw,cpu,memory,pids\n", CGROUPFS_V1, "/x", "/m",
		 "/");
}

static void test_a_mount_of_a_part_of_the_hierarchy(void **state)
{
	static const char text[] = "1 1 0:9 /docker/abc /in rw - cgroup2 none rw\n"
				   "2 1 0:9 /docker /out rw - cgroup2 none rw\n"
				   "3 1 0:9 /docker/abc/d /deep rw - cgroup2 none rw\n"
				   "4 1 0:9 /../.. /above rw - cgroup2 none rw\n";
	struct cgroupfs_place place = {.mount = NULL};

	/* The one that shows the most of what is above. */
	place_is(text, CGROUPFS_V2, "/docker/abc/d/e", "/out", "/docker");
	place_is(text, CGROUPFS_V2, "/docker", "/out", "/docker");
	assert_int_equal(cgroupfs_place_parse(text, CGROUPFS_V2, "/dockers", &place), -EXDEV);
	assert_int_equal(cgroupfs_place_parse(text, CGROUPFS_V2, "/", &place), -EXDEV);
	assert_int_equal(cgroupfs_place_parse(text, CGROUPFS_V1, "/docker", &place), -ENOENT);
	assert_null(place.mount);
}

static void test_escapes_of_mountinfo(void **state)
{
	place_is("1 1 0:9 /a\\040b\\012 /m\\134x\\011y rw - cgroup2 none rw\n", CGROUPFS_V2,
		 "/a b\n/c", "/m\\x\ty", "/a b\n");
	/* What is no escape stays. */
	place_is("1 1 0:9 / /m\\09\\8 rw - cgroup2 none rw\n", CGROUPFS_V2, "/c", "/m\\09\\8", "/");
}

static void test_mountinfo_that_is_not_understood(void **state)
{
	static const char *const texts[] = {
		"",
		"\n",
		"1 1 0:9 / /m rw cgroup2 none rw\n",
		"1 1 0:9 / /m rw -",
		"1 1 0:9 / /m rw - cgroup2x none rw\n",
		"1 1 0:9 /\n",
		"1 1 rubbish / /m rw - cgroup2 none rw\n",
		"1 1 0:9 / /m rw - ext4 cgroup2 cgroup2\n",
		"cgroup2 cgroup2 cgroup2 cgroup2 cgroup2 cgroup2 cgroup2\n",
		"- - - - - - -\n",
	};
	struct cgroupfs_place place;

	for (size_t i = 0; i < COUNT(texts); i++)
		if (cgroupfs_place_parse(texts[i], CGROUPFS_V2, "/a", &place) != -ENOENT)
			fail_msg("'%s'", texts[i]);
	assert_int_equal(cgroupfs_place_parse(HYBRID, CGROUPFS_NONE, "/a", &place), -ENOENT);
	assert_int_equal(cgroupfs_place_parse(HYBRID, CGROUPFS_V1, ".../a", &place), -EINVAL);
	assert_int_equal(cgroupfs_place_parse(HYBRID, CGROUPFS_V1, "", &place), -EINVAL);
	assert_int_equal(cgroupfs_place_parse(HYBRID, CGROUPFS_V1, NULL, &place), -EINVAL);
}

/* --- numbers ---------------------------------------------------------------------------- */

static void test_one_number(void **state)
{
	static const struct {
		const char *text;
		uint64_t value;
		bool unlimited;
		int err;
	} cases[] = {
		{"0\n", 0, false, 0},
		{"4096\n", 4096, false, 0},
		{"4096", 4096, false, 0},
		{"9223372036854775807\n", INT64_MAX, false, 0},
		{"max\n", 0, true, 0},
		{"9223372036854775808\n", 0, false, -EPROTO},
		{"99999999999999999999999999\n", 0, false, -EPROTO},
		{"-1\n", 0, false, -EPROTO},
		{"+1\n", 0, false, -EPROTO},
		{" 1\n", 0, false, -EPROTO},
		{"1 \n", 0, false, -EPROTO},
		{"0x10\n", 0, false, -EPROTO},
		{"maximum\n", 0, false, -EPROTO},
		{"\n", 0, false, -EPROTO},
		{"", 0, false, -EPROTO},
		{"1\n2\n", 0, false, -EPROTO},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct cgroupfs_figure figure = cgroupfs_figure_parse(cases[i].text, NULL);

		if (figure.err != cases[i].err || figure.value != cases[i].value ||
		    figure.unlimited != cases[i].unlimited)
			fail_msg("'%s'", cases[i].text);
	}
}

static void test_a_line_among_others(void **state)
{
	static const char text[] = "cache 1\ntotal_cache 22\nnew_thing a b c\ntotal_rss -5\n"
				   "file 7\nfile_dirty 8\nempty\nblank \ntwo 1 2\nlast 33";

	assert_int_equal(cgroupfs_figure_parse(text, "cache").value, 1);
	assert_int_equal(cgroupfs_figure_parse(text, "total_cache").value, 22);
	assert_int_equal(cgroupfs_figure_parse(text, "file").value, 7);
	assert_int_equal(cgroupfs_figure_parse(text, "file_dirty").value, 8);
	assert_int_equal(cgroupfs_figure_parse(text, "total_rss").err, -EPROTO);
	assert_int_equal(cgroupfs_figure_parse(text, "two").err, -EPROTO);
	assert_int_equal(cgroupfs_figure_parse(text, "blank").err, -EPROTO);
	assert_int_equal(cgroupfs_figure_parse(text, "empty").err, -ENODATA);
	assert_int_equal(cgroupfs_figure_parse(text, "missing").err, -ENODATA);
	assert_int_equal(cgroupfs_figure_parse("", "missing").err, -ENODATA);
	/* Cut short, 33 may have been 3300. */
	assert_int_equal(cgroupfs_figure_parse(text, "last").err, -EPROTO);
}

/* --- folders ---------------------------------------------------------------------------- */

struct stage {
	char folder[64];
	char mountinfo[256];
	struct cgroupfs_place place;
};

static void stage_write(const struct stage *stage, const char *name, const char *text)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", stage->folder, name);
	file = fopen(path, "we");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void stage_folder(const struct stage *stage, const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", stage->folder, name);
	assert_int_equal(mkdir(path, 0755), 0);
}

static int stage_open(void **state)
{
	struct stage *stage = calloc(1, sizeof(*stage));

	strcpy(stage->folder, "/tmp/memtree-unit-XXXXXX");
	*state = stage;
	return mkdtemp(stage->folder) ? 0 : -1;
}

static int stage_close(void **state)
{
	struct stage *stage = *state;
	char line[128];
	int failed;

	cgroupfs_place_free(&stage->place);
	snprintf(line, sizeof(line), "rm -r %s", stage->folder);
	failed = system(line);
	free(stage);
	return failed;
}

/* The stage stands for the hierarchy. */
static void stage_mount(struct stage *stage, enum cgroupfs_version version, const char *path)
{
	struct stat status;

	assert_int_equal(stat(stage->folder, &status), 0);
	snprintf(stage->mountinfo, sizeof(stage->mountinfo),
		 "9 1 %u:%u / %s rw - %s none rw,memory\n", major(status.st_dev),
		 minor(status.st_dev), stage->folder,
		 version == CGROUPFS_V1 ? "cgroup" : "cgroup2");
	cgroupfs_place_free(&stage->place);
	assert_int_equal(cgroupfs_place_parse(stage->mountinfo, version, path, &stage->place), 0);
}

static uint64_t value(const struct cgroupfs_memory *memory, enum cgroupfs_field field)
{
	assert_int_equal(memory->figures[field].err, 0);
	assert_false(memory->figures[field].unlimited);
	return memory->figures[field].value;
}

#define NO_LIMIT_V1 "9223372036854771712\n"

static void test_version_1(void **state)
{
	struct stage *stage = *state;
	struct cgroupfs_memory memory;

	stage_folder(stage, "a b\n");
	stage_write(stage, "a b\n/memory.usage_in_bytes", "1000\n");
	stage_write(stage, "a b\n/memory.max_usage_in_bytes", "2000\n");
	stage_write(stage, "a b\n/memory.limit_in_bytes", "5000\n");
	stage_write(stage, "a b\n/memory.memsw.limit_in_bytes", NO_LIMIT_V1);
	stage_write(stage, "a b\n/memory.failcnt", "3\n");
	stage_write(stage, "a b\n/memory.oom_control",
		    "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
	stage_write(stage, "a b\n/memory.stat",
		    "cache 1\nrss 2\nunknown of old -1\nhierarchical_memory_limit 5000\n"
		    "total_cache 10\ntotal_rss 20\ntotal_shmem 3\ntotal_mapped_file 4\n"
		    "total_inactive_file 5\ntotal_dirty 6\n");
	stage_write(stage, "memory.limit_in_bytes", NO_LIMIT_V1);
	stage_mount(stage, CGROUPFS_V1, "/a b\n");
	assert_int_equal(cgroupfs_memory_read(&stage->place, &memory), 0);
	assert_int_equal(value(&memory, CGROUPFS_USAGE), 1000);
	assert_int_equal(value(&memory, CGROUPFS_PEAK), 2000);
	assert_int_equal(value(&memory, CGROUPFS_ANON), 20);
	assert_int_equal(value(&memory, CGROUPFS_CACHE), 10);
	assert_int_equal(value(&memory, CGROUPFS_SHMEM), 3);
	assert_int_equal(value(&memory, CGROUPFS_MAPPED), 4);
	assert_int_equal(value(&memory, CGROUPFS_INACTIVE_FILE), 5);
	assert_int_equal(value(&memory, CGROUPFS_DIRTY), 6);
	assert_int_equal(value(&memory, CGROUPFS_FAILURES), 3);
	assert_int_equal(value(&memory, CGROUPFS_OOM_KILLS), 2);
	assert_true(memory.figures[CGROUPFS_SWAP_LIMIT].unlimited);
	assert_int_equal(memory.figures[CGROUPFS_WRITEBACK].err, -ENODATA);
	assert_int_equal(memory.figures[CGROUPFS_KERNEL].err, -ENOENT);
	assert_int_equal(memory.figures[CGROUPFS_HIGH].err, -EOPNOTSUPP);
	assert_int_equal(memory.limit.value, 5000);
	assert_string_equal(memory.limit_path, "/a b\n");
	assert_string_equal(memory.path, "/a b\n");
	assert_false(memory.is_root);
	cgroupfs_memory_free(&memory);
}

static void test_version_2(void **state)
{
	struct stage *stage = *state;
	struct cgroupfs_memory memory;

	stage_folder(stage, "a");
	stage_write(stage, "a/memory.current", "1000\n");
	stage_write(stage, "a/memory.max", "max\n");
	stage_write(stage, "a/memory.high", "7000\n");
	stage_write(stage, "a/memory.swap.current", "11\n");
	stage_write(stage, "a/memory.events", "low 0\nhigh 1\nmax 4\noom 1\noom_kill 1\n");
	stage_write(stage, "a/memory.stat",
		    "anon 20\nfile 10\nkernel 9\nshmem 3\nfile_mapped 4\nfile_dirty 6\n"
		    "file_writeback 1\ninactive_file 5\nactive_file 2\n");
	stage_mount(stage, CGROUPFS_V2, "/a");
	assert_int_equal(cgroupfs_memory_read(&stage->place, &memory), 0);
	assert_int_equal(value(&memory, CGROUPFS_USAGE), 1000);
	assert_int_equal(value(&memory, CGROUPFS_ANON), 20);
	assert_int_equal(value(&memory, CGROUPFS_CACHE), 10);
	assert_int_equal(value(&memory, CGROUPFS_SHMEM), 3);
	assert_int_equal(value(&memory, CGROUPFS_MAPPED), 4);
	assert_int_equal(value(&memory, CGROUPFS_DIRTY), 6);
	assert_int_equal(value(&memory, CGROUPFS_WRITEBACK), 1);
	assert_int_equal(value(&memory, CGROUPFS_INACTIVE_FILE), 5);
	assert_int_equal(value(&memory, CGROUPFS_ACTIVE_FILE), 2);
	assert_int_equal(value(&memory, CGROUPFS_KERNEL), 9);
	assert_int_equal(value(&memory, CGROUPFS_SWAP), 11);
	assert_int_equal(value(&memory, CGROUPFS_HIGH), 7000);
	assert_int_equal(value(&memory, CGROUPFS_FAILURES), 4);
	assert_int_equal(value(&memory, CGROUPFS_OOM_KILLS), 1);
	assert_int_equal(memory.figures[CGROUPFS_PEAK].err, -ENOENT);
	assert_int_equal(memory.figures[CGROUPFS_LIMIT_ABOVE].err, -EOPNOTSUPP);
	assert_true(memory.figures[CGROUPFS_LIMIT].unlimited);
	/* The root has no memory.max: no limit anywhere. */
	assert_true(memory.limit.unlimited);
	assert_null(memory.limit_path);
	cgroupfs_memory_free(&memory);
}

static void limits_are(struct stage *stage, const char *a, const char *b, const char *c, int err,
		       uint64_t limit, const char *path)
{
	struct cgroupfs_memory memory;

	stage_write(stage, "a/memory.max", a);
	stage_write(stage, "a/b/memory.max", b);
	stage_write(stage, "a/b/c/memory.max", c);
	assert_int_equal(cgroupfs_memory_read(&stage->place, &memory), 0);
	assert_int_equal(memory.limit.err, err);
	assert_int_equal(memory.limit.value, limit);
	if (path)
		assert_string_equal(memory.limit_path, path);
	else
		assert_null(memory.limit_path);
	cgroupfs_memory_free(&memory);
}

static void test_the_smallest_limit_up_the_path(void **state)
{
	struct stage *stage = *state;

	stage_folder(stage, "a");
	stage_folder(stage, "a/b");
	stage_folder(stage, "a/b/c");
	stage_write(stage, "a/b/c/memory.current", "1\n");
	stage_mount(stage, CGROUPFS_V2, "/a/b/c");
	limits_are(stage, "max\n", "max\n", "30\n", 0, 30, "/a/b/c");
	limits_are(stage, "10\n", "20\n", "30\n", 0, 10, "/a");
	limits_are(stage, "30\n", "20\n", "max\n", 0, 20, "/a/b");
	limits_are(stage, "20\n", "20\n", "20\n", 0, 20, "/a/b/c");
	limits_are(stage, "0\n", "20\n", "20\n", 0, 0, "/a");
	/* One that cannot be read may be the smallest. */
	limits_are(stage, "rubbish\n", "20\n", "20\n", -EPROTO, 0, NULL);
}

static void test_version_1_knows_the_limit_that_counts(void **state)
{
	struct stage *stage = *state;
	struct cgroupfs_memory memory;

	/* Above the mount, or below a cgroup without use_hierarchy. */
	stage_folder(stage, "a");
	stage_write(stage, "a/memory.usage_in_bytes", "1\n");
	stage_write(stage, "a/memory.limit_in_bytes", "50\n");
	stage_write(stage, "memory.limit_in_bytes", NO_LIMIT_V1);
	stage_write(stage, "a/memory.stat", "hierarchical_memory_limit 40\n");
	stage_mount(stage, CGROUPFS_V1, "/a");
	assert_int_equal(cgroupfs_memory_read(&stage->place, &memory), 0);
	assert_int_equal(memory.limit.value, 40);
	assert_null(memory.limit_path);
	cgroupfs_memory_free(&memory);
	stage_write(stage, "a/memory.stat", "hierarchical_memory_limit " NO_LIMIT_V1);
	assert_int_equal(cgroupfs_memory_read(&stage->place, &memory), 0);
	assert_true(memory.limit.unlimited);
	cgroupfs_memory_free(&memory);
}

static void test_a_controller_that_is_on_further_up(void **state)
{
	struct stage *stage = *state;
	struct cgroupfs_memory memory;

	stage_folder(stage, "a");
	stage_folder(stage, "a/b");
	stage_folder(stage, "a/b/c");
	stage_write(stage, "a/memory.current", "77\n");
	stage_write(stage, "a/memory.max", "100\n");
	stage_mount(stage, CGROUPFS_V2, "/a/b/c");
	assert_int_equal(cgroupfs_memory_read(&stage->place, &memory), 0);
	assert_string_equal(memory.path, "/a");
	assert_int_equal(value(&memory, CGROUPFS_USAGE), 77);
	assert_string_equal(memory.limit_path, "/a");
	cgroupfs_memory_free(&memory);
}

static void test_the_root_has_hardly_any_file(void **state)
{
	struct stage *stage = *state;
	struct cgroupfs_memory memory;

	stage_write(stage, "memory.stat", "anon 5\n");
	stage_mount(stage, CGROUPFS_V2, "/");
	assert_int_equal(cgroupfs_memory_read(&stage->place, &memory), 0);
	assert_true(memory.is_root);
	assert_int_equal(memory.figures[CGROUPFS_USAGE].err, -ENOENT);
	assert_int_equal(value(&memory, CGROUPFS_ANON), 5);
	assert_true(memory.limit.unlimited);
	cgroupfs_memory_free(&memory);
}

static void test_a_cgroup_that_is_not_there(void **state)
{
	struct stage *stage = *state;
	struct cgroupfs_memory memory = {};

	stage_mount(stage, CGROUPFS_V2, "/gone");
	assert_int_equal(cgroupfs_memory_read(&stage->place, &memory), -ENOENT);
	/* Something else lies over the mount. */
	stage_folder(stage, "gone");
	stage->place.device++;
	assert_int_equal(cgroupfs_memory_read(&stage->place, &memory), -ESTALE);
	assert_null(memory.path);
}

static void test_the_processes_of_it_and_below(void **state)
{
	struct stage *stage = *state;
	size_t count = 0;
	pid_t *pids;

	stage_folder(stage, "a");
	stage_folder(stage, "a/b");
	stage_folder(stage, "a/b/c");
	stage_folder(stage, "ab");
	stage_write(stage, "a/cgroup.procs", "30\n7\n30\n");
	stage_write(stage, "a/b/cgroup.procs", "");
	stage_write(stage, "a/b/c/cgroup.procs", "8\n");
	stage_write(stage, "ab/cgroup.procs", "9\n");
	stage_mount(stage, CGROUPFS_V2, "/a");
	assert_int_equal(cgroupfs_processes_read(&stage->place, "/a", &pids, &count), 0);
	assert_int_equal(count, 3);
	assert_int_equal(pids[0], 7);
	assert_int_equal(pids[1], 8);
	assert_int_equal(pids[2], 30);
	free(pids);
	assert_int_equal(cgroupfs_processes_read(&stage->place, "/a/b/c", &pids, &count), 0);
	assert_int_equal(count, 1);
	free(pids);
	stage_write(stage, "a/b/cgroup.procs", "x\n");
	assert_int_equal(cgroupfs_processes_read(&stage->place, "/a", &pids, &count), -EPROTO);
	stage_write(stage, "a/b/cgroup.procs", "99999999999\n");
	assert_int_equal(cgroupfs_processes_read(&stage->place, "/a", &pids, &count), -EPROTO);
	assert_int_equal(cgroupfs_processes_read(&stage->place, "/x", &pids, &count), -ENOENT);
	stage_write(stage, "a/b/c/cgroup.procs", "");
	assert_int_equal(cgroupfs_processes_read(&stage->place, "/a/b/c", &pids, &count), 0);
	assert_int_equal(count, 0);
	free(pids);
}

static void test_all_by_the_files_of_proc(void **state)
{
	struct stage *stage = *state;
	struct cgroupfs_place place;

	stage_mount(stage, CGROUPFS_V2, "/a");
	assert_int_equal(cgroupfs_place_find(stage->folder, "/a", &place), -ENOENT);
	stage_folder(stage, "self");
	stage_write(stage, "self/cgroup", "0::/\n");
	stage_write(stage, "self/mountinfo", stage->mountinfo);
	assert_int_equal(cgroupfs_place_find(stage->folder, "/a", &place), 0);
	assert_string_equal(place.mount, stage->folder);
	cgroupfs_place_free(&place);
	/* Memory is on a hierarchy of version 1 that is not mounted: the other is not asked. */
	stage_write(stage, "self/cgroup", "4:memory:/\n0::/\n");
	assert_int_equal(cgroupfs_place_find(stage->folder, "/a", &place), -ENOENT);
	assert_int_equal(cgroupfs_place_find("/nonexistent", "/a", &place), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest cgroupfs[] = {
		cmocka_unit_test(test_the_version_is_the_memory_controllers),
		cmocka_unit_test(test_the_mount_of_each_version),
		cmocka_unit_test(test_a_mount_of_a_part_of_the_hierarchy),
		cmocka_unit_test(test_escapes_of_mountinfo),
		cmocka_unit_test(test_mountinfo_that_is_not_understood),
		cmocka_unit_test(test_one_number),
		cmocka_unit_test(test_a_line_among_others),
		cmocka_unit_test_setup_teardown(test_version_1, stage_open, stage_close),
		cmocka_unit_test_setup_teardown(test_version_2, stage_open, stage_close),
		cmocka_unit_test_setup_teardown(test_the_smallest_limit_up_the_path, stage_open,
						stage_close),
		cmocka_unit_test_setup_teardown(test_version_1_knows_the_limit_that_counts,
						stage_open, stage_close),
		cmocka_unit_test_setup_teardown(test_a_controller_that_is_on_further_up, stage_open,
						stage_close),
		cmocka_unit_test_setup_teardown(test_the_root_has_hardly_any_file, stage_open,
						stage_close),
		cmocka_unit_test_setup_teardown(test_a_cgroup_that_is_not_there, stage_open,
						stage_close),
		cmocka_unit_test_setup_teardown(test_the_processes_of_it_and_below, stage_open,
						stage_close),
		cmocka_unit_test_setup_teardown(test_all_by_the_files_of_proc, stage_open,
						stage_close),
	};

	return cmocka_run_group_tests(cgroupfs, NULL, NULL);
}
