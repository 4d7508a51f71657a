// SPDX-License-Identifier: GPL-2.0-only
#include "asking.h"

#include <stdio.h>
#include <string.h>

/* For a proportional set size, on a machine that has much else to do; then what is charged
 * decides. Growth that nobody can share does not wait for it. */
#define PSS_TIMEOUT_NS 5000000000ULL

/* An answer that misses newborn members is asked for again so often. */
#define PSS_TRIES 5

static void pss_fail(struct ward *ward, const char *why)
{
	ward->pss_state = POLICY_PSS_FAILED;
	snprintf(ward->report.pss_unknown, sizeof(ward->report.pss_unknown), "%s", why);
}

static void on_pss(void *context, const struct errand_end *end)
{
	struct ward *ward = context;
	char why[sizeof(ward->report.pss_unknown)];

	ward->asking = NULL;
	ward->pss = pss_of(end);
	ward->pss_state = POLICY_PSS_KNOWN;
	if (ward->pss.pid)
		snprintf(why, sizeof(why), "process %u: %s", ward->pss.pid,
			 strerror(-ward->pss.err));
	else
		snprintf(why, sizeof(why), "%s", strerror(-ward->pss.err));
	if (ward->pss.err)
		pss_fail(ward, why);
	ward_look(ward);
}

void asking_start(struct ward *ward, const struct look *look, const struct tree *tree)
{
	int err;

	ward->asked_forks = tree->forks;
	ward->asked_start = pss_youngest(&look->model);
	ward->report.pss_unknown[0] = '\0';
	err = pss_start(ward->warden->loop, ward->warden->tracker, &look->model, tree,
			PSS_TIMEOUT_NS, on_pss, ward, &ward->asking);
	if (err)
		pss_fail(ward, strerror(-err));
}

bool asking_again(struct ward *ward, const struct look *look, const struct tree *tree)
{
	bool torn = ward->pss_state == POLICY_PSS_KNOWN && ward->pss.torn &&
		    ward->pss.bytes > (int64_t)ward->policy.limit;

	if (!torn && (ward->pss_state != POLICY_PSS_KNOWN || tree->forks == ward->asked_forks ||
		      ward->pss.bytes + pss_newborn_bytes(&look->model, tree, ward->asked_start) <=
			      (int64_t)ward->policy.limit ||
		      ward->pss.bytes > (int64_t)ward->policy.limit)) {
		ward->asked = 0;
		return false;
	}
	if (++ward->asked >= PSS_TRIES) {
		ward->asked = 0;
		if (torn)
			return false;
		pss_fail(ward, "members are born faster than they can be read");
		return false;
	}
	ward->pss_state = POLICY_PSS_AWAITED;
	asking_start(ward, look, tree);
	return ward->asking != NULL;
}
