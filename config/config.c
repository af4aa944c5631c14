// SPDX-License-Identifier: MIT
// The configuration: its keys, their limits, and what they mean together.
#include "config/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <unistd.h>
#include <sys/stat.h>

#include "config/config_boot.h"
#include "config/config_disks.h"
#include "config/config_net.h"
#include "config/document.h"
#include "common/util.h"
#include "common/words.h"

static bool read_number(struct document *d, const char *key, const yaml_node_t *node, unsigned min,
	unsigned max, unsigned *out)
{
	const char *text;
	uint64_t value;

	if (!document_text(d, key, node, &text))
		return false;
	if (!parse_number(text, min, max, &value))
		return document_fail(d, node, "%s: '%.40s', expected a number from %u to %u", key,
			text, min, max);
	*out = (unsigned)value;
	return true;
}

bool config_read_path(struct document *d, const char *key, const yaml_node_t *node,
	const char *text, size_t length, char **out)
{
	const char *slash = d->path ? strrchr(d->path, '/') : NULL;
	int folder = text[0] != '/' && slash ? (int)(slash + 1 - d->path) : 0;
	struct stat st;
	char *path;
	int fd;

	if (!length)
		return document_fail(d, node, "%s: empty, expected a file name", key);
	if (!d->path && text[0] != '/')
		return document_fail(
			d, node, "%s: '%.400s', expected a path that begins with /", key, text);
	path = print_text("%.*s%.*s", folder, folder ? d->path : "", (int)length, text);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st) != 0)
		document_fail(
			d, node, "%s: '%.400s': %s, expected a file", key, path, strerror(errno));
	else if (!S_ISREG(st.st_mode))
		document_fail(
			d, node, "%s: '%.400s' is not a regular file, expected one", key, path);
	else if (st.st_size > UINT32_MAX)
		document_fail(
			d, node, "%s: '%.400s' is too long, expected less than 4 GiB", key, path);
	else
		*out = path;
	if (fd >= 0)
		close(fd);
	if (*out != path)
		free(path);
	return *out == path;
}

