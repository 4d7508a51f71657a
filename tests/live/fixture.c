// SPDX-License-Identifier: GPL-2.0-only
#include "fixture.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "node.h"
#include "smaps.h"

#define POLL_US 2000
#define POLLS_MAX (DEADLINE_S * 1000000LL / POLL_US)

/* The board's fd is inherited by scenes under this number. */
int fixture_open(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	const struct loader_options options = {.process_capacity = 4096};
	char number[16];

	if (prctl(PR_SET_CHILD_SUBREAPER, 1))
		return -1;
	if (!fixture || loader_start(&options, &fixture->loader) ||
	    tracker_open(loader_tracker_id(fixture->loader), &fixture->tracker))
		return -1;
	fixture->board_fd = memfd_create("board", 0);
	if (fixture->board_fd < 0 || ftruncate(fixture->board_fd, sizeof(*fixture->board)))
		return -1;
	snprintf(number, sizeof(number), "%d", fixture->board_fd);
	setenv(BOARD_ENVIRONMENT, number, 1);
	fixture->board = mmap(NULL, sizeof(*fixture->board), PROT_READ | PROT_WRITE, MAP_SHARED,
			      fixture->board_fd, 0);
	fixture->launch = LAUNCH_NONE;
	*state = fixture;
	return fixture->board == MAP_FAILED ? -1 : 0;
}

int fixture_close(void **state)
{
	struct fixture *fixture = *state;

	munmap(fixture->board, sizeof(*fixture->board));
	close(fixture->board_fd);
	tracker_close(fixture->tracker);
	loader_stop(fixture->loader);
	free(fixture);
	return 0;
}

int tree_open(void **state)
{
	struct fixture *fixture = *state;

	memset(fixture->board, 0, sizeof(*fixture->board));
	sem_init(&fixture->board->reached, 1, 0);
	sem_init(&fixture->board->go, 1, 0);
	for (int i = 0; i < BOARD_PLACES; i++)
		sem_init(&fixture->board->gates[i], 1, 0);
	fixture->root_reaped = false;
	fixture->tree = 0;
	fixture->launch = LAUNCH_NONE;
	return tracker_losses(fixture->tracker, fixture->losses);
}

