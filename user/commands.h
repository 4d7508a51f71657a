/* SPDX-License-Identifier: GPL-2.0-only */
/* The commands: each takes its own arguments and returns an exit status. */
#ifndef MEMTREE_COMMANDS_H
#define MEMTREE_COMMANDS_H

int command_run(int argc, char **argv);
int command_ps(int argc, char **argv);
int command_tree(int argc, char **argv);

#endif /* MEMTREE_COMMANDS_H */
