// SPDX-License-Identifier: MIT
// Fuzz: a VM's definition as the API gets it. What is taken has a name and one VM, and stays the same when it is written and read again.
// link: config/definition.c config/config.c config/config_boot.c config/config_net.c config/config_disks.c config/document.c common/words.c common/util.c -lyaml -ljson-c
// fuzz: -max_len=2048
#include <stdlib.h>
#include <string.h>

#include "config/definition.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(int condition)
{
	if (!condition)
		abort();
}

static void check_message(const char *error)
{
	expect(*error && strlen(error) < CONFIG_ERROR_MAX);
}

static void check_again(struct json_object *o)
{
	size_t length;
	const char *text = json_object_to_json_string_length(
		o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE, &length);
	char error[CONFIG_ERROR_MAX];
	struct json_object *same = definition_parse(text, length, error);

	expect(same && json_object_equal(o, same));
	json_object_put(same);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct config config;
	char error[CONFIG_ERROR_MAX] = "";
	struct json_object *o = definition_parse((const char *)data, size, error);

	if (!o) {
		check_message(error);
		return 0;
	}
	check_again(o);
	if (definition_check(o, &config, error)) {
		expect(config.vm_count == 1 && definition_name(o));
		expect(strcmp(config.vms[0].name, definition_name(o)) == 0);
		config_free(&config);
	} else {
		check_message(error);
	}
	json_object_put(o);
	return 0;
}
