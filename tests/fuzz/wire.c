// SPDX-License-Identifier: GPL-2.0-only
/*
 * A line of anybody, as the socket hands it to wire.c, and its options, as control.c hands them
 * to limit.c. What is understood must be understood again after it was written.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "limit.h"
#include "wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void require(int holds)
{
	if (!holds)
		abort();
}

/* Whatever stands in it: one line, and JSON. */
static void refusal_check(const struct refusal *why)
{
	char *line = wire_text(wire_error(why));
	json_t *object;

	require(line && why->status && why->text[0]);
	require(strchr(line, '\n') == line + strlen(line) - 1);
	object = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
	require(json_is_object(object));
	json_decref(object);
	free(line);
}

static void again_check(const struct wire_request *request)
{
	char *line = wire_line(request);
	struct wire_request again;
	struct refusal why;

	require(line && strchr(line, '\n') == line + strlen(line) - 1);
	/* Escapes may make it longer than a line may be. */
	if (strlen(line) <= WIRE_REQUEST_MAX) {
		require(wire_parse(line, strlen(line), &again, &why));
		require(!memcmp(request, &again, sizeof(again)));
	}
	free(line);
}

static void options_check(const struct wire_request *request)
{
	struct choices options = {}, before, whole = choice_default, stood = whole;
	struct refusal why;

	for (unsigned int i = 0; i < request->option_count; i++) {
		before = options;
		if (limit_parse(request->options[i].name, request->options[i].value, &options,
				&why))
			continue;
		require(!memcmp(&before, &options, sizeof(options)));
		refusal_check(&why);
	}
	if (limit_apply(&options, &whole, &why))
		return;
	require(!memcmp(&whole, &stood, sizeof(whole)));
	refusal_check(&why);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static struct wire_request request, untouched;
	struct refusal why;

	memset(&request, 0, sizeof(request));
	if (!wire_parse((const char *)bytes, size, &request, &why)) {
		require(!memcmp(&request, &untouched, sizeof(request)));
		refusal_check(&why);
		return 0;
	}
	again_check(&request);
	options_check(&request);
	return 0;
}
