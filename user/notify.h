/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tells the service manager how the daemon is (the protocol of sd_notify(3), without its library).
 * `name` is what NOTIFY_SOCKET says: a path, or "@NAME" for an abstract one; with NULL nobody is to
 * be told, and nothing is done. Each sends one datagram and never waits. 0, or a negative errno,
 * which is no reason to stop: -EINVAL for a name that is none.
 */
#ifndef MEMTREE_NOTIFY_H
#define MEMTREE_NOTIFY_H

#include <stdint.h>

/* It serves, for the first time or after a reload. */
int notify_ready(const char *name);

/* It takes up another configuration; notify_ready follows. `mono_ns` of CLOCK_MONOTONIC. */
int notify_reloading(const char *name, uint64_t mono_ns);

int notify_stopping(const char *name);

/* One line for people, as `systemctl status` shows it; what does not fit is cut, control
 * characters become '?'. */
int notify_status(const char *name, const char *text);

#endif /* MEMTREE_NOTIFY_H */
