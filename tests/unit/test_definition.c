// SPDX-License-Identifier: MIT
// Definitions as JSON: what is refused with which words, and what becomes of a configuration file.
// link: config/definition.c config/definition_load.c config/config.c config/config_boot.c config/config_net.c config/config_disks.c config/document.c common/words.c common/util.c -lyaml -ljson-c
#include "tests/unit/test.h"

#include <unistd.h>

#include "common/util.h"
#include "config/definition.h"

static char error[CONFIG_ERROR_MAX];
static struct config config;

#define START                                                                                      \
	"{\"name\": \"web\", \"memory\": \"64MiB\", \"vcpus\": 2, \"kernel\": \"/proc/self/cmdline\""

static bool refused(const char *text, const char *why)
{
	struct json_object *o = definition_parse(text, strlen(text), error);
	bool ok = o && definition_check(o, &config, error);

	json_object_put(o);
	if (ok)
		config_free(&config);
	if (!ok && strstr(error, why))
		return true;
	fprintf(stderr, "%s: %s\n", text, ok ? "taken" : error);
	return false;
}

TEST(a_good_one)
{
	const char *text =
		START ", \"cmdline\": \"a\\/b \\\"c\\\"\", \"order\": 5, \"autostart\": true,"
		      "\"switches\": [{\"name\": \"lan\", \"rate\": \"1MiB\"}],"
		      "\"nics\": [{\"switch\": \"lan\", \"vlan\": \"trunk\"}]} \n";
	struct json_object *o = definition_parse(text, strlen(text), error);

	CHECK(o && definition_check(o, &config, error));
	CHECK(strcmp(definition_name(o), "web") == 0);
	CHECK(config.vm_count == 1 && config.vms[0].vcpus == 2 && config.vms[0].memory == 64 << 20);
	CHECK(strcmp(config.vms[0].cmdline, "a/b \"c\"") == 0);
	CHECK(config.vms[0].autostart && config.vms[0].order == 5 && config.vms[0].nics[0].trunk);
	CHECK_EQ(config.switches[0].rate, 1 << 20);
	config_free(&config);
	json_object_put(o);
}

TEST(what_is_no_json)
{
	CHECK(refused("", "ends too early") && refused("{", "ends too early"));
	CHECK(refused("[]", "no object") && refused("\"x\"", "no object") &&
		refused("{}x", "JSON"));
	CHECK(refused("{\"a\": 'b'}", "JSON") && refused("{\"a\": \"\xff\"}", "JSON"));
	CHECK(refused(
		"{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":1}}}}}}}}", "nesting"));
}

TEST(types)
{
	CHECK(refused(START ", \"cap\": \"5\"}", "cap: expected a whole number"));
	CHECK(refused(START ", \"cap\": 5.0}", "cap: expected a whole number"));
	CHECK(refused(START ", \"cap\": null}", "cap: expected a whole number"));
	CHECK(refused(START ", \"initrd\": 5}", "initrd: expected a text"));
	CHECK(refused(START ", \"balloon\": 5}", "balloon: expected true, false or a text"));
	CHECK(refused(START ", \"affinity\": [0, \"1\"]}", "affinity: expected a whole number"));
	CHECK(refused(START ", \"autostart\": 1}", "autostart: expected true or false"));
}

TEST(what_a_configuration_forbids)
{
	CHECK(refused("{\"name\": \"web\"}", "this VM has no 'memory', expected a size"));
	CHECK(refused("{\"name\": \"a\\nb\"}", "control character"));
	CHECK(refused("{\"name\": \"a\\u0000\"}", "control character"));
	CHECK(refused(
		START ", \"initrd\": \"x\"}", "initrd: 'x', expected a path that begins with /"));
	CHECK(refused(START ", \"initrd\": \"/none\"}", "initrd: '/none': No such file"));
	CHECK(refused(START ", \"order\": -1}", "order: '-1', expected a number from 0"));
	CHECK(refused(START ", \"vms\": []}", "unknown key 'vms'"));
	CHECK(!strchr(error, '\n'));
}

TEST(names)
{
	static const char *const bad[] = {"{\"name\": \"\"}", "{\"name\": \"A\"}",
		"{\"name\": \"../x\"}", "{\"name\": \"x\\u0000\"}", "{\"x\": \"x\"}",
		"{\"name\": \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct json_object *o = definition_parse(bad[i], strlen(bad[i]), error);

		CHECK(o && !definition_name(o));
		json_object_put(o);
	}
}

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	if (!f || fputs(text, f) < 0 || fclose(f) != 0)
		abort();
}

TEST(a_file_of_several)
{
	char folder[] = "/tmp/test_definition.XXXXXX", path[64], kernel[64];
	struct json_object *all, *web;

	CHECK(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/vms.yaml", folder);
	snprintf(kernel, sizeof(kernel), "%s/kernel", folder);
	write_file(kernel, "kernel");
	write_file(path,
		"switches: [{name: lan}, {name: other}]\nvms:\n"
		"- {name: 12, memory: 64MiB, vcpus: 2, kernel: kernel, modules: [kernel a b], "
		"affinity: [0, 1], nics: [{switch: other, vlan: 5}]}\n"
		"- {name: db, memory: 64MiB, vcpus: 1, kernel: kernel, cmdline: 12, balloon: false}\n");
	all = definition_load(path, error);
	CHECK(all && json_object_array_length(all) == 2);
	web = json_object_array_get_idx(all, 0);
	CHECK(strcmp(definition_name(web), "12") == 0);
	CHECK(strcmp(json_object_get_string(json_object_object_get(web, "kernel")), kernel) == 0);
	CHECK_EQ(json_object_array_length(json_object_object_get(web, "switches")), 1);
	for (size_t i = 0; i < 2; i++) {
		const char *text = json_object_to_json_string(json_object_array_get_idx(all, i));
		struct json_object *o = definition_parse(text, strlen(text), error);

		CHECK(o && definition_check(o, &config, error));
		config_free(&config);
		json_object_put(o);
	}
	json_object_put(all);
	CHECK(!definition_load("/none.yaml", error) && strstr(error, "No such file"));
	unlink(path);
	unlink(kernel);
	rmdir(folder);
}

TEST_MAIN()
