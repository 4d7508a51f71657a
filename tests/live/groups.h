/* SPDX-License-Identifier: GPL-2.0-only */
/* The groups of live tests; each returns how many failed. */
#ifndef MEMTREE_TEST_GROUPS_H
#define MEMTREE_TEST_GROUPS_H

int memory_tests(void);
int fork_tests(void);
int lifecycle_tests(void);
int adopt_tests(void);
int losses_tests(void);
int race_tests(void);
int manage_tests(void);
int opens_tests(void);
int figure_tests(void);
int cgroup_tests(void);
int command_tests(void);
int command_alone_tests(void);
int compare_tests(void);
int escape_tests(void);
int compare_ends_tests(void);
int daemon_tests(void);
int daemon_kills_tests(void);
int daemon_upgrade_tests(void);
int doctor_tests(void);
int explain_tests(void);
int boxed_tests(void);
int limits_tests(void);
int killing_tests(void);
int monitor_tests(void);
int limits_alone_tests(void);
int limits_spikes_tests(void);
int events_tests(void);
int confirm_tests(void);
int hooks_tests(void);
int readers_tests(void);
int protocol_tests(void);
int protocol_client_tests(void);
int one_tests(void);

#endif /* MEMTREE_TEST_GROUPS_H */
