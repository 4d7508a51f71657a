// SPDX-License-Identifier: GPL-2.0-only
#include "reason.h"

const char *cause_name(enum cause cause)
{
	static const char *const names[CAUSES] = {
		[CAUSE_MOVED] = "moved",
		[CAUSE_SHARED_SPACE] = "shared_address_space",
		[CAUSE_LEADER_EXITED] = "leader_exited",
		[CAUSE_REMAINDERS] = "remainders",
		[CAUSE_ESCAPED] = "escaped",
		[CAUSE_UNUSED_SPACE] = "unused_space",
		[CAUSE_FOREIGN] = "not_a_member",
		[CAUSE_METRIC] = "metric",
		[CAUSE_INHERITED] = "inherited",
		[CAUSE_BORN_AND_GONE] = "born_and_gone",
		[CAUSE_UNEXPLAINED] = "unexplained",
	};

	return names[cause];
}

const char *cause_text(enum cause cause)
{
	static const char *const texts[CAUSES] = {
		[CAUSE_MOVED] = "changed while both sides were read: no difference, no proof",
		[CAUSE_SHARED_SPACE] = "one address space, counted once per process by procfs",
		[CAUSE_LEADER_EXITED] = "the main thread has exited: stat and statm read 0",
		[CAUSE_REMAINDERS] = "kept back by threads or CPUs: stat leaves it out",
		[CAUSE_ESCAPED] = "members that procfs' tree has lost",
		[CAUSE_UNUSED_SPACE] = "address spaces that no member uses: see memtree doctor",
		[CAUSE_FOREIGN] = "procfs counts processes that are no members",
		[CAUSE_METRIC] = "the tree is charged by another metric than rss",
		[CAUSE_INHERITED] = "shared with the parent since a fork, exempt for now",
		[CAUSE_BORN_AND_GONE] = "lived and died between two scans: procfs never saw them",
		[CAUSE_UNEXPLAINED] = "no cause known: please report it",
	};

	return texts[cause];
}

const char *missed_name(enum missed missed)
{
	static const char *const names[] = {
		[MISSED_NOT] = "not",
		[MISSED_MEANWHILE] = "meanwhile",
		[MISSED_ROOT_GONE] = "root_gone",
		[MISSED_UNREADABLE] = "unreadable",
		[MISSED_SESSION] = "session",
		[MISSED_REAPER] = "reaper",
		[MISSED_BELOW] = "below",
		[MISSED_DEAD] = "dead",
		[MISSED_ROOT_AGAIN] = "root_again",
		[MISSED_STRANGER] = "stranger",
		[MISSED_UNTRACKED] = "untracked",
		[MISSED_UNKNOWN] = "unknown",
	};

	return names[missed];
}

const char *missed_text(enum missed missed)
{
	static const char *const texts[] = {
		[MISSED_NOT] = "",
		[MISSED_MEANWHILE] = "born or gone while both sides were read",
		[MISSED_ROOT_GONE] = "the root has exited: YARN's tree is empty",
		[MISSED_UNREADABLE] = "YARN's parser cannot read its name",
		[MISSED_SESSION] = "an orphan whose session is not that of a process of the tree",
		[MISSED_REAPER] = "an orphan adopted by another reaper than process 1",
		[MISSED_BELOW] = "its parent is missed",
		[MISSED_DEAD] = "a zombie that the maps do not have: it holds no memory",
		[MISSED_ROOT_AGAIN] = "the root's pid was used again: YARN follows a stranger",
		[MISSED_STRANGER] = "in the session of a member, but forked by none",
		[MISSED_UNTRACKED] = "a descendant that the maps do not have: see memtree doctor",
		[MISSED_UNKNOWN] = "no reason known",
	};

	return texts[missed];
}
