// SPDX-License-Identifier: GPL-2.0-only
#include "fixture.h"

#include <dirent.h>
#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "census.h"
#include "health.h"

bool poll_on(time_t *end)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (!*end)
		*end = now.tv_sec + DEADLINE_S;
	usleep(2000);
	return now.tv_sec < *end;
}

/* A new one under the same number, by which scenes inherit it. Who is left behind by a test
 * that failed keeps the old one: on the same it would take what is posted for others. */
static int board_renew(struct fixture *fixture)
{
	int fd = memfd_create("board", 0);

	if (fixture->board)
		munmap(fixture->board, sizeof(*fixture->board));
	fixture->board = NULL;
	if (fd < 0 || ftruncate(fd, sizeof(*fixture->board)))
		return -1;
	if (fixture->board_fd < 0)
		fixture->board_fd = fd;
	else if (dup2(fd, fixture->board_fd) < 0 || close(fd))
		return -1;
	fixture->board = mmap(NULL, sizeof(*fixture->board), PROT_READ | PROT_WRITE, MAP_SHARED,
			      fixture->board_fd, 0);
	return fixture->board == MAP_FAILED ? -1 : 0;
}

int fixture_open_with(void **state, const struct loader_options *options)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	char number[16];

	if (prctl(PR_SET_CHILD_SUBREAPER, 1))
		return -1;
	if (!fixture || loader_start(options, &fixture->loader) ||
	    tracker_open(loader_tracker_id(fixture->loader), &fixture->tracker))
		return -1;
	fixture->board_fd = -1;
	if (board_renew(fixture))
		return -1;
	snprintf(number, sizeof(number), "%d", fixture->board_fd);
	setenv(BOARD_ENVIRONMENT, number, 1);
	fixture->launch = LAUNCH_NONE;
	*state = fixture;
	return 0;
}

int fixture_open(void **state)
{
	const struct loader_options options = {.process_capacity = 4096};

	return fixture_open_with(state, &options);
}

/* Loading takes seconds in an emulated machine: groups that leave nothing behind share it. */
static void *shared;

int fixture_share(void **state)
{
	int err = shared ? 0 : fixture_open(&shared);

	*state = shared;
	return err;
}

void fixture_release(void)
{
	if (shared)
		fixture_close(&shared);
	shared = NULL;
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

	if (board_renew(fixture))
		return -1;
	sem_init(&fixture->board->reached, 1, 0);
	sem_init(&fixture->board->go, 1, 0);
	for (int i = 0; i < BOARD_PLACES; i++)
		sem_init(&fixture->board->gates[i], 1, 0);
	fixture->root_reaped = false;
	fixture->tree = 0;
	fixture->launch = LAUNCH_NONE;
	fixture->misses_before = tracker_misses(fixture->tracker);
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

	for (time_t end = 0; any_left(fixture, tree, what) && poll_on(&end);) {
		orphans_reap();
		assert_int_equal(census_heal(fixture->tracker), 0);
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

/* With losses in the middle; none is left unhealed. */
int lossy_tree_close(void **state)
{
	struct fixture *fixture = *state;
	int err;

	fixture->lossy = true;
	err = tree_close(state);
	fixture->lossy = false;
	return err;
}

int tree_close(void **state)
{
	struct fixture *fixture = *state;
	uint64_t losses[MT_LOSSES];

	if (!fixture->tree && fixture->launch.pid < 0)
		return 0;
	members_kill(fixture);
	/* Not reaped, it has its pid still. */
	if (!fixture->root_reaped && fixture->launch.pid > 0)
		kill(fixture->launch.pid, SIGKILL);
	if (!fixture->root_reaped)
		waitpid(fixture->launch.pid, NULL, 0);
	launch_free(&fixture->launch);
	if (!fixture->tree)
		return 0;
	assert_nothing_left(fixture, fixture->tree);
	registry_close(fixture->tracker, fixture->tree);
	assert_no_windows(fixture, fixture->tree);
	fixture->tree = 0;
	assert_int_equal(tracker_losses(fixture->tracker, losses), 0);
	for (int loss = 0; loss < MT_LOSSES && !fixture->lossy; loss++) {
		/* From 7.0 the kernel may leave out both twins; a census found what came of it. */
		if (loss_effect((enum mt_loss)loss) == LOSS_IS_HEALED &&
		    tracker_misses(fixture->tracker))
			continue;
		if (losses[loss] != fixture->losses[loss])
			print_error("lost: %s\n", loss_name((enum mt_loss)loss));
		assert_int_equal(losses[loss] - fixture->losses[loss], 0);
	}
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
	assert_int_equal(registry_open(fixture->tracker, &request, &fixture->tree), 0);
	assert_int_equal(launch_go(&fixture->launch, fixture->tree, command[0]), 0);
	mark_await(fixture);
	scene_next(fixture);
}

void stranger_start(struct fixture *fixture, const char *name)
{
	fflush(NULL);
	fixture->launch.pid = fork();
	assert_true(fixture->launch.pid >= 0);
	if (!fixture->launch.pid) {
		execl("/proc/self/exe", "memtree-live", "--scene", name, NULL);
		_exit(254);
	}
	mark_await(fixture);
	scene_next(fixture);
}

pid_t sleeper_start(pid_t wanted)
{
	struct clone_args args = {.exit_signal = SIGCHLD,
				  .set_tid = wanted ? (uint64_t)(uintptr_t)&wanted : 0,
				  .set_tid_size = wanted ? 1 : 0};
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));

	assert_true(pid >= 0);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	return pid;
}

