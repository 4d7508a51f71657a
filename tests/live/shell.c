// SPDX-License-Identifier: GPL-2.0-only
#include "shell.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

struct outcome outcome;

const char *memtree(void)
{
	const char *path = getenv("MEMTREE");

	return path ? path : ".output/memtree";
}

/* Every memtree that this program has started; others may run beside it. */
#define STARTED_KEPT 1024
static pid_t started_pids[STARTED_KEPT];
static size_t started_count;

struct started start(prepare_fn prepare, const char *line)
{
	struct started started = {.out = tmpfile(), .err = tmpfile()};
	char words[1024], *argv[64] = {(char *)(intptr_t)memtree()}, *rest = words, *word;
	int argc = 1;

	assert_non_null(started.out);
	assert_non_null(started.err);
	snprintf(words, sizeof(words), "%s", line);
	/* A word in quotes keeps its blanks. */
	while (argc < 63 && rest && *rest) {
		bool quoted = *rest == '\'';

		rest += quoted;
		word = strsep(&rest, quoted ? "'" : " ");
		if (*word || quoted)
			argv[argc++] = word;
	}
	argv[argc] = NULL;
	fflush(NULL);
	started.pid = fork();
	assert_true(started.pid >= 0);
	if (started.pid)
		started_pids[started_count++ % STARTED_KEPT] = started.pid;
	if (!started.pid) {
		dup2(fileno(started.out), 1);
		dup2(fileno(started.err), 2);
		close_range(3, ~0U, 0);
		setenv("M", memtree(), 1);
		if (prepare)
			prepare();
		execv(argv[0], argv);
		_exit(254);
	}
	return started;
}

static void read_back(FILE *file, char *text)
{
	size_t length;

	rewind(file);
	length = fread(text, 1, TEXT_MAX - 1, file);
	text[length] = '\0';
	fclose(file);
}

int await_end(pid_t child)
{
	int status = 0;
	pid_t ended = 0;

	for (time_t end = 0; !ended && poll_on(&end);)
		ended = waitpid(child, &status, WNOHANG);
	if (!ended)
		kill(child, SIGKILL);
	assert_int_equal(ended, child);
	return status;
}

void finish(struct started started)
{
	int status = await_end(started.pid);

	read_back(started.out, outcome.out);
	read_back(started.err, outcome.err);
	outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

void run_prepared(prepare_fn prepare, const char *line)
{
	finish(start(prepare, line));
}

void run(const char *line)
{
	run_prepared(NULL, line);
}

void assert_one_line(const char *text)
{
	const char *end = strchr(text, '\n');

	if (!end || end[1])
		print_error("not one line: %s\n", text);
	assert_non_null(end);
	assert_int_equal(end[1], '\0');
}

void text_read(FILE *file, off_t from, char text[TEXT_MAX])
{
	ssize_t got = pread(fileno(file), text, TEXT_MAX - 1, from);

	text[got > 0 ? got : 0] = '\0';
}

void text_await(FILE *file, const char *wanted)
{
	static char text[TEXT_MAX];

	text_read(file, 0, text);
	for (time_t end = 0; !strstr(text, wanted) && poll_on(&end);)
		text_read(file, 0, text);
	if (!strstr(text, wanted))
		print_error("'%s' is not in: %s\n", wanted, text);
	assert_non_null(strstr(text, wanted));
}

void tracker_disown(pid_t loader)
{
	for (size_t i = 0; i < STARTED_KEPT; i++)
		if (started_pids[i] == loader)
			started_pids[i] = 0;
}

static bool is_ours(const struct tracker *tracker)
{
	for (size_t i = 0; i < started_count && i < STARTED_KEPT; i++)
		if (started_pids[i] == (pid_t)tracker->header.loader_tgid)
			return true;
	return false;
}

int trackers_count(bool ours)
{
	struct tracker **trackers;
	int count, foreign, found = 0;

	assert_int_equal(trackers_find(&trackers, &count, &foreign), 0);
	for (int i = 0; i < count; i++)
		found += is_ours(trackers[i]) == ours;
	trackers_close(trackers, count);
	return found;
}

bool tracker_left(void)
{
	return trackers_count(true) > 0;
}

void await_trackers(int wanted)
{
	for (time_t end = 0; trackers_count(true) != wanted && poll_on(&end);)
		;
	assert_int_equal(trackers_count(true), wanted);
}

void become_nobody(void)
{
	if (setgid(65534) || setuid(65534))
		_exit(253);
}

void hide_btf(void)
{
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", "/sys/kernel/btf", "tmpfs", 0, NULL))
		_exit(253);
}

json_t *document(void)
{
	json_error_t error;
	json_t *root = json_loads(outcome.out, JSON_REJECT_DUPLICATES, &error);

	if (!root)
		print_error("%s: %s\n", error.text, outcome.out);
	assert_non_null(root);
	return root;
}

json_t *tree_named(const json_t *root, const char *name)
{
	json_t *tree, *list = json_object_get(root, "trees");
	size_t i;

	json_array_foreach(list, i,
			   tree) if (!strcmp(json_string_value(json_object_get(tree, "name")),
					     name)) return tree;
	fail_msg("no tree %s", name);
	return NULL;
}

json_t *tree_shown(const char *name)
{
	json_t *root, *tree;
	char line[128];

	snprintf(line, sizeof(line), "tree --json %s", name);
	run(line);
	if (outcome.status)
		return NULL;
	root = document();
	assert_int_equal(json_array_size(json_object_get(root, "trees")), 1);
	tree = json_incref(json_array_get(json_object_get(root, "trees"), 0));
	json_decref(root);
	return tree;
}

json_int_t integer(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	if (!json_is_integer(value))
		print_error("%s is no integer\n", key);
	assert_true(json_is_integer(value));
	return json_integer_value(value);
}

void assert_keys(const json_t *object, const char *const *keys)
{
	for (; *keys; keys++) {
		if (!json_object_get(object, *keys))
			print_error("no key %s\n", *keys);
		assert_non_null(json_object_get(object, *keys));
	}
}

int reader_await(const char *fifo)
{
	int fd = -1;

	for (time_t end = 0; fd < 0 && poll_on(&end);)
		fd = open(fifo, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}
