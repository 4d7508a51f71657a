// SPDX-License-Identifier: GPL-2.0-only
#include "blast.h"

/* What was ended `most` trees ago stands where the next one will. */
static bool is_one_too_many(const struct blast *blast, uint64_t now_ns)
{
	uint64_t then_ns = blast->ended_ns[blast->next];

	return blast->most && then_ns && now_ns - then_ns < BLAST_MINUTE_NS;
}

static void note(struct blast *blast, uint64_t now_ns)
{
	if (!blast->most)
		return;
	blast->ended_ns[blast->next] = now_ns;
	blast->next = (blast->next + 1) % blast->most;
}

bool blast_permits(struct blast *blast, uint64_t now_ns)
{
	if (blast_is_disarmed(blast))
		return false;
	if (is_one_too_many(blast, now_ns)) {
		blast->disarmed_until_ns = now_ns + BLAST_MINUTE_NS;
		return false;
	}
	note(blast, now_ns);
	return true;
}

void blast_note(struct blast *blast, uint64_t now_ns)
{
	if (is_one_too_many(blast, now_ns))
		blast->disarmed_until_ns = now_ns + BLAST_MINUTE_NS;
	note(blast, now_ns);
}

bool blast_rearms(struct blast *blast, uint64_t now_ns)
{
	if (!blast_is_disarmed(blast) || now_ns < blast->disarmed_until_ns)
		return false;
	blast->disarmed_until_ns = 0;
	return true;
}
