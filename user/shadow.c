// SPDX-License-Identifier: GPL-2.0-only
#include "shadow.h"

#include <stdio.h>
#include <stdlib.h>

#include "cleanup.h"

/* For the dump: NULs are blanks. */
static char *cmdline_of(void *context, pid_t pid)
{
	char *text;
	size_t length;

	if (procfs_cmdline_read(context, pid, &text, &length))
		return NULL;
	for (size_t i = 0; i < length; i++)
		if (!text[i])
			text[i] = ' ';
	return text;
}

static char *words_make(const struct shadow *shadow, const struct yarn_tree *yarn, const char *name,
			struct procfs *procfs)
{
	_cleanup_free_ char *reason = yarn_reason(&shadow->last, name, shadow->limit_bytes,
						  shadow->vmem_limit_bytes);
	_cleanup_free_ char *diagnosis = yarn_diagnosis(
		&shadow->last, yarn->root, name, shadow->limit_bytes, shadow->vmem_limit_bytes);
	_cleanup_free_ char *dump = yarn_dump(yarn, cmdline_of, procfs);
	char *words = NULL;

	if (reason && diagnosis && dump &&
	    asprintf(&words, "%s\n%s%s", reason, diagnosis, dump) < 0)
		return NULL;
	return words;
}

static void kill_note(struct shadow_kill *kill, enum yarn_verdict verdict, uint32_t pass,
		      int64_t real_ns)
{
	if (verdict == YARN_WITHIN || kill->pass)
		return;
	kill->pass = pass;
	kill->real_ns = real_ns;
}

void shadow_pass(struct shadow *shadow, const struct yarn_tree *yarn, const char *name,
		 struct procfs *procfs, int64_t real_ns)
{
	shadow->pass = yarn->passes;
	shadow->last = yarn_decide(yarn, YARN_STAT, shadow->limit_bytes, shadow->vmem_limit_bytes);
	/* Which YARN does not ask when virtual memory is over already; many switch that off. */
	shadow->last.physical_memory =
		yarn_decide(yarn, YARN_STAT, shadow->limit_bytes, 0).physical_memory;
	if (shadow->last.skipped)
		return;
	if (yarn_kills(&shadow->last) && !shadow->words_pass) {
		shadow->words_pass = shadow->pass;
		shadow->words = words_make(shadow, yarn, name, procfs);
	}
	kill_note(&shadow->virtual, shadow->last.virtual_memory, shadow->pass, real_ns);
	kill_note(&shadow->physical, shadow->last.physical_memory, shadow->pass, real_ns);
}

void shadow_free(struct shadow *shadow)
{
	free(shadow->words);
	shadow->words = NULL;
}