void sleeper_end(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

struct mt_census_record process_find(struct fixture *fixture, pid_t pid)
{
	struct mt_census_record found = {};

	assert_int_equal(census_find(fixture->tracker, pid, &found), 0);
	return found;
}

void census_switch(struct fixture *fixture, bool begin)
{
	assert_int_equal(tracker_call(fixture->tracker, MT_PROG_CENSUS_BEGIN,
				      (uint64_t[]){begin, 0, 0, 0, 0}, 5, NULL),
			 0);
}

uint64_t census_pass(struct fixture *fixture)
{
	struct mt_census_record *records;
	uint64_t adoptions;
	size_t count;

	assert_int_equal(tracker_iterate(fixture->tracker, MT_PROG_CENSUS_TASKS, MT_MAPS,
					 sizeof(*records), (void **)&records, &count),
			 0);
	assert_true(count > 0);
	adoptions = records[count - 1].adoptions;
	free(records);
	return adoptions;
}

void tree_register(struct fixture *fixture, const char *name)
{
	struct tree_request request = {.metric = MT_METRIC_RSS, .window_ns = 16000000000ULL};

	snprintf(request.name, sizeof(request.name), "%s", name);
	assert_int_equal(registry_open(fixture->tracker, &request, &fixture->tree), 0);
}

void stranger_adopt(struct fixture *fixture, const char *name)
{
	struct mt_census_record root = process_find(fixture, fixture->launch.pid);

	tree_register(fixture, name);
	assert_int_equal(
		census_adopt(fixture->tracker, fixture->tree, root.tgid, root.start_boot_ns), 0);
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

/* Who does not end in time is killed by the teardown of the test. */
int scene_reap(struct fixture *fixture)
{
	pid_t ended = 0;
	int status = 0;

	for (time_t end = 0; !ended && poll_on(&end);)
		ended = waitpid(fixture->launch.pid, &status, WNOHANG);
	assert_int_equal(ended, fixture->launch.pid);
	fixture->root_reaped = true;
	return status;
}

void scene_end(struct fixture *fixture)
{
	int status;

	sem_post(&fixture->board->go);
	status = scene_reap(fixture);
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

/* Of the thread `tid`, by /proc; '?' when it is gone. Its name may hold anything. */
static char task_state(pid_t pid, pid_t tid)
{
	char name[64], text[512], *end;
	size_t got;
	FILE *file;

	snprintf(name, sizeof(name), "/proc/%d/task/%d/stat", pid, tid);
	file = fopen(name, "re");
	if (!file)
		return '?';
	got = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[got] = '\0';
	end = strrchr(text, ')');
	return end ? end[2] : '?';
}

static void await_task_sleep(pid_t pid, pid_t tid)
{
	char state = task_state(pid, tid);

	for (time_t end = 0; state == 'R' && poll_on(&end);)
		state = task_state(pid, tid);
	assert_int_not_equal(state, 'R');
}

void await_sleep(pid_t pid)
{
	await_task_sleep(pid, pid);
}

void await_all_asleep(pid_t pid)
{
	char name[64];
	const struct dirent *entry;
	DIR *tasks;

	snprintf(name, sizeof(name), "/proc/%d/task", pid);
	tasks = opendir(name);
	assert_non_null(tasks);
	while ((entry = readdir(tasks)))
		if (entry->d_name[0] != '.')
			await_task_sleep(pid, atoi(entry->d_name));
	closedir(tasks);
}
