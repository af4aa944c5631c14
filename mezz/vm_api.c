// SPDX-License-Identifier: MIT
// mezz vm, by mezzd.
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"
#include "config/definition.h"
#include "mezz/api.h"
#include "mezz/vm.h"

#define ASK_MS 100 // between two looks at a task

static char *path_of(const char *name, const char *verb)
{
	size_t plain = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");

	if (*name && !name[plain])
		return print_text("/v1/vms/%s%s", name, verb);
	complain("no VM '%s': expected a name of a-z, 0-9 and -", name);
	return NULL;
}

static struct json_object *take(struct api_reply *r, const char *key)
{
	struct json_object *o = key ? json_object_object_get(r->json, key) : r->json;

	o = json_object_get(o);
	api_free(r);
	return o;
}

struct json_object *vm_api_list(void)
{
	struct api_reply r = {0};

	if (api_ask("GET", "/v1/vms", NULL, 0, &r))
		return take(&r, "vms");
	api_free(&r);
	return NULL;
}

struct json_object *vm_api_info(const char *name)
{
	struct api_reply r = {0};
	char *path = path_of(name, "");
	struct json_object *o = NULL;

	if (path && api_ask("GET", path, NULL, 0, &r))
		o = take(&r, NULL);
	api_free(&r);
	free(path);
	return o;
}

// A request without a body; the reply stays in *r.
static bool ask(const char *method, const char *name, const char *verb, struct api_reply *r)
{
	char *path = path_of(name, verb);
	bool ok = path && api_ask(method, path, NULL, 0, r);

	free(path);
	return ok;
}

static const char *text_of(const struct api_reply *r, const char *key)
{
	const char *text = json_object_get_string(json_object_object_get(r->json, key));

	return text ? text : "";
}

// Until the task of the reply has ended.
static int wait_for_task(struct api_reply *r)
{
	char *path = print_text("/v1/tasks/%lld",
		(long long)json_object_get_int64(json_object_object_get(r->json, "id")));
	int status = STATUS_OK;
	const char *error;

	while (status == STATUS_OK && strcmp(text_of(r, "state"), "running") == 0) {
		poll(NULL, 0, ASK_MS);
		if (!api_ask("GET", path, NULL, 0, r))
			status = STATUS_FAILED;
	}
	free(path);
	if (status != STATUS_OK || strcmp(text_of(r, "state"), "done") == 0)
		return status;
	error = text_of(r, "error");
	complain("%s%s", error,
		strstr(error, " still runs after ") ? "; --force stops it at once" : "");
	return STATUS_FAILED;
}

static int order(const char *name, const char *verb)
{
	struct api_reply r = {0};
	int status = ask("POST", name, verb, &r) ? wait_for_task(&r) : STATUS_FAILED;

	api_free(&r);
	return status;
}

int vm_api_start(const struct vm_options *o, const char *name)
{
	(void)o;
	return order(name, "/start");
}

int vm_api_stop(const struct vm_options *o, const char *name)
{
	char verb[48];

	snprintf(verb, sizeof(verb), "/shutdown?timeout=%ld", o->seconds);
	return order(name, o->force ? "/stop" : verb);
}

int vm_api_restart(const struct vm_options *o, const char *name)
{
	char verb[48];

	snprintf(verb, sizeof(verb), "/restart?force=%s&timeout=%ld", o->force ? "true" : "false",
		o->seconds);
	return order(name, verb);
}

static int order_now(const char *method, const char *name, const char *verb)
{
	struct api_reply r = {0};
	bool ok = ask(method, name, verb, &r);

	api_free(&r);
	return ok ? STATUS_OK : STATUS_FAILED;
}

int vm_api_pause(const struct vm_options *o, const char *name)
{
	(void)o;
	return order_now("POST", name, "/pause");
}

int vm_api_resume(const struct vm_options *o, const char *name)
{
	(void)o;
	return order_now("POST", name, "/resume");
}

int vm_api_delete(const struct vm_options *o, const char *name)
{
	(void)o;
	return order_now("DELETE", name, "");
}

int vm_api_create(const struct vm_options *o, const char *file)
{
	char error[CONFIG_ERROR_MAX];
	struct json_object *all = definition_load(file, error);
	struct api_reply r = {0};
	int status = STATUS_OK;

	(void)o;
	if (all && !json_object_array_length(all)) {
		snprintf(error, sizeof(error), "%.900s: no 'vms', expected a list of VMs", file);
		json_object_put(all);
		all = NULL;
	}
	if (!all) {
		fprintf(stderr, "%s\n", error);
		return STATUS_USAGE;
	}
	for (size_t i = 0; i < json_object_array_length(all) && status == STATUS_OK; i++) {
		const char *text = json_object_to_json_string_ext(
			json_object_array_get_idx(all, i), JSON_C_TO_STRING_PLAIN);

		if (!api_ask("POST", "/v1/vms", text, strlen(text), &r))
			status = STATUS_FAILED;
	}
	api_free(&r);
	json_object_put(all);
	return status;
}
