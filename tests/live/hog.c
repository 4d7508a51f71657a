// SPDX-License-Identifier: GPL-2.0-only
#include "hog.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stage.h"

char gates[GATES][64];
char eater_program[256];

void gate_push(int gate)
{
	int fd = open(gates[gate], O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	close(fd);
}

void gates_shut(void)
{
	for (int i = 0; i < GATES; i++)
		unlink(gates[i]);
}

int hogs_open(void **state)
{
	ssize_t length = readlink("/proc/self/exe", eater_program, sizeof(eater_program) - 1);

	(void)state;
	for (int i = 0; i < GATES; i++)
		snprintf(gates[i], sizeof(gates[i]), "/tmp/memtree-gate-%d-%d", (int)getpid(), i);
	gates_shut();
	return length <= 0 || prctl(PR_SET_CHILD_SUBREAPER, 1);
}

int hogs_close(void **state)
{
	(void)state;
	return prctl(PR_SET_CHILD_SUBREAPER, 0);
}

int hogs_open_staged(void **state)
{
	return hogs_open(state) || stage_open(state);
}

int hogs_close_staged(void **state)
{
	int err = stage_close(state);

	return hogs_close(state) || err;
}

/* Living ones, or dead ones that it has not reaped; the stage does not count. */
static bool has_children(pid_t parent)
{
	bool has = false;
	char path[64];
	FILE *children;
	int pid;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)parent, (int)parent);
	children = fopen(path, "re");
	assert_non_null(children);
	while (fscanf(children, "%d", &pid) == 1)
		has |= pid != stage_pid();
	fclose(children);
	return has;
}

/* Children of this program, after the dead are reaped. */
static bool somebody_lives(void)
{
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	return has_children(getpid());
}

void assert_nobody_left(void)
{
	/* A run returns at its members' exits: they may not be reaped yet. */
	for (time_t end = 0; somebody_lives() && poll_on(&end);)
		;
	assert_false(somebody_lives());
	await_trackers(0);
}

void await_hook_end(void)
{
	for (time_t end = 0; (has_children(stage_pid()) || somebody_lives()) && poll_on(&end);)
		;
	assert_false(has_children(stage_pid()));
	assert_nobody_left();
}

int gates_open(void **state)
{
	(void)state;
	for (int i = 0; i < GATES; i++)
		gate_push(i);
	for (time_t end = 0; somebody_lives() && poll_on(&end);)
		;
	gates_shut();
	return 0;
}

/* With the names of gates for $0, $1, $2. */
static size_t words_add(char *line, size_t size, size_t used, const char *words)
{
	for (; *words && used < size - sizeof(gates[0]); words++) {
		if (*words == '$' && words[1] >= '0' && words[1] < '0' + GATES)
			used += (size_t)sprintf(line + used, "%s", gates[*++words - '0']);
		else
			line[used++] = *words;
	}
	line[used] = '\0';
	return used;
}

struct started eat(const char *name, const char *options, const char *steps)
{
	char line[1024];
	size_t used = (size_t)snprintf(line, sizeof(line), "run -n %s ", name);

	used = words_add(line, sizeof(line), used, options);
	used += (size_t)snprintf(line + used, sizeof(line) - used, " -- %s --eat ", eater_program);
	words_add(line, sizeof(line), used, steps);
	stage_listen();
	return start(NULL, line);
}

/* --- what is told -------------------------------------------------------------------------- */

const char *told(void)
{
	return stage_pid() ? stage_said() : outcome.err;
}

/* The stage tells it on its own time, maybe after the run has ended. */
void assert_told(const char *text)
{
	bool found = strstr(told(), text);

	for (time_t end = 0; stage_pid() && !found && poll_on(&end);)
		found = strstr(told(), text);
	if (!found)
		print_error("'%s' is not in: %s\n", text, told());
	assert_true(found);
}

void assert_not_told(const char *text)
{
	if (strstr(told(), text))
		print_error("'%s' is in: %s\n", text, told());
	assert_null(strstr(told(), text));
}

void await_told(const struct started *hog, const char *text)
{
	if (stage_pid())
		assert_told(text);
	else
		text_await(hog->err, text);
}

void assert_reported(const char *name)
{
	char text[128];

	snprintf(text, sizeof(text), "%s: over its limit", name);
	assert_told(text);
	assert_told("Container [pid=");
	assert_told("B beyond the 'PHYSICAL' memory limit");
	snprintf(text, sizeof(text), "Dump of the process-tree for %s :\n\t|- PID PPID", name);
	assert_told(text);
}

void assert_ended(const char *name)
{
	assert_reported(name);
	assert_told(": ended: ");
}

void assert_stopped(const char *name)
{
	if (outcome.status != 128 + SIGKILL && outcome.status != 128 + SIGTERM)
		print_error("%s: status %d: %s\n", name, outcome.status, outcome.err);
	assert_true(outcome.status == 128 + SIGKILL || outcome.status == 128 + SIGTERM);
	assert_ended(name);
}

void assert_status(int status)
{
	if (outcome.status != status)
		print_error("status %d, not %d: %s\n", outcome.status, status, told());
	assert_int_equal(outcome.status, status);
}

void assert_lived(const char *name)
{
	char text[128];

	assert_status(0);
	snprintf(text, sizeof(text), "%s: over its limit", name);
	assert_not_told(text);
	snprintf(text, sizeof(text), "containerID=%s]", name);
	assert_not_told(text);
}

/* --- scenes -------------------------------------------------------------------------------- */

bool is_emulated(void)
{
	return getenv("MEMTREE_TEST_VM") != NULL;
}

/*
 * In an emulator one after the other: that is easily lost when the kernel patches a probe in or
 * out that a page fault of somebody else runs into.
 */
void pair(const char *options, const char *spare_options, const char *steps,
	  void (*assert_end)(const char *name))
{
	struct started hog, spare = {};
	char ready[512];

	snprintf(ready, sizeof(ready), "say ready await $1 %s", steps);
	hog = eat("hog", options, ready);
	if (!is_emulated()) {
		spare = eat("spare", spare_options, ready);
		text_await(spare.out, "ready");
	}
	text_await(hog.out, "ready");
	gate_push(1);
	finish(hog);
	assert_end("hog");
	gate_push(0);
	if (is_emulated())
		spare = eat("spare", spare_options, ready);
	finish(spare);
	assert_lived("spare");
	assert_nobody_left();
	gates_shut();
}

void stop_and_spare(const char *options, const char *spare_options, const char *steps)
{
	pair(options, spare_options, steps, assert_stopped);
}

void set(const char *line)
{
	run(line);
	if (outcome.status)
		print_error("%s: %d %s\n", line, outcome.status, outcome.err);
	assert_int_equal(outcome.status, 0);
	assert_string_equal(outcome.err, "");
}

const char *text_of(const json_t *tree, const char *key)
{
	const char *text = json_string_value(json_object_get(tree, key));

	assert_non_null(text);
	return text;
}

json_t *state_await(const char *name, const char *wanted)
{
	for (time_t end = 0; poll_on(&end);) {
		json_t *tree = tree_shown(name);

		if (tree && !strcmp(text_of(tree, "state"), wanted))
			return tree;
		json_decref(tree);
	}
	fail_msg("%s is never %s", name, wanted);
	return NULL;
}
