// SPDX-License-Identifier: GPL-2.0-only
/* memtree explain: the numbers of cgroups that the test makes, and of a real container. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "box.h"
#include "fixture.h"
#include "groups.h"
#include "shell.h"
#include "table.h"

/* Counters of cgroups are batched per CPU, and a little kernel memory goes with everything. */
#define BATCHES (2 * MIB)

#define CHILD_PAGES (12 * MIB_PAGES)

/* --- cgroups ---------------------------------------------------------------------------- */

#define FILE_BYTES (24 * MIB)
#define SHMEM_BYTES (8 * MIB)

static char files_folder[64]; /* on a file system that has a page cache */

/* In a machine of the matrix everything is tmpfs, whose files are shmem: ramfs is none. */
static void files_open(void)
{
	strcpy(files_folder, "/tmp/memtree-test-XXXXXX");
	assert_non_null(mkdtemp(files_folder));
	setenv("MEMTREE_TEST_FILES", files_folder, 1);
	if (getenv("MEMTREE_TEST_VM"))
		assert_int_equal(mount("none", files_folder, "ramfs", 0, NULL), 0);
}

static void files_close(void)
{
	char line[96];

	if (getenv("MEMTREE_TEST_VM"))
		umount2(files_folder, MNT_DETACH);
	snprintf(line, sizeof(line), "rm -rf %s", files_folder);
	assert_int_equal(system(line), 0);
}

static struct box box;

static int boxed_open(void **state)
{
	if (tree_open(state))
		return -1;
	files_open();
	box_open(&box, "");
	return 0;
}

static int boxed_close(void **state)
{
	int failed = tree_close(state);

	box_close(&box);
	files_close();
	return failed;
}

static void pour(int fd, const char *from, int64_t bytes)
{
	require(fd >= 0, "open");
	for (int64_t written = 0; written < bytes; written += MIB)
		require(write(fd, from, (size_t)MIB) == MIB, "write");
}

static void play_writer(struct board *board)
{
	char *memory = reserve(MIB_PAGES), path[128];
	int fd;

	touch(memory, MIB_PAGES);
	snprintf(path, sizeof(path), "%s/file", getenv("MEMTREE_TEST_FILES"));
	mark(board);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	pour(fd, memory, FILE_BYTES);
	close(fd);
	mark(board);
	fd = memfd_create("memtree-test", MFD_CLOEXEC);
	pour(fd, memory, SHMEM_BYTES);
	mark(board);
}

static void test_page_cache_and_shmem_are_the_cgroups_alone(void **state)
{
	struct fixture *fixture = *state;
	json_t *before, *written, *shmem;
	bool vm = getenv("MEMTREE_TEST_VM");

	if (!box.folder[0])
		skip_because("no cgroup with a memory controller can be made here");
	begin(fixture, "writer");
	box_enter(&box, scene_root(fixture));
	before = explain(fixture, "");
	scene_next(fixture);
	written = explain(fixture, "");
	assert_int_equal(value(written, "charged"), value(before, "charged"));
	assert_near(value(written, "cgroup_cache") - value(before, "cgroup_cache"), FILE_BYTES,
		    BATCHES);
	assert_near(value(written, "usage") - value(before, "usage"), FILE_BYTES, BATCHES);
	assert_near(value(written, "usage"), (int64_t)box_number(&box, box.usage), BATCHES);
	assert_near(value(written, "cgroup_shmem"), value(before, "cgroup_shmem"), BATCHES);
	assert_int_equal(value(written, "docker_stats"),
			 value(written, "usage") - value(written, "cgroup_inactive_file"));
	assert_int_equal(value(written, "working_set"), value(written, "docker_stats"));
	/* What a ramfs holds is no inactive file, and never dirty. */
	if (!vm)
		assert_near(value(written, "working_set"), value(before, "working_set"), BATCHES);
	assert_true(value(written, "cgroup_dirty") <= FILE_BYTES + BATCHES);
	assert_true(verdict_has(written, "page cache"));
	assert_int_equal(value(written, "members_in"), 1);
	assert_int_equal(value(written, "members_out"), 0);
	assert_int_equal(value(written, "strangers"), 0);
	scene_next(fixture);
	shmem = explain(fixture, "");
	assert_int_equal(value(shmem, "charged"), value(before, "charged"));
	assert_near(value(shmem, "cgroup_shmem") - value(written, "cgroup_shmem"), SHMEM_BYTES,
		    BATCHES);
	assert_near(value(shmem, "cgroup_cache") - value(written, "cgroup_cache"), SHMEM_BYTES,
		    BATCHES);
	assert_true(verdict_has(shmem, "shmem (tmpfs files"));
	json_decref(before);
	json_decref(written);
	json_decref(shmem);
	scene_end(fixture);
}