static bool read_name(struct document *d, void *out, const yaml_node_t *node)
{
	struct config_vm *vm = out;
	const char *text;
	size_t length;

	if (!document_text(d, "name", node, &text))
		return false;
	length = strlen(text);
	if (!length || length > BUNDLE_NAME_MAX ||
		length != strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-"))
		return document_fail(d, node, "name: '%.60s', expected 1 to %d of a-z, 0-9 and -",
			text, BUNDLE_NAME_MAX);
	if (strcmp(text, "mezzanine") == 0 || strcmp(text, "events") == 0)
		return document_fail(
			d, node, "name: '%s' is a log file of `mezz run`, expected another", text);
	if (strcmp(text, CONFIG_ROOT) == 0)
		return document_fail(
			d, node, "name: '%s' is the root VM's ('root:'), expected another", text);
	memcpy(vm->name, text, length + 1);
	return true;
}

static bool read_memory(struct document *d, void *out, const yaml_node_t *node)
{
	struct config_vm *vm = out;
	const char *text;
	uint64_t size;

	if (!document_text(d, "memory", node, &text))
		return false;
	if (!parse_size(text, &size))
		return document_fail(d, node,
			"memory: '%.40s', expected a number with KiB, MiB, GiB or TiB", text);
	if (size < CONFIG_MEMORY_MIN || size > CONFIG_MEMORY_MAX || size % CONFIG_MEMORY_MIN)
		return document_fail(d, node,
			"memory: '%.40s', expected a multiple of 1MiB from 1MiB to 1TiB", text);
	vm->memory = size;
	return true;
}

static bool read_vcpus(struct document *d, void *out, const yaml_node_t *node)
{
	struct config_vm *vm = out;

	return read_number(d, "vcpus", node, 1, BUNDLE_MAX_VCPUS, &vm->vcpus);
}

static bool read_kernel(struct document *d, void *out, const yaml_node_t *node)
{
	struct config_vm *vm = out;
	const char *text;

	return document_text(d, "kernel", node, &text) &&
	       config_read_path(d, "kernel", node, text, strlen(text), &vm->kernel);
}

static bool read_initrd(struct document *d, void *out, const yaml_node_t *node)
{
	struct config_vm *vm = out;
	const char *text;

	return document_text(d, "initrd", node, &text) &&
	       config_read_path(d, "initrd", node, text, strlen(text), &vm->initrd);
}

static bool read_line(
	struct document *d, const char *key, const yaml_node_t *node, const char *text, char **out)
{
	if (strlen(text) > BUNDLE_CMDLINE_MAX)
		return document_fail(d, node, "%s: %zu characters, expected at most %d", key,
			strlen(text), BUNDLE_CMDLINE_MAX);
	free(*out);
	*out = copy_text(text, strlen(text));
	return true;
}

static bool read_cmdline(struct document *d, void *out, const yaml_node_t *node)
{
	struct config_vm *vm = out;
	const char *text;

	return document_text(d, "cmdline", node, &text) &&
	       read_line(d, "cmdline", node, text, &vm->cmdline);
}

// "file" or "file arguments"
static bool read_module(struct document *d, struct config_vm *vm, const yaml_node_t *node)
{
	struct config_module *module;
	const char *text;
	size_t length;

	if (!document_text(d, "modules", node, &text))
		return false;
	if (vm->module_count == BUNDLE_MAX_MODULES)
		return document_fail(
			d, node, "modules: one more, expected at most %d", BUNDLE_MAX_MODULES);
	module = &vm->modules[vm->module_count++];
	length = strcspn(text, " ");
	return config_read_path(d, "modules", node, text, length, &module->path) &&
	       read_line(d, "modules", node, text + length + (text[length] == ' '), &module->args);
}

static bool read_modules(struct document *d, void *out, const yaml_node_t *node)
{
	struct config_vm *vm = out;

	if (node->type != YAML_SEQUENCE_NODE)
		return document_fail(d, node, "modules: not a list, expected [file, ...]");
	for (yaml_node_item_t *i = node->data.sequence.items.start;
		i < node->data.sequence.items.top; i++)
		if (!read_module(d, vm, document_node(d, *i)))
			return false;
	return true;
}

static bool read_weight(struct document *d, void *out, const yaml_node_t *node)
{
	struct config_vm *vm = out;

	return read_number(d, "weight", node, 1, CONFIG_WEIGHT_MAX, &vm->weight);
}

static bool read_cap(struct document *d, void *out, const yaml_node_t *node)
{
	struct config_vm *vm = out;

	return read_number(d, "cap", node, 1, CONFIG_CAP_MAX, &vm->cap);
}

static bool read_affinity(struct document *d, void *out, const yaml_node_t *node)
{
	struct config_vm *vm = out;
	unsigned cpu = 0;

	if (node->type != YAML_SEQUENCE_NODE)
		return document_fail(
			d, node, "affinity: not a list, expected CPU numbers as in [0, 1]");
	for (yaml_node_item_t *i = node->data.sequence.items.start;
		i < node->data.sequence.items.top; i++) {
		const yaml_node_t *item = document_node(d, *i);

		if (!read_number(d, "affinity", item, 0, CONFIG_CPUS_MAX - 1, &cpu))
			return false;
		if (vm->affinity & 1ull << cpu)
			return document_fail(
				d, item, "affinity: CPU %u twice, expected it once", cpu);
		vm->affinity |= 1ull << cpu;
	}
	if (!vm->affinity)
		return document_fail(d, node, "affinity: an empty list, expected at least one CPU");
	return true;
}

static bool read_repeat(struct document *d, void *out, const yaml_node_t *node)
{
	struct config_vm *vm = out;

	return read_number(d, "repeat", node, 0, CONFIG_REPEAT_MAX, &vm->repeat);
}

static bool read_bool(struct document *d, const char *key, const yaml_node_t *node, bool *out)
{
	const char *text;

	if (!document_text(d, key, node, &text))
		return false;
	if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
		return document_fail(d, node, "%s: '%.40s', expected true or false", key, text);
	*out = text[0] == 't';
	return true;
}

static bool read_debug_exit(struct document *d, void *out, const yaml_node_t *node)
{
	return read_bool(d, "debug_exit", node, &((struct config_vm *)out)->debug_exit);
}

static bool read_autostart(struct document *d, void *out, const yaml_node_t *node)
{
	return read_bool(d, "autostart", node, &((struct config_vm *)out)->autostart);
}

static bool read_order(struct document *d, void *out, const yaml_node_t *node)
{
	return read_number(
		d, "order", node, 0, CONFIG_ORDER_MAX, &((struct config_vm *)out)->order);
}

static bool read_balloon(struct document *d, void *out, const yaml_node_t *node)
{
	struct config_vm *vm = out;
	const char *text;

	if (!document_text(d, "balloon", node, &text))
		return false;
	vm->no_balloon = strcmp(text, "false") == 0;
	if (vm->no_balloon || strcmp(text, "true") == 0)
		return true;
	if (!parse_size(text, &vm->balloon) || vm->balloon % CONFIG_MEMORY_MIN)
		return document_fail(d, node,
			"balloon: '%.40s', expected true, false or a multiple of 1MiB", text);
	return true;
}

enum vm_key {
	KEY_NAME,
	KEY_MEMORY,
	KEY_VCPUS,
	KEY_KERNEL,
	KEY_INITRD,
	KEY_MODULES,
	KEY_CMDLINE,
	KEY_WEIGHT,
	KEY_CAP,
	KEY_AFFINITY,
	KEY_DISKS,
	KEY_FIRMWARE,
	KEY_FIRMWARE_VARS,
	KEY_CLOUD_INIT,
	KEY_REPEAT,
	KEY_DEBUG_EXIT,
	KEY_NICS,
	KEY_BALLOON,
	KEY_AUTOSTART,
	KEY_ORDER,
	KEY_COUNT
};

static const struct document_key vm_keys[KEY_COUNT + 1] = {
	[KEY_NAME] = {"name", read_name},
	[KEY_MEMORY] = {"memory", read_memory},
	[KEY_VCPUS] = {"vcpus", read_vcpus},
	[KEY_KERNEL] = {"kernel", read_kernel},
	[KEY_INITRD] = {"initrd", read_initrd},
	[KEY_MODULES] = {"modules", read_modules},
	[KEY_CMDLINE] = {"cmdline", read_cmdline},
	[KEY_WEIGHT] = {"weight", read_weight},
	[KEY_CAP] = {"cap", read_cap},
	[KEY_AFFINITY] = {"affinity", read_affinity},
	[KEY_DISKS] = {"disks", config_read_disks},
	[KEY_FIRMWARE] = {"firmware", config_read_firmware},
	[KEY_FIRMWARE_VARS] = {"firmware_vars", config_read_firmware_vars},
	[KEY_CLOUD_INIT] = {"cloud_init", config_read_cloud_init},
	[KEY_REPEAT] = {"repeat", read_repeat},
	[KEY_DEBUG_EXIT] = {"debug_exit", read_debug_exit},
	[KEY_NICS] = {"nics", config_read_nics},
	[KEY_BALLOON] = {"balloon", read_balloon},
	[KEY_AUTOSTART] = {"autostart", read_autostart},
	[KEY_ORDER] = {"order", read_order},
};

// Keys that each VM has, and what is expected of them.
static const struct {
	enum vm_key key;
	const char *expected;
} required[] = {{KEY_NAME, "a name"}, {KEY_MEMORY, "a size"}, {KEY_VCPUS, "a number"}};

static off_t file_size(const char *path)
{
	struct stat st;

	return path && stat(path, &st) == 0 ? st.st_size : 0;
}

// What no key can tell alone. at[i] is the value's node of vm_keys[i], NULL where it is missing.
static bool check_vm(struct document *d, const struct config *config, struct config_vm *vm,
	const yaml_node_t *node, const yaml_node_t *const *at)
{
	off_t files = file_size(vm->kernel) + file_size(vm->initrd);

	for (size_t i = 0; i < sizeof(required) / sizeof(required[0]); i++)
		if (!at[required[i].key])
			return document_fail(d, node, "this VM has no '%s', expected %s",
				vm_keys[required[i].key].name, required[i].expected);
	for (unsigned i = 0; i < config->vm_count; i++)
		if (strcmp(config->vms[i].name, vm->name) == 0)
			return document_fail(d, at[KEY_NAME],
				"name: a second '%s', expected a name of its own", vm->name);
	if (vm->initrd && vm->module_count)
		return document_fail(
			d, at[KEY_MODULES], "modules: with an initrd, expected one or the other");
	for (unsigned i = 0; i < vm->module_count; i++)
		files += file_size(vm->modules[i].path);
	if ((uint64_t)files >= vm->memory)
		return document_fail(d, at[KEY_MEMORY],
			"memory: %llu MiB, expected more than the %llu MiB of the files to load",
			(unsigned long long)vm->memory >> 20, (unsigned long long)files >> 20);
	if (vm->balloon >= vm->memory)
		return document_fail(d, at[KEY_BALLOON],
			"balloon: %llu MiB, expected less than the memory",
			(unsigned long long)vm->balloon >> 20);
	return config_check_boot(d, vm, node) && config_check_firmware_vars(d, config, vm, node) &&
	       (!at[KEY_DISKS] || config_check_disks(d, config, vm, at[KEY_DISKS]));
}

static bool read_vm(
	struct document *d, struct config *config, struct config_vm *vm, const yaml_node_t *node)
{
	const yaml_node_t *at[KEY_COUNT] = {0};

	vm->weight = BUNDLE_WEIGHT_DEFAULT;
	vm->cmdline = copy_text("", 0);
	return document_mapping(
		       d, node, "not a mapping, expected a VM with its keys", vm_keys, vm, at) &&
	       check_vm(d, config, vm, node, at);
}

static void free_vm(struct config_vm *vm)
{
	free(vm->kernel);
	free(vm->initrd);
	free(vm->cmdline);
	for (unsigned i = 0; i < vm->module_count; i++) {
		free(vm->modules[i].path);
		free(vm->modules[i].args);
	}
	config_free_disks(vm);
	config_free_boot(vm);
	*vm = (struct config_vm){0};
}

static bool read_vms(struct document *d, struct config *config, const yaml_node_t *node)
{
	if (node->type != YAML_SEQUENCE_NODE)
		return document_fail(d, node, "vms: not a list, expected a list of VMs");
	for (yaml_node_item_t *i = node->data.sequence.items.start;
		i < node->data.sequence.items.top; i++) {
		const yaml_node_t *item = document_node(d, *i);
		struct config_vm *vm = &config->vms[config->vm_count];

		if (config->vm_count == BUNDLE_MAX_VMS)
			return document_fail(
				d, item, "one more VM, expected at most %d", BUNDLE_MAX_VMS);
		if (!read_vm(d, config, vm, item)) {
			free_vm(vm);
			return false;
		}
		config->vm_count++;
	}
	if (!config->vm_count)
		return document_fail(d, node, "vms: an empty list, expected at least one VM");
	return true;
}

static const struct document_key root_vm_keys[] = {{"memory", read_memory}, {"kernel", read_kernel},
	{"initrd", read_initrd}, {"cmdline", read_cmdline}, {0}};

// The VM that owns the machine's devices; it has as many vcpus as the machine has CPUs.
static bool read_root_vm(struct document *d, struct config *config, const yaml_node_t *node)
{
	enum { MEMORY, KERNEL };
	struct config_vm *vm = &config->vms[0];
	const yaml_node_t *at[4] = {0};

	vm->is_root = true;
	strcpy(vm->name, CONFIG_ROOT);
	vm->weight = CONFIG_ROOT_WEIGHT;
	vm->cmdline = copy_text("", 0);
	config->vm_count = 1; // to be freed
	if (!document_mapping(d, node,
		    "root: not a mapping, expected memory, kernel, initrd, cmdline", root_vm_keys,
		    vm, at))
		return false;
	if (!at[MEMORY] || !at[KERNEL])
		return document_fail(d, node, "root: expected a memory and a kernel");
	return true;
}

static bool read_document(struct document *d, struct config *config)
{
	enum { VMS, SWITCHES, ROOT };
	static const struct document_key keys[] = {
		{"vms", NULL}, {"switches", NULL}, {"root", NULL}, {0}};
	const yaml_node_t *top = yaml_document_get_root_node(&d->yaml), *at[3] = {0};

	if (!top)
		return document_fail(d, NULL, "empty, expected 'vms:' and a list of VMs");
	if (!document_mapping(
		    d, top, "not a mapping, expected 'vms:' and a list of VMs", keys, NULL, at))
		return false;
	if (!at[VMS] && !at[ROOT])
		return document_fail(d, top, "empty, expected 'vms:' and a list of VMs");
	if (at[ROOT] && !read_root_vm(d, config, at[ROOT]))
		return false;
	if (at[SWITCHES] && !config_read_switches(d, config, at[SWITCHES]))
		return false;
	return (!at[VMS] || read_vms(d, config, at[VMS])) && config_check_nics(d, config);
}

static bool read_all(struct document *d, struct config *out)
{
	bool ok = read_document(d, out);

	document_free(d);
	if (!ok)
		config_free(out);
	return ok;
}

bool config_load(const char *path, struct config *out, char *error)
{
	struct document d;

	*out = (struct config){0};
	return document_load(&d, path, error) && read_all(&d, out);
}

bool config_parse(const char *text, size_t size, struct config *out, char *error)
{
	struct document d;

	*out = (struct config){0};
	return document_parse(&d, NULL, text, size, error) && read_all(&d, out);
}

void config_free(struct config *config)
{
	for (unsigned i = 0; i < config->vm_count; i++)
		free_vm(&config->vms[i]);
	config->vm_count = 0;
}
