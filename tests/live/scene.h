/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Scenes: real processes that do known things to their memory and stop at marked points.
 * A scene runs in a fresh program (memtree-live --scene NAME), the root of a tree; it and
 * the test share a board of semaphores and numbers. Nothing here touches fresh memory
 * between two marks but what the scene itself does.
 */
#ifndef MEMTREE_TEST_SCENE_H
#define MEMTREE_TEST_SCENE_H

#include <semaphore.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define BOARD_PLACES 16
#define BOARD_ENVIRONMENT "MEMTREE_TEST_BOARD"

struct board {
	sem_t reached;		   /* an actor is at a mark */
	sem_t go;		   /* the test lets it go on */
	sem_t gates[BOARD_PLACES]; /* actors that are parked */
	pid_t pids[BOARD_PLACES];
	int64_t numbers[BOARD_PLACES];
};

struct scene {
	const char *name;
	void (*play)(struct board *board);
};

/* Each file of tests exports its scenes, ended by an empty one. */
extern const struct scene memory_scenes[], fork_scenes[], lifecycle_scenes[], figure_scenes[],
	cgroup_scenes[], adopt_scenes[], losses_scenes[], race_scenes[], compare_scenes[],
	escape_scenes[], explain_scenes[], boxed_scenes[], one_scenes[];

/* The scene's side: finds the board, warms up, plays. Returns an exit status. */
int scene_main(const char *name);

/* Here the test looks; returns when it says so. */
void mark(struct board *board);

/* Waits until the test opens gate `place`. */
void park(struct board *board, int place);

/* Fresh anonymous memory of small pages, untouched; ends the scene when there is none. */
char *reserve(size_t pages);

/* Writes to each of `pages` pages. */
void touch(char *memory, size_t pages);

/* fork(), entered into pids[place]; 0 in the child. */
pid_t spawn(struct board *board, int place);

/* numbers[number] of the board, changed by many; returns what it is then. */
int64_t count_up(struct board *board, int number, int64_t by);

/* fork(), counted in numbers[number] before the child lives; the child counts itself off. */
pid_t fork_counted(struct board *board, int number);

/* Waits for a child of the scene. */
void reap(pid_t pid);

/* Ends the scene with a line on stderr when `ok` is false. */
void require(int ok, const char *what);

#define PAGE ((size_t)4096)
#define MIB_PAGES ((size_t)256)

static inline int64_t bytes_of(size_t pages)
{
	return (int64_t)(pages * PAGE);
}

#endif /* MEMTREE_TEST_SCENE_H */
