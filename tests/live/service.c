// SPDX-License-Identifier: GPL-2.0-only
#include "service.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hog.h"

static struct started daemon_of_now;
static char folder[64];

const char *service_path(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

void configure(const char *lines)
{
	FILE *file = fopen(service_path("memtree.conf"), "we");

	assert_non_null(file);
	fprintf(file, "socket: %s/memtree.sock\n", folder);
	fprintf(file, "log: %s/verdicts.log\n%s", folder, lines);
	fclose(file);
}

static void folder_remove(void)
{
	static const char *const names[] = {"memtree.conf", "memtree.sock", "verdicts.log",
					    "verdicts.log.1"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(service_path(names[i]));
	rmdir(folder);
}

static const char *command_line(const char *options)
{
	static char line[256];

	snprintf(line, sizeof(line), "daemon --config %s %s", service_path("memtree.conf"),
		 options);
	return line;
}

void daemon_command(const char *options)
{
	run(command_line(options));
}

int daemons_open(void **state)
{
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return -1;
	/* Whether somebody has mounted one or not. */
	mkdir("/sys/fs/bpf", 0700);
	if (mount("bpf", "/sys/fs/bpf", "bpf", 0, NULL))
		return -1;
	snprintf(folder, sizeof(folder), "/tmp/memtree-service-%d", (int)getpid());
	folder_remove();
	if (mkdir(folder, 0700))
		return -1;
	configure("");
	return hogs_open(state);
}

int daemons_close(void **state)
{
	int err = hogs_close(state);

	folder_remove();
	return umount2("/sys/fs/bpf", MNT_DETACH) || err;
}

void daemon_start(void)
{
	daemon_of_now = start(NULL, command_line("-v"));
	text_await(daemon_of_now.err, "daemon: tracker");
}

const char *daemon_said(void)
{
	static char text[TEXT_MAX];

	text_read(daemon_of_now.err, 0, text);
	return text;
}

void await_daemon_says(const char *text)
{
	text_await(daemon_of_now.err, text);
}

void daemon_signal(int signal_number)
{
	assert_int_equal(kill(daemon_of_now.pid, signal_number), 0);
}

void daemon_end(int signal_number)
{
	kill(daemon_of_now.pid, signal_number);
	finish(daemon_of_now);
	daemon_of_now.pid = 0;
}

void unload(void)
{
	struct stat found;

	daemon_command("--unload");
	assert_status(0);
	assert_int_equal(stat(PINS, &found), -1);
	await_trackers(0);
}

int daemon_clear(void **state)
{
	gates_open(state);
	if (daemon_of_now.pid)
		daemon_end(SIGKILL);
	configure("");
	daemon_command("--unload");
	return outcome.status;
}

bool is_shown(const char *name)
{
	json_t *tree = tree_shown(name);

	json_decref(tree);
	return tree != NULL;
}

void await_gone(const char *name)
{
	for (time_t limit = 0; is_shown(name) && poll_on(&limit);)
		;
	assert_false(is_shown(name));
}

json_int_t figure_of(const char *name, const char *key)
{
	json_t *tree = tree_shown(name);
	json_int_t figure;

	assert_non_null(tree);
	figure = integer(tree, key);
	json_decref(tree);
	return figure;
}
