// SPDX-License-Identifier: GPL-2.0-only
#include "shape.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

struct reader {
	yaml_parser_t parser;
	yaml_event_t event; /* the last one; none: all zero */
	const char *text;
	size_t length;
	struct shape *shape;
	char *why;
	unsigned int line; /* of what is wrong */
};

__attribute__((format(printf, 3, 4))) static int refuse(struct reader *reader, size_t mark_line,
							const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(reader->why, SHAPE_WHY, format, args);
	va_end(args);
	reader->line = (unsigned int)mark_line + 1;
	return -EINVAL;
}

/* What libyaml has against it. A byte that it cannot decode has an offset, but no line. */
static int parser_refuse(struct reader *reader)
{
	const yaml_parser_t *parser = &reader->parser;
	size_t line = parser->problem_mark.line;

	if (parser->error == YAML_MEMORY_ERROR) {
		refuse(reader, line, "out of memory");
		return -ENOMEM;
	}
	if (parser->error == YAML_READER_ERROR) {
		line = 0;
		for (size_t i = 0; i < parser->problem_offset && i < reader->length; i++)
			line += reader->text[i] == '\n';
	}
	return refuse(reader, line, "this is no YAML: %s%s%s", parser->problem,
		      parser->context ? ", " : "", parser->context ? parser->context : "");
}

static int event_next(struct reader *reader)
{
	yaml_event_delete(&reader->event);
	memset(&reader->event, 0, sizeof(reader->event));
	return yaml_parser_parse(&reader->parser, &reader->event) ? 0 : parser_refuse(reader);
}

static size_t event_line(const struct reader *reader)
{
	return reader->event.start_mark.line;
}

/* Nothing of what makes one YAML file mean other things than it says. */
static int event_check_plain(struct reader *reader)
{
	const yaml_event_t *event = &reader->event;
	const yaml_char_t *anchor = NULL, *tag = NULL;

	if (event->type == YAML_SCALAR_EVENT) {
		anchor = event->data.scalar.anchor;
		tag = event->data.scalar.tag;
	} else if (event->type == YAML_MAPPING_START_EVENT) {
		anchor = event->data.mapping_start.anchor;
		tag = event->data.mapping_start.tag;
	}
	if (event->type == YAML_ALIAS_EVENT || anchor)
		return refuse(reader, event_line(reader), "anchors and aliases are not taken");
	if (tag)
		return refuse(reader, event_line(reader), "tags are not taken");
	return 0;
}

/* The scalar as a string, which ends at the first NUL. */
static const char *scalar_text(const struct reader *reader)
{
	return (const char *)reader->event.data.scalar.value;
}

static bool scalar_is_empty(const struct reader *reader)
{
	return reader->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE && !*scalar_text(reader);
}

/* YAML's words for nothing, which libcyaml would hand on as text: a hook called "null". */
static bool scalar_is_nothing(const struct reader *reader)
{
	static const char *const nothings[] = {"", "~", "null", "Null", "NULL"};

	for (size_t i = 0; i < sizeof(nothings) / sizeof(nothings[0]); i++)
		if (reader->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
		    !strcmp(scalar_text(reader), nothings[i]))
			return true;
	return false;
}

static int key_note(struct reader *reader, const cyaml_schema_field_t *field)
{
	struct shape *shape = reader->shape;
	unsigned int before = shape_line(shape, field);

	if (before)
		return refuse(reader, event_line(reader), "%s is said twice, in line %u before",
			      field->key, before);
	if (shape->count == SHAPE_KEYS_MAX)
		return refuse(reader, event_line(reader), "more keys than a schema may have");
	shape->keys[shape->count].field = field;
	shape->keys[shape->count++].line = (unsigned int)event_line(reader) + 1;
	return 0;
}

/* The field that the scalar just read names. */
static int key_read(struct reader *reader, const cyaml_schema_field_t *fields,
		    const cyaml_schema_field_t **ret_field)
{
	int err = event_check_plain(reader);

	if (err)
		return err;
	if (reader->event.type != YAML_SCALAR_EVENT)
		return refuse(reader, event_line(reader), "a key is a word");
	for (*ret_field = fields; (*ret_field)->key; (*ret_field)++)
		if (strlen((*ret_field)->key) == reader->event.data.scalar.length &&
		    !strcmp((*ret_field)->key, scalar_text(reader)))
			return key_note(reader, *ret_field);
	return refuse(reader, event_line(reader),
		      "there is no key '%.60s' here: see memtree.conf(5)", scalar_text(reader));
}

