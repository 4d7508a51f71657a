/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Asks the running machine what it offers: by trying, never by version. Loads a few
 * programs of some instructions, attaches one to a function that nobody calls, and leaves
 * nothing behind. What it means is features.h's business.
 */
#ifndef MEMTREE_PROBE_H
#define MEMTREE_PROBE_H

#include "features.h"

/* What is shown to people and decides nothing. */
struct surroundings {
	char release[65], architecture[65];
	int unprivileged_bpf; /* kernel.unprivileged_bpf_disabled, -1: not readable */
	char lockdown[32];    /* "none", "integrity", "confidentiality", "": not readable */
	unsigned int uid;
};

/* Never fails: what cannot be asked stays unknown. */
void probe_machine(struct machine *ret_machine);
/*
 * Switches the kernel's run statistics on, for every BPF program of this machine, until
 * the fd that it returns is closed: by an fd and no sysctl, so that whatever becomes of us
 * they go off. Notes what they say of an empty program. Negative where they are refused.
 */
int probe_statistics(struct machine *machine);

void probe_surroundings(struct surroundings *ret_surroundings);

#endif /* MEMTREE_PROBE_H */