static void test_dirty_pages(void **state)
{
	struct fixture *fixture = *state;
	int64_t most, least;
	json_t *root;

	if (!box.folder[0])
		skip_because("no cgroup with a memory controller can be made here");
	if (getenv("MEMTREE_TEST_VM"))
		skip_because("ramfs has no dirty pages, and there is no disk here");
	begin(fixture, "writer");
	box_enter(&box, scene_root(fixture));
	scene_next(fixture);
	/* They may go to the disk at any moment: read before and after. */
	most = (int64_t)box_stat(&box, box.dirty);
	root = explain(fixture, "");
	least = (int64_t)box_stat(&box, box.dirty);
	assert_true(value(root, "cgroup_dirty") <= most + BATCHES);
	assert_true(value(root, "cgroup_dirty") >= least - BATCHES);
	if (least > 2 * BATCHES)
		assert_true(verdict_has(root, "is dirty"));
	json_decref(root);
	scene_next(fixture);
	scene_end(fixture);
}

static void play_two_places(struct board *board)
{
	mark(board);
	if (!spawn(board, 0)) {
		touch(reserve(CHILD_PAGES), CHILD_PAGES);
		sem_post(&board->reached);
		park(board, 0);
		_exit(0);
	}
	mark(board);
	reap(board->pids[0]);
}

static void test_limits_and_who_is_inside(void **state)
{
	struct fixture *fixture = *state;
	struct box inner, other;
	pid_t stranger;
	json_t *root;

	if (!box.folder[0])
		skip_because("no cgroup with a memory controller can be made here");
	begin(fixture, "two_places");
	box_write(&box, box.limit, "268435456");
	box_open(&inner, "/inner");
	assert_true(inner.folder[0]);
	box_enter(&inner, scene_root(fixture));
	scene_next(fixture);
	mark_await(fixture);
	root = explain(fixture, "");
	assert_int_equal(value(root, "limit"), 256 * MIB);
	assert_note(root, "limit", "further up");
	assert_string_equal(json_string_value(json_object_get(the_tree(root), "cgroup_of_limit")),
			    box.path);
	assert_true(json_is_true(json_object_get(figure(root, "cgroup_limit"), "unlimited")));
	assert_int_equal(value(root, "members_in"), 2);
	assert_near(value(root, "cgroup_anon"), bytes_of(CHILD_PAGES), BATCHES);
	json_decref(root);
	box_write(&inner, inner.limit, "134217728");
	box_open(&other, "/other");
	box_enter(&other, fixture->board->pids[0]);
	stranger = fork();
	if (!stranger) {
		pause();
		_exit(0);
	}
	box_enter(&inner, stranger);
	root = explain(fixture, "");
	assert_int_equal(value(root, "limit"), 128 * MIB);
	assert_int_equal(value(root, "cgroup_limit"), 128 * MIB);
	assert_int_equal(value(root, "members_in"), 1);
	assert_int_equal(value(root, "members_out"), 1);
	assert_int_equal(value(root, "strangers"), 1);
	assert_int_equal(value(root, "oom_kills"), 0);
	assert_true(verdict_has(root, "in other cgroups"));
	assert_true(verdict_has(root, "not of this tree"));
	json_decref(root);
	kill(stranger, SIGKILL);
	assert_int_equal(waitpid(stranger, NULL, 0), stranger);
	gate_open(fixture, 0);
	scene_end(fixture);
	box_close(&inner);
	box_close(&other);
}

