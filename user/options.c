// SPDX-License-Identifier: GPL-2.0-only
#include "options.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "talk.h"

#define PROGRAM "memtree "

enum {
	KEY_JSON = 0x2000,
	KEY_HELP,
};

static const struct argp_option common_table[] = {
	{"help", KEY_HELP, NULL, 0, "Print this", 10},
	{"json", KEY_JSON, NULL, 0, "Print one JSON document", 10},
	{"quiet", 'q', NULL, 0, "Say nothing but errors", 10},
	{"verbose", 'v', NULL, 0, "Say more", 10},
	{0},
};

/* The word that argp stopped at; it tells nobody but the parsers. */
static const char *refused;

static error_t common_parse(int key, char *argument, struct argp_state *state)
{
	struct common_options *options = state->input;

	(void)argument;
	switch (key) {
	case ARGP_KEY_ERROR:
		refused = state->argv[state->next > 1 ? state->next - 1 : 1];
		return 0;
	case KEY_HELP:
		argp_help(state->root_argp, stdout,
			  ARGP_HELP_SHORT_USAGE | ARGP_HELP_DOC | ARGP_HELP_LONG, state->name);
		exit(EXIT_OK);
	case KEY_JSON:
		options->json = true;
		return 0;
	case 'q':
		talk_level = TALK_QUIET;
		return 0;
	case 'v':
		talk_level = TALK_VERBOSE;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp options_common = {.options = common_table, .parser = common_parse};

void options_refuse(const char *command, const char *format, ...)
{
	char line[256];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	talk_clean(line);
	fprintf(stderr, "memtree %s: %s; see memtree %s --help\n", command, line, command);
	exit(EXIT_USAGE);
}

void options_refuse_planned(const struct argp_option *table, int key, const char *command)
{
	for (const struct argp_option *option = table; option->name; option++)
		if (option->key == key && option->flags & OPTION_HIDDEN)
			options_refuse(command, "--%s is not built yet", option->name);
}

void options_take(const char *command, const char **argument_at, const char *argument)
{
	if (*argument_at)
		options_refuse(command, "unexpected argument '%s'", argument);
	*argument_at = argument;
}

const char *options_command(const struct argp_state *state)
{
	return state->name + strlen(PROGRAM);
}

void options_parse(const struct argp *argp, const char *command, int argc, char **argv, void *input)
{
	char name[64];

	snprintf(name, sizeof(name), PROGRAM "%s", command);
	argv[0] = name;
	/* Without argp's own errors, which take two lines, and so without its help. */
	if (argp_parse(argp, argc, argv, ARGP_IN_ORDER | ARGP_NO_ERRS | ARGP_NO_HELP, NULL, input))
		options_refuse(command, "'%.80s' is no option of this command, or lacks its value",
			       refused ? refused : "");
}
