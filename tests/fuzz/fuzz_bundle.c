// SPDX-License-Identifier: MIT
// The reader of the boot bundle: arbitrary archives, and arbitrary configurations in a good archive. All memory is of just
// the size that the reader may use.
// link: kernel/core/bundle.c kernel/core/bundle_disk.c kernel/core/disk_line.c kernel/core/cpio.c
// fuzz: -max_len=4096
#include "kernel/core/bundle_disk.h"
#include "tests/fuzz/input.h"
#include "tests/unit/cpio_build.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

#define INPUT_MAX 65536u

static void check_file(const struct bundle_file *f, const u8 *archive, size_t size)
{
	MUST(f->data >= archive && f->data <= archive + size);
	MUST(f->size <= (size_t)(archive + size - f->data));
}

static void check_vm(const struct bundle_vm *vm, const u8 *archive, size_t size)
{
	MUST(strlen(vm->name) >= 1 && strlen(vm->name) <= BUNDLE_NAME_MAX);
	MUST(strlen(vm->cmdline) <= BUNDLE_CMDLINE_MAX);
	MUST(vm->memory && vm->memory % MiB == 0);
	MUST(vm->vcpus >= 1 && vm->vcpus <= BUNDLE_MAX_VCPUS);
	MUST(vm->weight >= 1 && vm->weight <= 10000);
	MUST(vm->module_count <= BUNDLE_MAX_MODULES);
	check_file(&vm->kernel, archive, size);
	if (vm->initrd.data)
		check_file(&vm->initrd, archive, size);
	for (unsigned i = 0; i < vm->module_count; i++) {
		check_file(&vm->modules[i].file, archive, size);
		MUST(strlen(vm->modules[i].args) < size);
	}
}

static void check_disks(const struct bundle_vm *vm, const u8 *archive, size_t size)
{
	MUST(vm->io_count <= BUNDLE_MAX_IO);
	for (unsigned n = 0; bundle_disk_line(vm, n) >= 0; n++) {
		const char *why = NULL;
		struct bundle_disk d;

		if (!bundle_disk_parse(vm, (unsigned)bundle_disk_line(vm, n), &d, &why)) {
			MUST(why && *why);
			continue;
		}
		MUST(!d.image.data == (strlen(d.device) > 0));
		if (!d.image.data)
			continue;
		check_file(&d.image, archive, size);
		MUST(d.image.size && d.image.size % 512 == 0);
	}
}

static void parse(const u8 *archive, size_t size)
{
	const char *why = NULL;
	size_t need = bundle_memory(archive, size, &why);
	struct bundle b;
	void *memory;
	int line;

	if (!need) {
		MUST(why && *why);
		return;
	}
	memory = calloc(1, need);
	MUST(memory);
	line = bundle_parse(&b, archive, size, memory, &why);
	MUST(b.count <= BUNDLE_MAX_VMS);
	if (line)
		MUST(why && *why);
	else
		MUST(b.count >= 1);
	for (unsigned i = 0; i < b.count; i++) {
		check_vm(&b.vms[i], archive, size);
		check_disks(&b.vms[i], archive, size);
		for (unsigned j = 0; j < i; j++)
			MUST(strcmp(b.vms[i].name, b.vms[j].name) != 0);
	}
	free(memory);
}

// What stands behind the configuration; made once.
static size_t files_put(u8 *at)
{
	static const u8 sectors[1024];
	static u8 files[2048];
	static size_t n;

	if (!n) {
		n = cpio_add(files, n, "k", "kernel", 6);
		n = cpio_add(files, n, "i", "initrd", 6);
		n = cpio_add(files, n, "d", sectors, sizeof(sectors));
		n = cpio_add(files, n, "TRAILER!!!", "", 0);
		MUST(n <= sizeof(files));
	}
	memcpy(at, files, n);
	return n;
}

// A first byte of 0xff: the rest is the archive; else the rest is the configuration of an archive with members k, i and d.
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static u8 archive[INPUT_MAX + 4096];
	size_t n = 0;
	u8 *copy;

	if (size > INPUT_MAX)
		return 0;
	if (size && data[0] == 0xff) {
		n = size - 1;
		memcpy(archive, data + 1, n);
	} else {
		memset(archive, 0, size + 256); // what lies between members
		n = cpio_add(archive, n, BUNDLE_CONFIG, data, size);
		n += files_put(archive + n);
	}
	copy = malloc(n ? n : 1); // so that a byte read too far is found
	MUST(copy);
	memcpy(copy, archive, n);
	parse(copy, n);
	free(copy);
	return 0;
}
