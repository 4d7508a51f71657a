// SPDX-License-Identifier: GPL-2.0-only
/* Exact memory, kind by kind, in one address space. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fixture.h"
#include "groups.h"

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#define HUGE_PAGES ((size_t)512)

/* --- one thread ------------------------------------------------------------------- */

static void play_touch(struct board *board)
{
	char *memory = reserve(6400);

	mark(board);
	touch(memory, 6400);
	mark(board);
	munmap(memory, 1400 * PAGE);
	mark(board);
	madvise(memory + 1400 * PAGE, 2000 * PAGE, MADV_DONTNEED);
	mark(board);
	touch(memory + 1400 * PAGE, 500);
	mark(board);
}

static void test_one_thread_touches_and_gives_back(void **state)
{
	struct fixture *fixture = *state;
	int64_t before;

	scene_start(fixture, "touch");
	scene_next(fixture);
	before = process_now(fixture, scene_root(fixture)).bytes[MT_ANON];
	scene_next(fixture);
	assert_int_equal(process_now(fixture, scene_root(fixture)).bytes[MT_ANON] - before,
			 bytes_of(6400));
	assert_exact(fixture);
	scene_next(fixture);
	assert_int_equal(process_now(fixture, scene_root(fixture)).bytes[MT_ANON] - before,
			 bytes_of(5000));
	scene_next(fixture);
	assert_int_equal(process_now(fixture, scene_root(fixture)).bytes[MT_ANON] - before,
			 bytes_of(3000));
	assert_exact(fixture);
	scene_next(fixture);
	scene_end(fixture);
}

static void test_the_peak_stays_when_memory_goes(void **state)
{
	struct fixture *fixture = *state;
	struct tree full, less;

	scene_start(fixture, "touch");
	scene_next(fixture);
	scene_next(fixture);
	full = tree_now(fixture);
	assert_int_equal(full.peak, full.charged);
	scene_next(fixture);
	less = tree_now(fixture);
	assert_int_equal(full.charged - less.charged, bytes_of(1400));
	/* Never below what was once seen; above it by no more than remainders of CPUs. */
	assert_true(less.peak >= full.peak);
	assert_true(less.peak <= full.peak + less.error_bound);
	assert_true(less.peak_real_ns > 0);
	scene_next(fixture);
	scene_next(fixture); /* grows again, but not so far */
	assert_true(tree_now(fixture).peak >= full.peak);
	scene_end(fixture);
}

static void test_the_live_view_keeps_its_bound(void **state)
{
	struct fixture *fixture = *state;
	struct tree tree;

	scene_start(fixture, "touch");
	scene_next(fixture);
	scene_next(fixture);
	tree = tree_now(fixture);
	assert_true(tree.error_bound > 0);
	assert_true(llabs(tree.live_charged - tree.charged) <= tree.error_bound);
	scene_next(fixture);
	scene_next(fixture);
	scene_next(fixture);
	scene_end(fixture);
}

static void test_the_metric_decides_what_is_charged(void **state)
{
	struct fixture *fixture = *state;
	struct tree tree;

	scene_start_metric(fixture, "touch", 1U << MT_ANON);
	scene_next(fixture);
	scene_next(fixture);
	tree = tree_now(fixture);
	assert_true(tree.bytes[MT_FILE] + tree.bytes[MT_SHMEM] > 0);
	assert_int_equal(tree.charged, tree.bytes[MT_ANON]);
	assert_true(tree.peak >= tree.charged);
	assert_true(tree.peak <= tree.charged + tree.error_bound);
	scene_next(fixture);
	scene_next(fixture);
	scene_next(fixture);
	scene_end(fixture);
}

/* --- many threads ----------------------------------------------------------------- */

#define THREADS 100
#define THREAD_PAGES 60

struct crew {
	pthread_barrier_t ready, done, leave;
	char *memory;
	size_t stride; /* pages between two touches */
};

static struct crew crew;
static char stacks[THREADS][32768] __attribute__((aligned(4096)));

static void *crew_work(void *argument)
{
	char *own = crew.memory + (size_t)argument * THREAD_PAGES * crew.stride * PAGE;

	pthread_barrier_wait(&crew.ready);
	for (size_t i = 0; i < THREAD_PAGES; i++)
		*(volatile char *)(own + i * crew.stride * PAGE) = 1;
	pthread_barrier_wait(&crew.done);
	pthread_barrier_wait(&crew.leave);
	return NULL;
}

