// SPDX-License-Identifier: MIT
// Reads the boot bundle: a cpio archive (newc) whose first member is the configuration.
#include "kernel/core/bundle.h"
#include "kernel/core/cpio.h"
#include "lib/string.h"

// The lines of the configuration and where parsing stands in them.
struct parser {
	const void *data;
	size_t size;
	char *next; // the next line
	char *end;
	int line;
	char *key;   // of the current line
	char *value; // after the space; never NULL
	const char *why;
	struct bundle *out;
};

static bool fail(struct parser *p, const char *why)
{
	p->why = why;
	return false;
}

// Cuts off the next line and splits it at its first space. false: there is none, or it is not
// ended.
static bool next_line(struct parser *p)
{
	char *newline = memchr(p->next, '\n', (size_t)(p->end - p->next));
	char *space;

	p->line++;
	if (!newline)
		return fail(p, "the configuration ends too early");
	if (memchr(p->next, 0, (size_t)(newline - p->next)))
		return fail(p, "a zero byte in the configuration");
	*newline = 0;
	p->key = p->next;
	space = strchr(p->key, ' ');
	p->value = newline;
	if (space) {
		*space = 0;
		p->value = space + 1;
	}
	p->next = newline + 1;
	return true;
}

static bool is_key(const struct parser *p, const char *key)
{
	return strcmp(p->key, key) == 0;
}

static bool parse_number(const char *text, unsigned base, u64 max, u64 *out)
{
	u64 n = 0;

	if (!*text)
		return false;
	for (; *text; text++) {
		unsigned digit = *text >= '0' && *text <= '9'   ? (unsigned)(*text - '0')
				 : *text >= 'a' && *text <= 'f' ? (unsigned)(*text - 'a') + 10
								: 99;

		if (digit >= base || digit > max || n > (max - digit) / base)
			return false;
		n = n * base + digit;
	}
	*out = n;
	return true;
}

static bool number32(struct parser *p, u32 min, u32 max, u32 *out, const char *why)
{
	u64 n;

	if (!parse_number(p->value, 10, max, &n) || n < min)
		return fail(p, why);
	*out = (u32)n;
	return true;
}

static bool name_legal(const char *s)
{
	size_t n = strlen(s);

	for (size_t i = 0; i < n; i++)
		if (!((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= '0' && s[i] <= '9') || s[i] == '-'))
			return false;
	return n >= 1 && n <= BUNDLE_NAME_MAX;
}

static bool file(struct parser *p, const char *member, struct bundle_file *out)
{
	struct cpio_member m;

	if (!cpio_find(p->data, p->size, member, &m))
		return fail(p, "a member of the archive was expected");
	*out = (struct bundle_file){m.data, m.size};
	return true;
}

static bool module(struct parser *p, struct bundle_vm *vm)
{
	struct bundle_module *m = &vm->modules[vm->module_count];
	char *space = strchr(p->value, ' ');

	if (vm->module_count == BUNDLE_MAX_MODULES)
		return fail(p, "at most 8 modules");
	m->args = space ? space + 1 : p->value + strlen(p->value);
	if (space)
		*space = 0;
	vm->module_count++;
	return file(p, p->value, &m->file);
}

static bool parse_vm_begin(struct parser *p, struct bundle_vm *vm)
{
	if (vm->is_root)
		p->value = p->key; // its name
	if (!name_legal(p->value))
		return fail(p, "a name of 1 to 31 of a-z, 0-9 and - was expected");
	for (unsigned i = 0; i < p->out->count; i++)
		if (strcmp(p->out->vms[i].name, p->value) == 0)
			return fail(p, "the name is used twice");
	vm->name = p->value;
	vm->bundle = p->out;
	return true;
}

static bool expect(struct parser *p, const char *key, const char *why)
{
	return next_line(p) && (is_key(p, key) || fail(p, why));
}

static bool parse_files(struct parser *p, struct bundle_vm *vm)
{
	if (!expect(p, "kernel", "kernel was expected") || !file(p, p->value, &vm->kernel) ||
		!next_line(p))
		return false;
	if (is_key(p, "initrd") && (!file(p, p->value, &vm->initrd) || !next_line(p)))
		return false;
	while (is_key(p, "module"))
		if (!module(p, vm) || !next_line(p))
			return false;
	if (!is_key(p, "cmdline") || strlen(p->value) > BUNDLE_CMDLINE_MAX)
		return fail(p, "cmdline of at most 2047 bytes was expected");
	vm->cmdline = p->value;
	return true;
}

