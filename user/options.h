/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What all commands share about their arguments: the common options, one-line errors with
 * exit status 2, and options of the contract that are not built yet, which are refused.
 */
#ifndef MEMTREE_OPTIONS_H
#define MEMTREE_OPTIONS_H

#include <argp.h>
#include <stdbool.h>

struct common_options {
	bool json;
};

/* Children of a command's parser: the common options, its input a common_options. */
extern const struct argp options_common;

/* A planned option, refused by options_parse; at the end of a command's table. */
enum { OPTION_PLANNED = 0x1000 };
#define OPTION_IS_PLANNED(long_name, letter, argument)                                          \
	{                                                                                       \
		.name = (long_name), .key = (letter), .arg = (argument), .flags = OPTION_HIDDEN \
	}

/*
 * argp_parse with the errors of this program: one line on stderr, then exit status 2.
 * `command` is "run", "ps", ...; argv[0] is the command's name. In order: what follows
 * the first argument is not taken for an option.
 */
void options_parse(const struct argp *argp, const char *command, int argc, char **argv,
		   void *input);

/* The command whose arguments are being parsed: "run". */
const char *options_command(const struct argp_state *state);

/* Refuses what OPTION_IS_PLANNED marks in `table`; returns when `key` is none of those. */
void options_refuse_planned(const struct argp_option *table, int key, const char *command);

/* The one argument that a command takes: a second one is refused. */
void options_take(const char *command, const char **argument_at, const char *argument);

/* One line and exit status 2. */
_Noreturn void options_refuse(const char *command, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif /* MEMTREE_OPTIONS_H */
