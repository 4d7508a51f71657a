// SPDX-License-Identifier: GPL-2.0-only
#include "hook.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "units.h"

struct hook {
	const struct mt_policy *policy;
	const struct tree *tree;
};

__attribute__((format(printf, 2, 3))) static void tell(const char *name, const char *format, ...)
{
	char text[128];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	setenv(name, text, 1);
}

static int hook_exec(int fd, const void *context)
{
	const struct hook *hook = context;
	const struct tree *tree = hook->tree;
	char charged[UNITS_SIZE_TEXT], limit[UNITS_SIZE_TEXT];

	(void)fd;
	tell("MEMTREE_TREE", "%s", tree->name);
	tell("MEMTREE_ID", "%u.%u", tree->tracker_id, tree->id);
	tell("MEMTREE_ROOT_PID", "%u", tree->root_tgid);
	tell("MEMTREE_CHARGED", "%lld", (long long)tree->charged);
	tell("MEMTREE_LIMIT", "%llu", (unsigned long long)hook->policy->limit);
	tell("MEMTREE_REASON", "charged %s of %s", units_format_size(tree->charged, charged),
	     units_format_size((int64_t)hook->policy->limit, limit));
	execl("/bin/sh", "sh", "-c", hook->policy->hook, (char *)NULL);
	return 127;
}

int hook_start(struct event_base *loop, const struct mt_policy *policy, const struct tree *tree,
	       errand_done_fn done, void *context, struct errand **ret_errand)
{
	const struct hook hook = {policy, tree};

	return errand_start(loop, hook_exec, &hook, policy->hook_timeout_ns, done, context,
			    ret_errand);
}