static bool parse_share(struct parser *p, struct bundle_vm *vm)
{
	const char *weight = "weight of 1 to 10000 was expected";

	if (!expect(p, "weight", weight) || !number32(p, 1, 10000, &vm->weight, weight) ||
		!next_line(p))
		return false;
	if (is_key(p, "cap") && (!number32(p, 1, 100 * BUNDLE_MAX_VCPUS, &vm->cap,
					 "cap of 1 to 6400 was expected") ||
					!next_line(p)))
		return false;
	if (is_key(p, "affinity")) {
		if (!parse_number(p->value, 16, ~0ull, &vm->affinity) || !vm->affinity)
			return fail(p, "affinity, a mask in hexadecimal, was expected");
		if (!next_line(p))
			return false;
	}
	return true;
}

static bool parse_io(struct parser *p, struct bundle_vm *vm)
{
	while (is_key(p, "disk") || is_key(p, "nic") || is_key(p, "vars") || is_key(p, "balloon")) {
		if (vm->io_count == BUNDLE_MAX_IO)
			return fail(p, "at most 18 disks, nics, vars");
		vm->io[vm->io_count++] = (struct bundle_line){p->key, p->value};
		if (!next_line(p))
			return false;
	}
	return true;
}

static bool parse_vm(struct parser *p, struct bundle_vm *vm)
{
	u32 debug_exit = 0;

	if (!parse_vm_begin(p, vm) || !expect(p, "memory", "memory was expected"))
		return false;
	if (!parse_number(p->value, 10, BIT(40), &vm->memory) || !vm->memory ||
		!IS_ALIGNED(vm->memory, MiB))
		return fail(p, "memory in bytes, a multiple of 1 MiB up to 1 TiB, was expected");
	if (!vm->is_root && (!expect(p, "vcpus", "vcpus was expected") ||
				    !number32(p, 1, BUNDLE_MAX_VCPUS, &vm->vcpus,
					    "vcpus of 1 to 64 was expected")))
		return false;
	if (!parse_files(p, vm) || !parse_share(p, vm) || !parse_io(p, vm))
		return false;
	if (!is_key(p, "repeat"))
		return fail(p, "repeat was expected");
	if (!number32(p, 0, 1000000, &vm->repeat, "repeat of 0 to 1000000 was expected"))
		return false;
	if (!expect(p, "debug_exit", "debug_exit was expected") ||
		!number32(p, 0, 1, &debug_exit, "debug_exit of 0 or 1 was expected"))
		return false;
	vm->debug_exit = debug_exit;
	return expect(p, "end", "end was expected");
}

static bool parse_all(struct parser *p)
{
	if (!next_line(p) || !is_key(p, "mezzanine-bundle") || strcmp(p->value, "1") != 0)
		return fail(p, "\"" BUNDLE_MAGIC_LINE "\" was expected");
	while (p->next < p->end) {
		struct bundle_vm *vm = &p->out->vms[p->out->count];

		if (p->out->count == BUNDLE_MAX_VMS)
			return fail(p, "at most 64 VMs");
		if (!next_line(p))
			return false;
		vm->is_root = !p->out->count && is_key(p, "root") && !*p->value;
		if (!vm->is_root && !is_key(p, "vm"))
			return fail(p, "vm was expected");
		if (!parse_vm(p, vm))
			return false;
		p->out->count++;
	}
	return p->out->count || fail(p, "at least one VM was expected");
}

static bool config_member(const void *data, size_t size, struct cpio_member *m, const char **why)
{
	if (!cpio_find(data, size, BUNDLE_CONFIG, m) || m->size > 4 * MiB) {
		*why = "an archive (cpio, newc) with " BUNDLE_CONFIG
		       " of at most 4 MiB was expected";
		return false;
	}
	return true;
}

// As many VMs as the text has lines that could begin one, so that the memory is bounded by the
// text; beside them the root VM, and what a wrong line would begin.
static unsigned count_vms(const u8 *text, size_t size)
{
	unsigned n = 0;

	for (size_t i = 0; i + 4 <= size && n < BUNDLE_MAX_VMS; i++)
		n += memcmp(text + i, "\nvm ", 4) == 0;
	return n;
}

size_t bundle_memory(const void *data, size_t size, const char **why)
{
	struct cpio_member m;

	if (!config_member(data, size, &m, why))
		return 0;
	return (count_vms(m.data, m.size) + 2) * sizeof(struct bundle_vm) + m.size + 1;
}

int bundle_parse(struct bundle *out, const void *data, size_t size, void *memory, const char **why)
{
	struct parser p = {.data = data, .size = size, .out = out};
	struct cpio_member m;

	*out = (struct bundle){.data = data, .size = size};
	if (!config_member(data, size, &m, why))
		return -1;
	out->vms = memory;
	out->text = (char *)memory + (count_vms(m.data, m.size) + 2) * sizeof(struct bundle_vm);
	memcpy(out->text, m.data, m.size);
	p.next = out->text;
	p.end = out->text + m.size;
	if (parse_all(&p))
		return 0;
	*why = p.why;
	return p.line;
}