static int string_check(struct reader *reader, const cyaml_schema_field_t *field)
{
	if (reader->event.type != YAML_SCALAR_EVENT)
		return refuse(reader, event_line(reader), "%s takes one value", field->key);
	if (scalar_is_nothing(reader))
		return refuse(reader, event_line(reader),
			      "%s has no value: leave the key away, or quote what is meant",
			      field->key);
	if (strlen(scalar_text(reader)) != reader->event.data.scalar.length)
		return refuse(reader, event_line(reader), "%s has a NUL in its value", field->key);
	return 0;
}

static int mapping_check(struct reader *reader, const cyaml_schema_field_t *fields);

static int value_check(struct reader *reader, const cyaml_schema_field_t *field)
{
	int err = event_next(reader);

	if (!err)
		err = event_check_plain(reader);
	if (err)
		return err;
	if (field->value.type != CYAML_MAPPING)
		return string_check(reader, field);
	if (reader->event.type == YAML_SCALAR_EVENT && scalar_is_empty(reader))
		return 0;
	if (reader->event.type != YAML_MAPPING_START_EVENT)
		return refuse(reader, event_line(reader), "%s takes keys and values", field->key);
	return mapping_check(reader, field->value.mapping.fields);
}

/* From behind its start to its end; as deep as the schema is, and no deeper. */
static int mapping_check(struct reader *reader, const cyaml_schema_field_t *fields)
{
	const cyaml_schema_field_t *field = NULL;
	int err = event_next(reader);

	while (!err && reader->event.type != YAML_MAPPING_END_EVENT) {
		err = key_read(reader, fields, &field);
		if (!err)
			err = value_check(reader, field);
		if (!err)
			err = event_next(reader);
	}
	return err;
}

/* The events of one document at most; `event` is the first after the stream's start. */
static int document_check(struct reader *reader, const cyaml_schema_value_t *schema)
{
	int err;

	if (reader->event.type == YAML_STREAM_END_EVENT)
		return 0;
	err = event_next(reader);
	if (!err)
		err = event_check_plain(reader);
	if (!err && reader->event.type == YAML_MAPPING_START_EVENT)
		err = mapping_check(reader, schema->mapping.fields);
	else if (!err && !(reader->event.type == YAML_SCALAR_EVENT && scalar_is_empty(reader)))
		err = refuse(reader, event_line(reader), "keys and values are expected");
	if (!err)
		err = event_next(reader); /* the document's end */
	if (!err)
		err = event_next(reader);
	if (!err && reader->event.type != YAML_STREAM_END_EVENT)
		err = refuse(reader, event_line(reader), "a second document is not taken");
	return err;
}

int shape_read(const char *text, size_t length, const cyaml_schema_value_t *schema,
	       struct shape *ret_shape, char ret_why[SHAPE_WHY], unsigned int *ret_line)
{
	/* A mark that says UTF-8 is taken; libyaml would count it as a column, as it is told so. */
	size_t mark = length >= 3 && !memcmp(text, "\xef\xbb\xbf", 3) ? 3 : 0;
	struct shape shape = {};
	struct reader reader = {
		.text = text + mark, .length = length - mark, .shape = &shape, .why = ret_why};
	int err;

	if (!yaml_parser_initialize(&reader.parser)) {
		snprintf(ret_why, SHAPE_WHY, "out of memory");
		*ret_line = 1;
		return -ENOMEM;
	}
	/* Said, so that no byte order mark makes it UTF-16. */
	yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&reader.parser, (const unsigned char *)reader.text,
				     reader.length);
	err = event_next(&reader); /* the stream's start */
	if (!err)
		err = event_next(&reader);
	if (!err)
		err = document_check(&reader, schema);
	yaml_event_delete(&reader.event);
	yaml_parser_delete(&reader.parser);
	if (err)
		*ret_line = reader.line;
	else
		*ret_shape = shape;
	return err;
}

unsigned int shape_line(const struct shape *shape, const cyaml_schema_field_t *field)
{
	for (size_t i = 0; i < shape->count; i++)
		if (shape->keys[i].field == field)
			return shape->keys[i].line;
	return 0;
}
