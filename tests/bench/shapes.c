// SPDX-License-Identifier: GPL-2.0-only
#include "shapes.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "bench.h"
#include "board.h"
#include "talk.h"

#define PAGE 4096UL
#define MIB (1UL << 20)
#define THREADS 100
#define THREAD_PAGES 60
#define WORKERS 20
#define STACK (64UL << 10)

/* Small pages, also where huge ones are always on. */
static char *reserve(size_t size, int sharing)
{
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, sharing | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		_exit(EXIT_FAILED);
	madvise(memory, size, MADV_NOHUGEPAGE);
	return memory;
}

static char *touch(char *memory, size_t size)
{
	for (size_t at = 0; at < size; at += PAGE)
		((volatile char *)memory)[at] = 1;
	return memory;
}

static _Noreturn void rest(struct shape_board *board)
{
	board->at_rest++;
	for (;;)
		pause();
}

static void space_enter(struct shape_board *board)
{
	board->spaces[board->space_count++] = getpid();
}

/* fork() whose child has an address space of its own and ends with its parent. */
static bool is_child(struct shape_board *board)
{
	pid_t pid = fork();

	if (pid < 0)
		_exit(EXIT_FAILED);
	if (pid)
		return false;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	space_enter(board);
	return true;
}

static int play_one(struct shape_board *board)
{
	touch(reserve(64 * MIB, MAP_PRIVATE), 64 * MIB);
	rest(board);
}

static void *thread_that_touches(void *argument)
{
	touch(reserve(THREAD_PAGES * PAGE, MAP_PRIVATE), THREAD_PAGES * PAGE);
	rest(argument);
}

static int play_threads(struct shape_board *board)
{
	for (int i = 0; i < THREADS; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, thread_that_touches, board))
			return EXIT_FAILED;
	}
	rest(board);
}

static int play_fork(struct shape_board *board)
{
	touch(reserve(300 * MIB, MAP_PRIVATE), 300 * MIB);
	is_child(board);
	rest(board);
}

static int child_that_rests(void *argument)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	rest(argument);
}

static int play_clone_vm(struct shape_board *board)
{
	char *stack = reserve(STACK, MAP_PRIVATE);

	touch(reserve(64 * MIB, MAP_PRIVATE), 64 * MIB);
	if (clone(child_that_rests, stack + STACK, CLONE_VM | SIGCHLD, board) < 0)
		return EXIT_FAILED;
	rest(board);
}

static int play_workers(struct shape_board *board)
{
	char *memory = touch(reserve(64 * MIB, MAP_PRIVATE), 64 * MIB);

	for (int i = 0; i < WORKERS; i++) {
		if (!is_child(board))
			continue;
		touch(memory, MIB);
		break;
	}
	rest(board);
}

static int play_shmem(struct shape_board *board)
{
	touch(reserve(64 * MIB, MAP_SHARED), 64 * MIB);
	rest(board);
}

static void *thread_that_stays(void *argument)
{
	touch(reserve(64 * MIB, MAP_PRIVATE), 64 * MIB);
	rest(argument);
}

static int play_leader(struct shape_board *board)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, thread_that_stays, board))
		return EXIT_FAILED;
	pthread_exit(NULL);
}

const struct shape shapes[] = {
	{"one", "one thread, 64 MiB", 1, play_one},
	{"threads", "100 threads, 60 pages each", THREADS + 1, play_threads},
	{"clone_vm", "a CLONE_VM child, 64 MiB", 2, play_clone_vm},
	{"leader", "main thread exited, 64 MiB", 1, play_leader},
	{"shmem", "64 MiB of shared memory", 1, play_shmem},
	{"fork", "a forked child sharing 300 MiB", 2, play_fork},
	{"workers", "20 workers forked off 64 MiB", WORKERS + 1, play_workers},
	{NULL, NULL, 0, NULL},
};

int shape_main(int argc, char **argv)
{
	struct shape_board *board = argc > 2 ? board_join(argv[2], sizeof(*board)) : NULL;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (const struct shape *shape = shapes; board && shape->name; shape++)
		if (!strcmp(shape->name, argv[1])) {
			space_enter(board);
			return shape->play(board);
		}
	return EXIT_USAGE;
}
