// SPDX-License-Identifier: GPL-2.0-only
#include "journal.h"

#include <stdlib.h>
#include <string.h>

/* Any JSON reader has it exactly (2^53), and there is more than a journal ever needs above it. */
#define SEQ_MAX (1LL << 52)

struct entry {
	char *line, *name, *id;
	size_t length;
};

/* A ring: `first` is the oldest. */
struct journal {
	struct entry *entries;
	size_t entries_max, first, count;
	size_t bytes, bytes_max;
	uint64_t added, dropped;
};

struct journal *journal_new(size_t entries_max, size_t bytes_max)
{
	struct journal *journal = calloc(1, sizeof(*journal));

	if (!journal)
		return NULL;
	journal->entries = calloc(entries_max, sizeof(*journal->entries));
	journal->entries_max = entries_max;
	journal->bytes_max = bytes_max;
	if (!journal->entries) {
		free(journal);
		return NULL;
	}
	return journal;
}

static void entry_free(struct entry *entry)
{
	free(entry->line);
	free(entry->name);
	free(entry->id);
	memset(entry, 0, sizeof(*entry));
}

static void oldest_forget(struct journal *journal)
{
	struct entry *entry = &journal->entries[journal->first];

	journal->bytes -= entry->length;
	entry_free(entry);
	journal->first = (journal->first + 1) % journal->entries_max;
	journal->count--;
	journal->dropped++;
}

void journal_free(struct journal *journal)
{
	if (!journal)
		return;
	while (journal->count)
		oldest_forget(journal);
	free(journal->entries);
	free(journal);
}

static char *text_copy(const json_t *occurrence, const char *key)
{
	const char *text = json_string_value(json_object_get(occurrence, key));

	return strdup(text ? text : "");
}

/* Its newline takes the place of the NUL. */
static bool entry_fill(struct entry *entry, const json_t *occurrence)
{
	size_t length = json_dumpb(occurrence, NULL, 0, JSON_COMPACT);

	if (!length)
		return false;
	entry->line = malloc(length + 2);
	if (!entry->line)
		return false;
	json_dumpb(occurrence, entry->line, length, JSON_COMPACT);
	strcpy(entry->line + length, "\n");
	entry->length = length + 1;
	entry->name = text_copy(occurrence, "name");
	entry->id = text_copy(occurrence, "id");
	return entry->name && entry->id;
}

static void entry_keep(struct journal *journal, const struct entry *entry)
{
	while (journal->count == journal->entries_max ||
	       journal->bytes + entry->length > journal->bytes_max)
		oldest_forget(journal);
	journal->entries[(journal->first + journal->count++) % journal->entries_max] = *entry;
	journal->bytes += entry->length;
}

const char *journal_add(struct journal *journal, json_t *occurrence)
{
	struct entry entry = {};
	bool filled;

	journal->added++;
	filled = occurrence &&
		 !json_object_set_new(occurrence, "seq",
				      json_integer((json_int_t)journal->added)) &&
		 entry_fill(&entry, occurrence);
	json_decref(occurrence);
	if (!filled || entry.length > journal->bytes_max) {
		entry_free(&entry);
		journal->dropped++;
		return NULL;
	}
	entry_keep(journal, &entry);
	return entry.line;
}

bool journal_restore(struct journal *journal, const char *line, size_t length)
{
	json_t *occurrence = json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL);
	json_int_t seq = json_integer_value(json_object_get(occurrence, "seq"));
	struct entry entry = {};
	bool filled = seq > 0 && seq <= SEQ_MAX && entry_fill(&entry, occurrence);

	json_decref(occurrence);
	if (!filled || entry.length > journal->bytes_max) {
		entry_free(&entry);
		return false;
	}
	entry_keep(journal, &entry);
	if ((uint64_t)seq > journal->added)
		journal->added = (uint64_t)seq;
	return true;
}

size_t journal_count(const struct journal *journal)
{
	return journal->count;
}

uint64_t journal_dropped(const struct journal *journal)
{
	return journal->dropped;
}

static const struct entry *entry_get(const struct journal *journal, size_t entry)
{
	return &journal->entries[(journal->first + entry) % journal->entries_max];
}

const char *journal_line(const struct journal *journal, size_t entry)
{
	return entry_get(journal, entry)->line;
}

bool journal_is_about(const struct journal *journal, size_t entry, const char *tree)
{
	const struct entry *found = entry_get(journal, entry);

	return tree[0] == '#' ? !strcmp(found->id, tree + 1) : !strcmp(found->name, tree);
}