/* This program is the subreaper of its scenes: an init may take its time. */
static void orphans_reap(void)
{
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

static bool left_over(char ret_what[64], const char *what, uint32_t tgid)
{
	snprintf(ret_what, 64, "%s %u", what, tgid);
	return true;
}

static bool any_left(struct fixture *fixture, uint32_t tree, char ret_what[64])
{
	struct reading reading;
	bool left = false;

	reading_take(fixture, &reading);
	for (size_t i = 0; i < reading.snapshot.process_count; i++)
		if (reading.snapshot.processes[i].tree == tree)
			left = left_over(ret_what, "process", reading.snapshot.processes[i].tgid);
	for (size_t i = 0; i < reading.snapshot.space_count; i++)
		if (reading.snapshot.spaces[i].space.tree == tree)
			left = left_over(ret_what, "address space of",
					 reading.snapshot.spaces[i].space.owner_tgid);
	for (size_t i = 0; i < reading.snapshot.zombie_count; i++)
		if (reading.snapshot.zombies[i].zombie.tree == tree)
			left = left_over(ret_what, "zombie", reading.snapshot.zombies[i].tgid);
	reading_free(&reading);
	return left;
}

/* After its end a tree counts nothing, and no map holds anything of it. */
static void assert_nothing_left(struct fixture *fixture, uint32_t tree)
{
	struct reading reading;
	const struct tree *ended;
	char what[64];

	for (long long i = 0; any_left(fixture, tree, what) && i < POLLS_MAX; i++) {
		orphans_reap();
		usleep(POLL_US);
	}
	if (any_left(fixture, tree, what))
		fail_msg("left in the maps: %s", what);
	reading_take(fixture, &reading);
	ended = reading_tree(&reading, tree);
	assert_int_equal(ended->holds, 0);
	assert_int_equal(ended->processes, 0);
	for (int kind = 0; kind < MT_KINDS; kind++) {
		assert_int_equal(
			reading.snapshot.trees[ended - reading.model.trees].totals.bytes[kind], 0);
		assert_int_equal(ended->bytes[kind], 0);
	}
	reading_free(&reading);
}

static void assert_no_windows(struct fixture *fixture, uint32_t tree)
{
	struct mt_window_key key, *previous = NULL;
	int map = fixture->tracker->maps[MT_MAP_WINDOWS];

	while (!bpf_map_get_next_key(map, previous, &key)) {
		assert_int_not_equal(key.tree, tree);
		previous = &key;
	}
}

/* A test that failed half-way leaves its scene behind. Only what the tracker still calls a
 * member is ended: other pids may be somebody else's by now. */
static void members_kill(struct fixture *fixture)
{
	struct reading reading;

	reading_take(fixture, &reading);
	for (size_t i = 0; i < reading.model.process_count; i++) {
		const struct process *process = &reading.model.processes[i];

		if (process->tree == fixture->tree && !process->zombie)
			kill((pid_t)process->tgid, SIGKILL);
	}
	reading_free(&reading);
}

int tree_close(void **state)
{
	struct fixture *fixture = *state;
	uint64_t losses[MT_LOSSES];

	if (!fixture->tree)
		return 0;
	members_kill(fixture);
	if (!fixture->root_reaped)
		waitpid(fixture->launch.pid, NULL, 0);
	assert_nothing_left(fixture, fixture->tree);
	launch_free(&fixture->launch);
	tracker_tree_remove(fixture->tracker, fixture->tree);
	assert_no_windows(fixture, fixture->tree);
	fixture->tree = 0;
	assert_int_equal(tracker_losses(fixture->tracker, losses), 0);
	for (int loss = 0; loss < MT_LOSSES; loss++)
		assert_int_equal(losses[loss] - fixture->losses[loss], 0);
	return 0;
}

void mark_await(struct fixture *fixture)
{
	struct timespec deadline;

	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += DEADLINE_S;
	while (sem_timedwait(&fixture->board->reached, &deadline))
		assert_int_equal(errno, EINTR);
	/* The actor posts, then sleeps: its memory rests only then. */
	await_sleep(fixture->launch.pid);
}

static void scene_launch(struct fixture *fixture, const char *name,
			 const struct tree_request *wanted)
{
	char program[] = "/proc/self/exe", option[] = "--scene", scene[64];
	char *command[] = {program, option, scene, NULL};
	struct tree_request request = *wanted;
	sigset_t none;

	sigemptyset(&none);
	snprintf(scene, sizeof(scene), "%s", name);
	snprintf(request.name, sizeof(request.name), "%s", name);
	assert_int_equal(launch_fork(fixture->tracker, NULL, command, &none, &fixture->launch), 0);
	assert_int_equal(tracker_tree_create(fixture->tracker, &request, &fixture->tree), 0);
	assert_int_equal(launch_go(&fixture->launch, fixture->tree, command[0]), 0);
	mark_await(fixture);
	scene_next(fixture);
}

void scene_start_window(struct fixture *fixture, const char *name, uint64_t window_ns)
{
	const struct tree_request request = {.metric = MT_METRIC_RSS, .window_ns = window_ns};

	scene_launch(fixture, name, &request);
}

void scene_start_metric(struct fixture *fixture, const char *name, uint32_t metric)
{
	const struct tree_request request = {.metric = metric, .window_ns = 16000000000ULL};

	scene_launch(fixture, name, &request);
}

void scene_start_inside(struct fixture *fixture, const char *name, uint32_t parent)
{
	const struct tree_request request = {
		.metric = MT_METRIC_RSS, .parent = parent, .window_ns = 16000000000ULL};

	scene_launch(fixture, name, &request);
}

void scene_start(struct fixture *fixture, const char *name)
{
	scene_start_window(fixture, name, 16000000000ULL);
}

void scene_next(struct fixture *fixture)
{
	sem_post(&fixture->board->go);
	mark_await(fixture);
}

void scene_end(struct fixture *fixture)
{
	int status;

	sem_post(&fixture->board->go);
	assert_int_equal(waitpid(fixture->launch.pid, &status, 0), fixture->launch.pid);
	fixture->root_reaped = true;
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

void gate_open(struct fixture *fixture, int place)
{
	sem_post(&fixture->board->gates[place]);
}

pid_t scene_root(const struct fixture *fixture)
{
	return fixture->launch.pid;
}

void reading_take(struct fixture *fixture, struct reading *ret_reading)
{
	assert_int_equal(snapshot_read(fixture->tracker, &ret_reading->snapshot), 0);
	assert_int_equal(model_build(&ret_reading->snapshot, &ret_reading->model), 0);
	node_peaks_keep(fixture->tracker, &ret_reading->model);
}

void reading_free(struct reading *reading)
{
	model_free(&reading->model);
	snapshot_free(&reading->snapshot);
}

const struct tree *reading_tree(const struct reading *reading, uint32_t tree)
{
	const struct tree *found = model_find(&reading->model, tree);

	assert_non_null(found);
	return found;
}

const struct process *reading_process(const struct reading *reading, pid_t pid)
{
	for (size_t i = 0; i < reading->model.process_count; i++)
		if (reading->model.processes[i].tgid == (uint32_t)pid)
			return &reading->model.processes[i];
	fail_msg("process %d is not tracked", pid);
	return NULL;
}

const struct mt_space *reading_space(const struct reading *reading, pid_t pid)
{
	const struct process *process = reading_process(reading, pid);

	for (size_t i = 0; i < reading->snapshot.space_count; i++)
		if (reading->snapshot.spaces[i].mm == process->mm)
			return &reading->snapshot.spaces[i].space;
	fail_msg("process %d has no address space", pid);
	return NULL;
}

struct process process_now(struct fixture *fixture, pid_t pid)
{
	struct reading reading;
	struct process process;

	reading_take(fixture, &reading);
	process = *reading_process(&reading, pid);
	reading_free(&reading);
	return process;
}

struct tree tree_now(struct fixture *fixture)
{
	struct reading reading;
	struct tree tree;

	reading_take(fixture, &reading);
	tree = *reading_tree(&reading, fixture->tree);
	reading_free(&reading);
	return tree;
}

/* Any thread that still has the address space: the leader may have exited. */
static int process_smaps(pid_t pid, int64_t bytes[MT_KINDS])
{
	char name[64];
	FILE *list;
	int tid;

	if (!smaps_read(pid, pid, bytes) && bytes_rss(bytes))
		return 0;
	snprintf(name, sizeof(name), "ls /proc/%d/task", pid);
	list = popen(name, "re");
	while (list && fscanf(list, "%d", &tid) == 1)
		if (!smaps_read(pid, tid, bytes) && bytes_rss(bytes)) {
			pclose(list);
			return 0;
		}
	if (list)
		pclose(list);
	return -1;
}

static void assert_process_exact(const struct process *process)
{
	int64_t truth[MT_KINDS];

	assert_int_equal(process_smaps((pid_t)process->tgid, truth), 0);
	if (memcmp(process->bytes, truth, sizeof(truth)))
		print_error("process %u: file %lld anon %lld swap %lld shmem %lld, its page "
			    "tables: %lld %lld %lld %lld\n",
			    process->tgid, (long long)process->bytes[0],
			    (long long)process->bytes[1], (long long)process->bytes[2],
			    (long long)process->bytes[3], (long long)truth[0], (long long)truth[1],
			    (long long)truth[2], (long long)truth[3]);
	assert_memory_equal(process->bytes, truth, sizeof(truth));
	assert_false(process->inexact);
}

static bool is_first_sharer(const struct model *model, const struct process *process)
{
	for (const struct process *other = model->processes; other < process; other++)
		if (!other->zombie && other->mm == process->mm)
			return false;
	return true;
}

unsigned int assert_exact(struct fixture *fixture)
{
	struct reading reading;
	int64_t sum[MT_KINDS] = {};
	unsigned int compared = 0;

	reading_take(fixture, &reading);
	for (size_t i = 0; i < reading.model.process_count; i++) {
		const struct process *process = &reading.model.processes[i];

		if (process->zombie ||
		    !model_is_inside(&reading.model, process->tree, fixture->tree))
			continue;
		assert_process_exact(process);
		compared++;
		if (is_first_sharer(&reading.model, process))
			for (int kind = 0; kind < MT_KINDS; kind++)
				sum[kind] += process->bytes[kind];
	}
	assert_true(compared > 0);
	assert_memory_equal(sum, reading_tree(&reading, fixture->tree)->bytes, sizeof(sum));
	reading_free(&reading);
	return compared;
}

void await_processes(struct fixture *fixture, unsigned int processes)
{
	for (long long i = 0; tree_now(fixture).processes != processes && i < POLLS_MAX; i++)
		usleep(POLL_US);
	assert_int_equal(tree_now(fixture).processes, processes);
}

void await_zombies(struct fixture *fixture, unsigned int zombies)
{
	for (long long i = 0; tree_now(fixture).zombies != zombies && i < POLLS_MAX; i++)
		usleep(POLL_US);
	assert_int_equal(tree_now(fixture).zombies, zombies);
}

static char task_state(pid_t pid)
{
	char name[64], line[512], *end, state = '?';
	FILE *file;

	snprintf(name, sizeof(name), "/proc/%d/stat", pid);
	file = fopen(name, "re");
	if (!file)
		return '?';
	if (fgets(line, sizeof(line), file) && (end = strrchr(line, ')')))
		state = end[2];
	fclose(file);
	return state;
}

void await_sleep(pid_t pid)
{
	char state = task_state(pid);

	for (long long i = 0; state == 'R' && i < POLLS_MAX; i++) {
		usleep(POLL_US);
		state = task_state(pid);
	}
	assert_int_not_equal(state, 'R');
}
