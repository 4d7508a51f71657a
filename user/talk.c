// SPDX-License-Identifier: GPL-2.0-only
#include "talk.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

enum talk_level talk_level = TALK_NORMAL;
bool talk_never_waits;

/* A pipe that reports room has room for a line. */
static bool would_wait(void)
{
	struct pollfd room = {.fd = STDERR_FILENO, .events = POLLOUT};

	return talk_never_waits && !poll(&room, 1, 0);
}

void talk_clean(char *line)
{
	for (; *line; line++)
		if ((unsigned char)*line < 0x20 || *line == 0x7f)
			*line = '?';
}

__attribute__((format(printf, 1, 0))) static void talk(const char *format, va_list args)
{
	char line[1024];

	if (would_wait())
		return;
	vsnprintf(line, sizeof(line), format, args);
	talk_clean(line);
	fprintf(stderr, "memtree: %s\n", line);
}

int talk_error(int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	talk(format, args);
	va_end(args);
	return err;
}

void talk_note(const char *format, ...)
{
	va_list args;

	if (talk_level < TALK_NORMAL)
		return;
	va_start(args, format);
	talk(format, args);
	va_end(args);
}

void talk_detail(const char *format, ...)
{
	va_list args;

	if (talk_level < TALK_VERBOSE)
		return;
	va_start(args, format);
	talk(format, args);
	va_end(args);
}

int talk_status(int err, int otherwise)
{
	switch (-err) {
	case EPERM:
	case EACCES:
	case EOPNOTSUPP:
		return EXIT_NOT_POSSIBLE;
	default:
		return otherwise;
	}
}
