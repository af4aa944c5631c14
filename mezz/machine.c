// SPDX-License-Identifier: MIT
// The emulated machine that `mezz run` starts: what it is made of, and QEMU's words for it.
#include "mezz/machine.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/config.h"
#include "common/util.h"

#define MIB             (1ull << 20)
#define OWN_MEMORY      (256 * MIB) // firmware, the kernel, its tables
#define MEMORY_MULTIPLE (64 * MIB)
#define UEFI_FIRMWARE   "/usr/share/ovmf/OVMF.fd" // Debian's package ovmf

uint64_t machine_memory(const struct machine *m, const struct config *config, uint64_t bundle_size)
{
	uint64_t sum = OWN_MEMORY + 2 * bundle_size;

	if (m->memory)
		return m->memory;
	for (unsigned i = 0; i < config->vm_count; i++) {
		const struct config_vm *vm = &config->vms[i];

		sum += vm->memory + vm->disk_count * MIB;
		for (unsigned n = 0; n < vm->disk_count; n++)
			if (vm->disks[n].mode == CONFIG_DISK_SNAPSHOT)
				sum += vm->disks[n].size;
	}
	return (sum + MEMORY_MULTIPLE - 1) / MEMORY_MULTIPLE * MEMORY_MULTIPLE;
}

char *machine_kernel_args(const struct machine *m)
{
	return print_text("console=frames%s%s", *m->kernel_args ? " " : "", m->kernel_args);
}

static void add_boot(struct words *w, const struct machine *m, const struct machine_parts *parts)
{
	if (m->boot == BOOT_PVH) {
		char *args = machine_kernel_args(m);
		const char *const words[] = {
			"-kernel", parts->kernel, "-initrd", parts->image, "-append", args};

		for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++)
			words_add(w, words[i]);
		free(args);
		return;
	}
	if (m->boot == BOOT_UEFI) {
		words_add(w, "-bios");
		words_add(w, UEFI_FIRMWARE);
	}
	char *image = double_commas(parts->image);

	words_add(w, "-drive");
	words_print(w, "if=none,id=cd,media=cdrom,readonly=on,format=raw,file=%s", image);
	words_add(w, "-device");
	words_add(w, "ide-cd,drive=cd,bootindex=0");
	free(image);
}

// No VM runs on QEMU's CPU 0 when there are others (docs/emulator.md), so there is one more.
static unsigned machine_cpus(const struct machine *m)
{
	return m->cpus > 1 && m->cpus < CONFIG_CPUS_MAX ? m->cpus + 1 : m->cpus;
}

struct words machine_words(
	const struct machine *m, const struct machine_parts *parts, uint64_t memory)
{
	static const char *const common[] = {"-accel", "tcg,thread=multi", "-nodefaults",
		"-no-user-config", "-display", "none", "-no-reboot"};
	const char *program = getenv("MEZZ_QEMU");
	struct words w = {0};

	words_add(&w, program && *program ? program : "qemu-system-x86_64");
	words_add(&w, "-M");
	words_add(&w, "q35");
	for (unsigned i = 0; i < sizeof(common) / sizeof(common[0]); i++)
		words_add(&w, common[i]);
	words_add(&w, "-cpu");
	words_add(&w, m->cpu);
	words_add(&w, "-smp");
	words_print(&w, "%u", machine_cpus(m));
	words_add(&w, "-m");
	words_print(&w, "%lluM", (unsigned long long)(memory / MIB));
	words_add(&w, "-chardev");
	words_add(&w, parts->line);
	words_add(&w, "-serial");
	words_add(&w, "chardev:line");
	if (parts->qmp) {
		words_add(&w, "-chardev");
		words_add(&w, parts->qmp);
		words_add(&w, "-mon");
		words_add(&w, "chardev=qmp,mode=control");
	}
	add_boot(&w, m, parts);
	hardware_words(&m->hardware, &w);
	if (m->gdb) {
		words_add(&w, "-s");
		words_add(&w, "-S");
	}
	for (size_t i = 0; i < m->more.count; i++)
		words_add(&w, m->more.list[i]);
	return w;
}

char *machine_kernel(const char *model)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *path, *slash;

	self[n > 0 ? n : 0] = '\0';
	slash = strrchr(self, '/');
	path = print_text("%.*smezzanine-%s.elf", slash ? (int)(slash + 1 - self) : 0, self, model);
	if (access(path, R_OK) == 0)
		return path;
	complain("%s: %s (`make` builds it)", path, strerror(errno));
	free(path);
	return NULL;
}