static void play_glutton(struct board *board)
{
	mark(board);
	if (!spawn(board, 0)) {
		touch(reserve(64 * MIB_PAGES), 64 * MIB_PAGES);
		_exit(0);
	}
	reap(board->pids[0]);
	mark(board);
}

static void test_the_kernels_kills_are_counted(void **state)
{
	struct fixture *fixture = *state;
	json_t *root;

	if (!getenv("MEMTREE_TEST_VM"))
		skip_because("a kernel OOM kill is for a virtual machine");
	if (!box.folder[0])
		skip_because("no cgroup with a memory controller can be made here");
	begin(fixture, "glutton");
	box_write(&box, box.limit, "25165824");
	box_write(&box, "memory.swap.max", "0");
	box_enter(&box, scene_root(fixture));
	scene_next(fixture);
	root = explain(fixture, "");
	assert_int_equal(value(root, "oom_kills"), 1);
	assert_true(value(root, "failures") > 0);
	assert_int_equal(value(root, "limit"), 24 * MIB);
	assert_true(verdict_has(root, "OOM killer has killed 1"));
	json_decref(root);
	scene_end(fixture);
}

/* --- text ------------------------------------------------------------------------------- */

static void test_the_text_is_safe_and_whole(void **state)
{
	struct fixture *fixture = *state;
	struct tree tree;
	struct box evil;
	char line[64];

	if (!box.folder[0])
		skip_because("no cgroup with a memory controller can be made here");
	box_open(&evil, "/in ner \033[2J\xff");
	begin(fixture, "idle");
	box_enter(&evil, scene_root(fixture));
	tree = tree_now(fixture);
	snprintf(line, sizeof(line), "explain --pss #%u.%u", tree.tracker_id, tree.id);
	run(line);
	assert_int_equal(outcome.status, 0);
	assert_string_equal(outcome.err, "");
	assert_null(strchr(outcome.out, '\033'));
	assert_null(strchr(outcome.out, '\xff'));
	assert_non_null(strstr(outcome.out, "in ner \\033[2J\\377"));
	assert_non_null(strstr(outcome.out, "container_memory_usage_bytes"));
	assert_null(strstr(outcome.out, "gone"));
	json_decref(explain(fixture, "--pss"));
	scene_end(fixture);
	box_close(&evil);
}

/* --- a real container ------------------------------------------------------------------- */

static const char *runc(void)
{
	static const char *const paths[] = {"/usr/sbin/runc", "/usr/bin/runc"};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		if (!access(paths[i], X_OK))
			return paths[i];
	return NULL;
}

static char bundle[64];

static const char config[] =
	"{\"ociVersion\":\"1.0.2\",\"process\":{\"terminal\":false,\"user\":{\"uid\":0,\"gid\":0},"
	"\"args\":[\"/bin/busybox\",\"sh\",\"-c\",\"read x </data/one; /bin/busybox dd "
	"if=/dev/zero of=/data/file bs=1048576 count=24 2>/dev/null; read x </data/two\"],"
	"\"env\":[\"PATH=/bin\"],\"cwd\":\"/\"},\"root\":{\"path\":\"rootfs\"},\"mounts\":["
	"{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\"},"
	"{\"destination\":\"/dev\",\"type\":\"tmpfs\",\"source\":\"tmpfs\"},"
	"{\"destination\":\"/data\",\"type\":\"none\",\"source\":\"%s\",\"options\":[\"bind\"]}],"
	"\"linux\":{\"cgroupsPath\":\"/memtree-test-box-%d\",\"resources\":{\"memory\":{\"limit\":"
	"134217728}},\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"mount\"},{\"type\":\"ipc\"},"
	"{\"type\":\"uts\"}]}}";

