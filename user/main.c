// SPDX-License-Identifier: GPL-2.0-only
/* Finds the command and hands it its arguments. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "options.h"
#include "talk.h"

struct command {
	const char *name;
	int (*main)(int argc, char **argv); /* NULL: in the contract, not built yet */
	const char *summary;
};

static const struct command commands[] = {
	{"run", command_run, "run a command as a new tree"},
	{"add", command_add, "track a running process and its descendants"},
	{"set", command_set, "change a live tree"},
	{"rm", command_rm, "stop tracking a tree; its processes run on"},
	{"kill", command_kill, "end every process of a tree, and report"},
	{"ps", command_ps, "one line per tree"},
	{"tree", command_tree, "the processes of a tree, as a tree"},
	{"compare", command_compare, "the live maps against the procfs baseline"},
	{"explain", command_explain, "every number that people quote for a tree, with its formula"},
	{"events", command_events, "crossings, warnings, kills and OOM kills; -f as they come"},
	{"why", command_why, "what was decided about a tree, and on what ground"},
	{"daemon", command_daemon, "one tracker for the whole node, that outlives its daemon"},
	{"groups", NULL, NULL},
	{"audit", NULL, NULL},
	{"doctor", command_doctor, "what this kernel offers, and whether the trackers are healthy"},
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static int help_print(void)
{
	puts("memtree tracks the memory of process trees from inside the kernel.\n");
	puts("usage: memtree COMMAND [OPTIONS]\n");
	for (size_t i = 0; i < COMMANDS; i++)
		if (commands[i].main)
			printf("  %-8s %s\n", commands[i].name, commands[i].summary);
	puts("\nmemtree COMMAND --help tells a command's options.");
	return EXIT_OK;
}

static int usage_fail(const char *what, const char *name)
{
	char line[128];

	snprintf(line, sizeof(line), "%s%s%.60s", what, name ? " " : "", name ? name : "");
	talk_error(0, "%s; see memtree --help", line);
	return EXIT_USAGE;
}

/* Started without one of 0 to 2, a file or pipe of ours would take its place and messages
 * would go into it. */
static void standard_files_open(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= 2);
	if (fd > 2)
		close(fd);
}

/* What did not reach stdout was not done. */
static int output_check(int status)
{
	if (!fflush(stdout) && !ferror(stdout))
		return status;
	talk_error(0, "stdout cannot be written: %s", strerror(errno));
	return status ? status : EXIT_FAILED;
}

int main(int argc, char **argv)
{
	standard_files_open();
	if (argc < 2)
		return usage_fail("which command?", NULL);
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help"))
		return output_check(help_print());
	if (!strcmp(argv[1], "--version")) {
		puts("memtree " MEMTREE_VERSION);
		return EXIT_OK;
	}
	for (size_t i = 0; i < COMMANDS; i++) {
		if (strcmp(argv[1], commands[i].name))
			continue;
		if (!commands[i].main)
			return usage_fail("not built yet:", commands[i].name);
		return output_check(commands[i].main(argc - 1, argv + 1));
	}
	return usage_fail("unknown command", argv[1]);
}
