/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The words of a comparison: why the maps' figure and procfs' figure differ, and why one
 * side has a process that the other does not have. Pure.
 */
#ifndef MEMTREE_REASON_H
#define MEMTREE_REASON_H

/* Why charged bytes of the maps and the sum of stat's rss differ, in this order of trial. */
enum cause {
	CAUSE_MOVED,	     /* it changed while both were read: no difference, no proof */
	CAUSE_SHARED_SPACE,  /* one address space, which procfs counts once per process */
	CAUSE_LEADER_EXITED, /* the main thread has exited: stat says 0 */
	CAUSE_REMAINDERS,    /* what threads or CPUs keep back, which stat leaves out */
	CAUSE_ESCAPED,	     /* members that procfs' tree has lost */
	CAUSE_UNUSED_SPACE,  /* charged, though no member uses it */
	CAUSE_FOREIGN,	     /* processes of procfs' tree that are no members */
	CAUSE_METRIC,	     /* the tree is charged by other kinds than rss */
	CAUSE_INHERITED,     /* shared with the parent since a fork, exempt for now */
	CAUSE_BORN_AND_GONE, /* lives between two scans: no bytes of this moment */
	CAUSE_UNEXPLAINED,
	CAUSES,
};

/* Why one side has a process that the other does not have. */
enum missed {
	MISSED_NOT,
	MISSED_MEANWHILE,  /* born, or gone, while both were read */
	MISSED_ROOT_GONE,  /* YARN's tree is empty without its root */
	MISSED_UNREADABLE, /* YARN's parser cannot read its name */
	MISSED_SESSION,	   /* an orphan with a session of its own, or of a process outside */
	MISSED_REAPER,	   /* an orphan that another reaper than pid 1 has adopted */
	MISSED_BELOW,	   /* its parent is missed */
	MISSED_DEAD,	   /* a zombie: it has nothing */
	MISSED_ROOT_AGAIN, /* it has the root's pid by now, or descends from who has */
	MISSED_STRANGER,   /* of procfs' tree by its session alone; never forked by a member */
	MISSED_UNTRACKED,  /* a descendant that the maps do not have */
	MISSED_UNKNOWN,
};

/* A stable word for programs, and a line for people; both static. */
const char *cause_name(enum cause cause);
const char *cause_text(enum cause cause);
const char *missed_name(enum missed missed);
const char *missed_text(enum missed missed);

#endif /* MEMTREE_REASON_H */
