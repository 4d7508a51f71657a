// SPDX-License-Identifier: GPL-2.0-only
#include "scene.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct scene *const all_scenes[] = {memory_scenes, fork_scenes,	lifecycle_scenes,
						 figure_scenes, cgroup_scenes,	adopt_scenes,
						 losses_scenes, race_scenes,	compare_scenes,
						 escape_scenes, explain_scenes, boxed_scenes,
						 one_scenes};

void require(int ok, const char *what)
{
	if (ok)
		return;
	dprintf(2, "scene: %s: %s\n", what, strerror(errno));
	_exit(99);
}

static void wait_for(sem_t *semaphore)
{
	while (sem_wait(semaphore))
		require(errno == EINTR, "sem_wait");
}

void mark(struct board *board)
{
	sem_post(&board->reached);
	wait_for(&board->go);
}

void park(struct board *board, int place)
{
	wait_for(&board->gates[place]);
}

char *reserve(size_t pages)
{
	char *memory = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	require(memory != MAP_FAILED, "mmap");
	madvise(memory, pages * PAGE, MADV_NOHUGEPAGE);
	return memory;
}

void touch(char *memory, size_t pages)
{
	for (size_t i = 0; i < pages; i++)
		*(volatile char *)(memory + i * PAGE) = 1;
}

pid_t spawn(struct board *board, int place)
{
	pid_t pid = fork();

	require(pid >= 0, "fork");
	if (pid)
		board->pids[place] = pid;
	return pid;
}

int64_t count_up(struct board *board, int number, int64_t by)
{
	return __atomic_add_fetch(&board->numbers[number], by, __ATOMIC_SEQ_CST);
}

pid_t fork_counted(struct board *board, int number)
{
	pid_t pid;

	count_up(board, number, 1);
	pid = fork();
	require(pid >= 0, "fork");
	return pid;
}

void reap(pid_t pid)
{
	require(waitpid(pid, NULL, 0) == pid, "waitpid");
}

int scene_main(const char *name)
{
	const char *fd = getenv(BOARD_ENVIRONMENT);
	struct board *board = fd ? mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED,
					atoi(fd), 0)
				 : MAP_FAILED;

	require(board != MAP_FAILED, "the test's board");
	prctl(PR_SET_DUMPABLE, 1);
	/* The program and its libraries whole, so that no fault of theirs comes later. */
	require(!mlockall(MCL_CURRENT) && !munlockall(), "mlockall");
	/* Once through everything that a mark runs. */
	touch(reserve(4), 4);
	mark(board);
	mark(board);
	for (size_t i = 0; i < sizeof(all_scenes) / sizeof(all_scenes[0]); i++)
		for (const struct scene *scene = all_scenes[i]; scene->name; scene++)
			if (!strcmp(scene->name, name)) {
				scene->play(board);
				return 0;
			}
	errno = ENOENT;
	require(0, name);
	return 99;
}
