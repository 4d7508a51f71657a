/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The configuration of the daemon, and of every tree on its node: a YAML file and the drop-ins
 * beside it (FILE.d/NAME.conf by name: a later file overrides an earlier one key by key), as
 * docs/man/memtree.conf.5 tells. Reads files, tells nobody.
 */
#ifndef MEMTREE_CONFIG_H
#define MEMTREE_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "choice.h"

#define CONFIG_FILE "/etc/memtree/memtree.conf"
#define CONFIG_SIZE_MAX (64UL << 10) /* bytes of one file */
#define CONFIG_DROPINS_MAX 64	     /* files beside it */
#define CONFIG_PATH 256		     /* room for a path, with its NUL */
#define CONFIG_SOCKET 108	     /* likewise: as long as a socket's address may be */
#define CONFIG_GROUP 33		     /* room for a group's name, with its NUL */
#define CONFIG_WHY 768		     /* room for what is wrong, with its NUL */

/* Plain, to be copied and thrown away. Zeroed where nothing is. */
struct config {
	char pin_folder[CONFIG_PATH]; /* in bpffs */
	char socket[CONFIG_SOCKET];
	char group[CONFIG_GROUP]; /* a name or a number: whose members may read; "": root alone */
	uint32_t processes;	  /* slots of the tracker */
	uint32_t trees;		  /* likewise */
	uint32_t max_kills;	  /* trees ended within a minute, 0: any number */
	char log[CONFIG_PATH];	  /* the verdicts (store.h) */
	uint64_t log_bytes;	  /* both generations together */
	struct choices tree;	  /* what stands where run and add say nothing; whole */
};

/* What stands without any file. */
void config_default(struct config *ret_config);

/*
 * Reads `path` and its drop-ins on top of the defaults. A file that is not there is all defaults,
 * but -ENOENT where it `must_exist`. Else -EINVAL for what is written, -EPERM for a file that
 * others than root and this user own or may write, or a negative errno; with one line that names
 * file, line, reason and what to do (control characters in it became '?'), and `ret_config` as it
 * was.
 */
int config_read(const char *path, bool must_exist, struct config *ret_config,
		char ret_why[CONFIG_WHY]);

/* Writes all of it as YAML that config_read takes as the same. -ENOMEM, -EIO. */
int config_print(const struct config *config, FILE *out);

/* The first key that differs and that a running daemon cannot change: it holds from the next
 * start on. NULL: there is none. Static. */
const char *config_fixed(const struct config *running, const struct config *read);

#endif /* MEMTREE_CONFIG_H */