static void shell(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void shell(const char *format, ...)
{
	char line[512];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (system(line))
		fail_msg("%s", line);
}

static void bundle_make(const char *folder)
{
	char path[128];
	FILE *file;

	shell("mkdir -p %s/rootfs/bin %s/rootfs/proc %s/rootfs/dev %s/rootfs/data", folder, folder,
	      folder, folder);
	shell("cp /bin/busybox %s/rootfs/bin/busybox", folder);
	shell("mkfifo %s/one %s/two", files_folder, files_folder);
	snprintf(path, sizeof(path), "%s/config.json", folder);
	file = fopen(path, "we");
	assert_non_null(file);
	fprintf(file, config, files_folder, getpid());
	assert_int_equal(fclose(file), 0);
}

/* Until the runtime has gone and the container alone is the tree. */
static json_t *container_await(void)
{
	json_t *root = NULL;
	bool alone = false;

	for (time_t end = 0; !alone && poll_on(&end);) {
		json_decref(root);
		run("explain --json boxed");
		assert_int_equal(outcome.status, 0);
		root = document();
		alone = integer(the_tree(root), "processes") == 1 &&
			json_is_integer(json_object_get(figure(root, "usage"), "bytes"));
	}
	assert_true(alone);
	return root;
}

static int container_close(void **state)
{
	char line[256];

	(void)state;
	if (!bundle[0])
		return 0;
	snprintf(line, sizeof(line), "%s --root %s/state delete -f test-%d 2>/dev/null; rm -rf %s",
		 runc(), bundle, getpid(), bundle);
	bundle[0] = '\0';
	files_close();
	return system(line);
}

static void test_page_cache_in_a_real_container(void **state)
{
	char line[256], one[96], two[96];
	struct started started;
	json_t *before, *after;
	int fd;

	(void)state;
	if (!runc())
		skip_because("runc is not installed");
	if (!box_can_be_made())
		skip_because("no cgroup with a memory controller can be made here");
	strcpy(bundle, "/tmp/memtree-test-XXXXXX");
	assert_non_null(mkdtemp(bundle));
	files_open();
	bundle_make(bundle);
	snprintf(one, sizeof(one), "%s/one", files_folder);
	snprintf(two, sizeof(two), "%s/two", files_folder);
	snprintf(line, sizeof(line),
		 "run -q -n boxed -- %s --root %s/state run --no-pivot -d --bundle %s test-%d",
		 runc(), bundle, bundle, getpid());
	started = start(NULL, line);
	fd = reader_await(one);
	before = container_await();
	close(fd);
	fd = reader_await(two);
	after = container_await();
	close(fd);
	finish(started);
	if (outcome.status)
		print_error("%s\n", outcome.err);
	assert_int_equal(outcome.status, 0);
	/* dd came and went: the shell is as large as before. */
	assert_near(value(after, "charged"), value(before, "charged"), MIB);
	assert_near(value(after, "cgroup_cache") - value(before, "cgroup_cache"), FILE_BYTES,
		    BATCHES);
	assert_near(value(after, "usage") - value(before, "usage"), FILE_BYTES, BATCHES);
	assert_int_equal(value(after, "docker_stats"),
			 value(after, "usage") - value(after, "cgroup_inactive_file"));
	assert_int_equal(value(after, "limit"), 128 * MIB);
	assert_int_equal(value(after, "members_in"), 1);
	assert_int_equal(value(after, "strangers"), 0);
	assert_true(verdict_has(after, "page cache"));
	json_decref(before);
	json_decref(after);
	await_trackers(0);
}

const struct scene boxed_scenes[] = {
	{"writer", play_writer},
	{"two_places", play_two_places},
	{"glutton", play_glutton},
	{NULL, NULL},
};

#define boxed_test(function) cmocka_unit_test_setup_teardown(function, boxed_open, boxed_close)

int boxed_tests(void)
{
	const struct CMUnitTest of_cgroups[] = {
		boxed_test(test_page_cache_and_shmem_are_the_cgroups_alone),
		boxed_test(test_dirty_pages),
		boxed_test(test_limits_and_who_is_inside),
		boxed_test(test_the_kernels_kills_are_counted),
		boxed_test(test_the_text_is_safe_and_whole),
	};
	const struct CMUnitTest of_containers[] = {
		cmocka_unit_test_teardown(test_page_cache_in_a_real_container, container_close),
	};

	return cmocka_run_group_tests_name("boxed", of_cgroups, fixture_open, fixture_close) +
	       cmocka_run_group_tests_name("containers", of_containers, NULL, NULL);
}
