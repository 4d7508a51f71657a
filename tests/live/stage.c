// SPDX-License-Identifier: GPL-2.0-only
#include "stage.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "shell.h"

static struct started stage;
static off_t heard; /* so much of what it says */

pid_t stage_pid(void)
{
	return stage.pid;
}

const char *stage_said(void)
{
	static char text[TEXT_MAX];

	text[0] = '\0';
	if (stage.pid)
		text_read(stage.err, heard, text);
	return text;
}

void stage_listen(void)
{
	heard += (off_t)strlen(stage_said());
}

int stage_open(void **state)
{
	char line[64];

	(void)state;
	snprintf(line, sizeof(line), "add -n stage --max-kills 0 %d", (int)getpid());
	stage = start(NULL, line);
	tracker_disown(stage.pid);
	heard = 0;
	text_await(stage.err, "tracking");
	return 0;
}

int stage_close(void **state)
{
	pid_t pid = stage.pid;

	(void)state;
	stage_listen();
	kill(pid, SIGINT);
	stage.pid = 0;
	finish((struct started){.pid = pid, .out = stage.out, .err = stage.err});
	return outcome.status;
}
