/* SPDX-License-Identifier: GPL-2.0-only */
/* The commands: each takes its own arguments and returns an exit status. */
#ifndef MEMTREE_COMMANDS_H
#define MEMTREE_COMMANDS_H

int command_run(int argc, char **argv);
int command_add(int argc, char **argv);
int command_set(int argc, char **argv);
int command_rm(int argc, char **argv);
int command_kill(int argc, char **argv);
int command_ps(int argc, char **argv);
int command_tree(int argc, char **argv);
int command_compare(int argc, char **argv);
int command_explain(int argc, char **argv);
int command_events(int argc, char **argv);
int command_why(int argc, char **argv);
int command_daemon(int argc, char **argv);
int command_doctor(int argc, char **argv);

#endif /* MEMTREE_COMMANDS_H */
