// SPDX-License-Identifier: GPL-2.0-only
#include "look.h"

static int take(const struct tracker *tracker, bool cgroups, struct look *ret_look)
{
	struct look look;
	int err = snapshot_read(tracker, &look.snapshot);

	if (err)
		return err;
	if (cgroups)
		err = snapshot_read_cgroups(tracker, &look.snapshot);
	if (!err)
		err = model_build(&look.snapshot, &look.model);
	if (err) {
		snapshot_free(&look.snapshot);
		return err;
	}
	*ret_look = look;
	return 0;
}

int look_take(const struct tracker *tracker, struct look *ret_look)
{
	return take(tracker, false, ret_look);
}

int look_take_cgroups(const struct tracker *tracker, struct look *ret_look)
{
	return take(tracker, true, ret_look);
}

void look_free(struct look *look)
{
	model_free(&look->model);
	snapshot_free(&look->snapshot);
}