/* Threads on stacks that are touched already, so that only their work adds pages. */
static void crew_start(char *memory, size_t stride, pthread_t *threads)
{
	pthread_attr_t attributes;

	crew.memory = memory;
	crew.stride = stride;
	pthread_barrier_init(&crew.ready, NULL, THREADS + 1);
	pthread_barrier_init(&crew.done, NULL, THREADS + 1);
	pthread_barrier_init(&crew.leave, NULL, THREADS + 1);
	memset(stacks, 1, sizeof(stacks));
	pthread_attr_init(&attributes);
	for (size_t i = 0; i < THREADS; i++) {
		pthread_attr_setstack(&attributes, stacks[i], sizeof(stacks[i]));
		require(!pthread_create(&threads[i], &attributes, crew_work, (void *)i),
			"pthread_create");
	}
}

static void crew_end(pthread_t *threads)
{
	pthread_barrier_wait(&crew.leave);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

static void play_threads(struct board *board)
{
	pthread_t threads[THREADS];

	crew_start(reserve(THREADS * THREAD_PAGES), 1, threads);
	mark(board);
	pthread_barrier_wait(&crew.ready);
	pthread_barrier_wait(&crew.done);
	mark(board);
	crew_end(threads);
	mark(board);
}

static void test_a_hundred_threads_keep_pages_back(void **state)
{
	struct fixture *fixture = *state;
	struct process before, after;

	scene_start(fixture, "threads");
	scene_next(fixture);
	before = process_now(fixture, scene_root(fixture));
	assert_int_equal(before.threads, THREADS + 1);
	scene_next(fixture);
	after = process_now(fixture, scene_root(fixture));
	assert_int_equal(after.bytes[MT_ANON] - before.bytes[MT_ANON],
			 bytes_of(THREADS * THREAD_PAGES));
	assert_exact(fixture);
	scene_next(fixture);
	await_threads(fixture, scene_root(fixture), 1);
	assert_exact(fixture);
	scene_end(fixture);
}

/* More threads than one walk reads (THREADS_WALK_MAX, 1024). */
#define MANY_THREADS 1300

static void *many_work(void *board)
{
	touch(crew.memory + (__atomic_fetch_add(&crew.stride, 1, __ATOMIC_RELAXED) * 4) * PAGE, 4);
	if (__atomic_add_fetch(&((struct board *)board)->numbers[0], 1, __ATOMIC_SEQ_CST) ==
	    MANY_THREADS)
		sem_post(&((struct board *)board)->reached);
	pause();
	return NULL;
}

static void play_many_threads(struct board *board)
{
	size_t stack_size = 16384;
	char *many_stacks = reserve(MANY_THREADS * 4);
	pthread_attr_t attributes;
	pthread_t thread;

	crew.memory = reserve(MANY_THREADS * 4);
	crew.stride = 0;
	touch(many_stacks, MANY_THREADS * 4);
	mark(board);
	pthread_attr_init(&attributes);
	for (size_t i = 0; i < MANY_THREADS; i++) {
		pthread_attr_setstack(&attributes, many_stacks + i * stack_size, stack_size);
		require(!pthread_create(&thread, &attributes, many_work, board), "pthread_create");
	}
	while (sem_wait(&board->go))
		;
	_exit(0);
}

static void test_more_threads_than_one_walk_reads(void **state)
{
	struct fixture *fixture = *state;
	struct process before, after;

	if (!getenv("MEMTREE_TEST_VM"))
		skip_because("1300 threads are for a virtual machine");
	scene_start(fixture, "many_threads");
	scene_next(fixture);
	before = process_now(fixture, scene_root(fixture));
	scene_next(fixture);
	after = process_now(fixture, scene_root(fixture));
	assert_int_equal(after.threads, MANY_THREADS + 1);
	assert_true(after.bytes[MT_ANON] - before.bytes[MT_ANON] >= bytes_of(MANY_THREADS * 4));
	assert_exact(fixture);
	scene_end(fixture);
}

static void play_fault_around(struct board *board)
{
	size_t pages = THREADS * THREAD_PAGES * 4;
	int fd = memfd_create("shared", 0);
	pthread_t threads[THREADS];
	char *memory;

	require(fd >= 0 && !ftruncate(fd, (off_t)(pages * PAGE)), "memfd");
	memory = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	require(memory != MAP_FAILED, "mmap");
	touch(memory, pages);
	mark(board);
	munmap(memory, pages * PAGE);
	memory = mmap(NULL, pages * PAGE, PROT_READ, MAP_SHARED, fd, 0);
	require(memory != MAP_FAILED, "mmap");
	mprotect(memory, pages * PAGE, PROT_READ | PROT_WRITE);
	crew_start(memory, 4, threads);
	mark(board);
	pthread_barrier_wait(&crew.ready);
	pthread_barrier_wait(&crew.done);
	mark(board);
	crew_end(threads);
}

static void test_shared_memory_by_fault_around(void **state)
{
	struct fixture *fixture = *state;
	struct process full, empty, again;

	scene_start(fixture, "fault_around");
	scene_next(fixture);
	full = process_now(fixture, scene_root(fixture));
	assert_exact(fixture);
	scene_next(fixture);
	empty = process_now(fixture, scene_root(fixture));
	assert_int_equal(full.bytes[MT_SHMEM] - empty.bytes[MT_SHMEM],
			 bytes_of(THREADS * THREAD_PAGES * 4));
	scene_next(fixture);
	again = process_now(fixture, scene_root(fixture));
	/* At least the touched ones; how many around them, the page tables say. */
	assert_true(again.bytes[MT_SHMEM] - empty.bytes[MT_SHMEM] >=
		    bytes_of(THREADS * THREAD_PAGES));
	assert_exact(fixture);
	scene_end(fixture);
}

/* --- huge pages -------------------------------------------------------------------- */

static char *reserve_huge(size_t huge_pages)
{
	size_t size = (huge_pages + 1) * HUGE_PAGES * PAGE;
	uintptr_t start = (uintptr_t)mmap(NULL, size, PROT_READ | PROT_WRITE,
					  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	require(start != (uintptr_t)MAP_FAILED, "mmap");
	return (char *)((start + HUGE_PAGES * PAGE - 1) & ~(uintptr_t)(HUGE_PAGES * PAGE - 1));
}

static void play_huge(struct board *board)
{
	char *memory = reserve_huge(16);

	board->numbers[0] = madvise(memory, 16 * HUGE_PAGES * PAGE, MADV_HUGEPAGE);
	mark(board);
	for (size_t i = 0; i < 16; i++)
		memory[i * HUGE_PAGES * PAGE] = 1;
	mark(board);
	munmap(memory, HUGE_PAGES * PAGE / 2);
	mark(board);
}

static void test_huge_pages(void **state)
{
	struct fixture *fixture = *state;
	int64_t before, touched;

	scene_start(fixture, "huge");
	scene_next(fixture);
	before = process_now(fixture, scene_root(fixture)).bytes[MT_ANON];
	scene_next(fixture);
	touched = process_now(fixture, scene_root(fixture)).bytes[MT_ANON] - before;
	assert_exact(fixture);
	/* None is to be had, or not all where memory is in pieces. */
	if (touched < bytes_of(16 * HUGE_PAGES)) {
		assert_int_equal((touched - bytes_of(16)) % bytes_of(HUGE_PAGES - 1), 0);
		scene_next(fixture);
		scene_end(fixture);
		skip_because("this kernel gave small pages for MADV_HUGEPAGE");
	}
	assert_int_equal(touched, bytes_of(16 * HUGE_PAGES));
	scene_next(fixture);
	assert_int_equal(process_now(fixture, scene_root(fixture)).bytes[MT_ANON] - before,
			 bytes_of(16 * HUGE_PAGES - HUGE_PAGES / 2));
	assert_exact(fixture);
	scene_end(fixture);
}

#define COLLAPSE_PAGES 8

static void play_collapse(struct board *board)
{
	char *memory = reserve_huge(COLLAPSE_PAGES);
	size_t size = COLLAPSE_PAGES * HUGE_PAGES * PAGE;

	madvise(memory, size, MADV_NOHUGEPAGE);
	mark(board);
	for (size_t i = 0; i < COLLAPSE_PAGES * HUGE_PAGES; i += 4)
		memory[i * PAGE] = 1;
	mark(board);
	madvise(memory, size, MADV_HUGEPAGE);
	board->numbers[0] = madvise(memory, size, MADV_COLLAPSE) ? -errno : 0;
	mark(board);
}

/* A knob of khugepaged; only where the test has the machine for itself. */
static void khugepaged_hurry(void)
{
	static const char *const knobs[][2] = {{"scan_sleep_millisecs", "10"},
					       {"alloc_sleep_millisecs", "10"},
					       {"pages_to_scan", "100000"}};
	char path[128];

	for (size_t i = 0; i < sizeof(knobs) / sizeof(knobs[0]); i++) {
		int fd;

		snprintf(path, sizeof(path), "/sys/kernel/mm/transparent_hugepage/khugepaged/%s",
			 knobs[i][0]);
		fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		assert_true(write(fd, knobs[i][1], strlen(knobs[i][1])) > 0);
		close(fd);
	}
}

static void test_collapse_into_huge_pages(void **state)
{
	struct fixture *fixture = *state;
	int64_t before, wanted;
	bool collapsed = false;

	scene_start(fixture, "collapse");
	scene_next(fixture);
	before = process_now(fixture, scene_root(fixture)).bytes[MT_ANON];
	scene_next(fixture);
	assert_int_equal(process_now(fixture, scene_root(fixture)).bytes[MT_ANON] - before,
			 bytes_of(COLLAPSE_PAGES * HUGE_PAGES / 4));
	scene_next(fixture);
	wanted = before + bytes_of(COLLAPSE_PAGES * HUGE_PAGES);
	if (fixture->board->numbers[0] == -EINVAL && getenv("MEMTREE_TEST_VM"))
		khugepaged_hurry();
	for (int i = 0; i < (getenv("MEMTREE_TEST_VM") ? 9000 : 1) && !collapsed; i++) {
		collapsed = process_now(fixture, scene_root(fixture)).bytes[MT_ANON] == wanted;
		if (!collapsed)
			usleep(10000);
	}
	assert_exact(fixture);
	scene_end(fixture);
	if (!collapsed)
		skip_because("nothing was collapsed (madvise: %s)",
			     strerror((int)-fixture->board->numbers[0]));
}

/* --- files, swap, other writers ---------------------------------------------------- */

static void play_file(struct board *board)
{
	char name[] = "/tmp/memtree-live-XXXXXX", block[PAGE];
	int fd = mkstemp(name);
	char *memory;

	require(fd >= 0, name);
	unlink(name);
	memset(block, 1, sizeof(block));
	for (int i = 0; i < 500; i++)
		require(write(fd, block, sizeof(block)) == sizeof(block), "write");
	memory = mmap(NULL, 500 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	require(memory != MAP_FAILED, "mmap");
	mark(board);
	for (size_t i = 0; i < 500; i++)
		board->numbers[0] += memory[i * PAGE];
	mark(board);
	touch(memory, 300);
	mark(board);
}

static void test_private_file_mapping_written(void **state)
{
	struct fixture *fixture = *state;
	struct process none, read, written;

	scene_start(fixture, "file");
	scene_next(fixture);
	none = process_now(fixture, scene_root(fixture));
	scene_next(fixture);
	read = process_now(fixture, scene_root(fixture));
	/* /tmp may be a tmpfs: then its pages are shmem. */
	assert_int_equal(read.bytes[MT_FILE] + read.bytes[MT_SHMEM] - none.bytes[MT_FILE] -
				 none.bytes[MT_SHMEM],
			 bytes_of(500));
	assert_exact(fixture);
	scene_next(fixture);
	written = process_now(fixture, scene_root(fixture));
	assert_int_equal(written.bytes[MT_ANON] - read.bytes[MT_ANON], bytes_of(300));
	assert_int_equal(read.bytes[MT_FILE] + read.bytes[MT_SHMEM] - written.bytes[MT_FILE] -
				 written.bytes[MT_SHMEM],
			 bytes_of(300));
	assert_exact(fixture);
	scene_end(fixture);
}

static void play_swap(struct board *board)
{
	char *memory = reserve(2000);
	cpu_set_t here;

	/* What another CPU has not put on a list yet is not paged out. */
	CPU_ZERO(&here);
	CPU_SET((size_t)sched_getcpu(), &here);
	require(!sched_setaffinity(0, sizeof(here), &here), "sched_setaffinity");
	for (size_t i = 0; i < 2000; i++)
		*(size_t *)(memory + i * PAGE) = i * 2654435761U;
	mark(board);
	board->numbers[0] = madvise(memory, 1000 * PAGE, MADV_PAGEOUT);
	mark(board);
	touch(memory, 400);
	mark(board);
}

static void test_swap(void **state)
{
	struct fixture *fixture = *state;
	struct process before, out, back;
	FILE *swaps = fopen("/proc/swaps", "re");
	int lines = 0;

	for (int c; swaps && (c = fgetc(swaps)) != EOF;)
		lines += c == '\n';
	if (swaps)
		fclose(swaps);
	if (lines < 2)
		skip_because("this machine has no swap");
	scene_start(fixture, "swap");
	scene_next(fixture);
	before = process_now(fixture, scene_root(fixture));
	scene_next(fixture);
	out = process_now(fixture, scene_root(fixture));
	assert_int_equal(out.bytes[MT_SWAP] - before.bytes[MT_SWAP], bytes_of(1000));
	assert_int_equal(before.bytes[MT_ANON] - out.bytes[MT_ANON], bytes_of(1000));
	assert_exact(fixture);
	scene_next(fixture);
	back = process_now(fixture, scene_root(fixture));
	assert_true(back.bytes[MT_ANON] - out.bytes[MT_ANON] >= bytes_of(400));
	assert_int_equal(back.bytes[MT_ANON] + back.bytes[MT_SWAP],
			 out.bytes[MT_ANON] + out.bytes[MT_SWAP]);
	assert_exact(fixture);
	scene_end(fixture);
}

static void play_written_by_another(struct board *board)
{
	char *memory = reserve(1000);

	board->numbers[0] = (int64_t)(intptr_t)memory;
	mark(board);
	mark(board);
}

static void test_memory_written_by_another_process(void **state)
{
	static char block[700 * 4096];
	struct fixture *fixture = *state;
	struct iovec from = {.iov_base = block, .iov_len = sizeof(block)}, to = from;
	int64_t before;

	scene_start(fixture, "written_by_another");
	scene_next(fixture);
	before = process_now(fixture, scene_root(fixture)).bytes[MT_ANON];
	to.iov_base = (void *)(intptr_t)fixture->board->numbers[0];
	assert_int_equal(process_vm_writev(scene_root(fixture), &from, 1, &to, 1, 0),
			 (ssize_t)sizeof(block));
	assert_int_equal(process_now(fixture, scene_root(fixture)).bytes[MT_ANON] - before,
			 bytes_of(700));
	assert_exact(fixture);
	scene_next(fixture);
	scene_end(fixture);
}

const struct scene memory_scenes[] = {
	{"touch", play_touch},
	{"threads", play_threads},
	{"many_threads", play_many_threads},
	{"fault_around", play_fault_around},
	{"huge", play_huge},
	{"collapse", play_collapse},
	{"file", play_file},
	{"swap", play_swap},
	{"written_by_another", play_written_by_another},
	{NULL, NULL},
};

int memory_tests(void)
{
	const struct CMUnitTest tests[] = {
		tree_test(test_one_thread_touches_and_gives_back),
		tree_test(test_the_peak_stays_when_memory_goes),
		tree_test(test_the_metric_decides_what_is_charged),
		tree_test(test_the_live_view_keeps_its_bound),
		tree_test(test_a_hundred_threads_keep_pages_back),
		tree_test(test_more_threads_than_one_walk_reads),
		tree_test(test_shared_memory_by_fault_around),
		tree_test(test_huge_pages),
		tree_test(test_collapse_into_huge_pages),
		tree_test(test_private_file_mapping_written),
		tree_test(test_swap),
		tree_test(test_memory_written_by_another_process),
	};

	return cmocka_run_group_tests_name("memory", tests, fixture_share, NULL);
}
