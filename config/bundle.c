// SPDX-License-Identifier: MIT
// Writes the boot bundle of abi/bundle.h: a cpio archive (newc) whose bytes depend on its input only.
#include "config/bundle.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <unistd.h>
#include <sys/stat.h>

#include "lib/firmware.h"
#include "config/nocloud.h"
#include "common/save.h"
#include "common/util.h"

#define MEMBERS_MAX (BUNDLE_MAX_VMS * (3 + BUNDLE_MAX_MODULES + BUNDLE_MAX_DISKS))

// A file of the archive, in memory; its member name is "f" and its index.
struct member {
	dev_t device;
	ino_t inode;
	char *bytes;
	size_t size;
	bool alone; // a disk that is written: nobody else's, whatever has the same bytes
};

struct bundle {
	struct member members[MEMBERS_MAX];
	unsigned member_count;
	struct text config;
	int fd;
	uint64_t written;
};

static bool member_read(struct member *m, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	size_t done = 0;

	if (fd < 0 || fstat(fd, &st) != 0) {
		complain("%s: %s", path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return false;
	}
	*m = (struct member){.device = st.st_dev, .inode = st.st_ino, .size = (size_t)st.st_size};
	m->bytes = allocate(m->size);
	while (done < m->size) {
		ssize_t n = read(fd, m->bytes + done, m->size - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	close(fd);
	if (done == m->size && m->size <= UINT32_MAX)
		return true;
	complain("%s: changed while it was read", path);
	free(m->bytes);
	return false;
}

// Adds the member behind the last one, unless its bytes are those of one that may be shared; its index.
static int member_add(struct bundle *b)
{
	const struct member *m = &b->members[b->member_count];

	for (unsigned i = 0; !m->alone && i < b->member_count; i++) {
		if (!b->members[i].alone && b->members[i].size == m->size &&
			memcmp(b->members[i].bytes, m->bytes, m->size) == 0) {
			free(m->bytes);
			return (int)i;
		}
	}
	return (int)b->member_count++;
}

// The same with bytes that no file has; they become the bundle's.
static int member_add_text(struct bundle *b, struct text *t)
{
	b->members[b->member_count] = (struct member){.bytes = t->data, .size = t->length};
	return member_add(b);
}

// The index of the member with this file's bytes, added if it is new or to be alone; -1 after a complaint.
static int bundle_member(struct bundle *b, const char *path, bool alone)
{
	struct member *m = &b->members[b->member_count];
	struct stat st;

	if (!alone && stat(path, &st) == 0)
		for (unsigned i = 0; i < b->member_count; i++)
			if (!b->members[i].alone && b->members[i].device == st.st_dev &&
				b->members[i].inode == st.st_ino)
				return (int)i;
	if (!member_read(m, path))
		return -1;
	m->alone = alone;
	return member_add(b);
}

static bool bundle_file(struct bundle *b, const char *key, const char *path, const char *args)
{
	int index = bundle_member(b, path, false);

	if (index < 0)
		return false;
	text_print(&b->config, "%s f%d%s%s\n", key, index, args ? " " : "", args ? args : "");
	return true;
}

static const struct config_switch *switch_of(
	const struct config *config, const struct config_nic *nic)
{
	static const struct config_switch none;

	for (unsigned i = 0; i < config->switch_count; i++)
		if (strcmp(config->switches[i].name, nic->switch_name) == 0)
			return &config->switches[i];
	return &none;
}

static void bundle_vlan(struct bundle *b, const struct config_nic *nic)
{
	if (!nic->trunk)
		text_print(&b->config, "%u", nic->vlan);
	else
		text_print(&b->config, "trunk");
	for (unsigned i = 0; i < nic->trunk_count; i++)
		text_print(&b->config, "%c%u", i ? ',' : ':', nic->trunk_vlans[i]);
}

static void bundle_nics(struct bundle *b, const struct config *config, const struct config_vm *vm)
{
	for (unsigned i = 0; i < vm->nic_count; i++) {
		const struct config_nic *nic = &vm->nics[i];
		const struct config_switch *s = switch_of(config, nic);

		text_print(&b->config, "nic %s ", nic->switch_name);
		bundle_vlan(b, nic);
		text_print(&b->config, " %02x:%02x:%02x:%02x:%02x:%02x %llu %llu%s%s%s\n",
			nic->mac[0], nic->mac[1], nic->mac[2], nic->mac[3], nic->mac[4],
			nic->mac[5], (unsigned long long)s->storm, (unsigned long long)s->rate,
			*s->uplink ? " " : "", s->uplink, nic->follow ? " follow" : "");
	}
}

static bool bundle_disk(struct bundle *b, const struct config_disk *disk)
{
	static const char *const modes[] = {"rw", "ro", "snapshot"};
	int index;

	if (disk->device) {
		text_print(&b->config, "disk device %s %s\n", disk->device, modes[disk->mode]);
		return true;
	}
	index = bundle_member(b, disk->image, disk->mode == CONFIG_DISK_RW);
	if (index < 0)
		return false;
	text_print(&b->config, "disk f%d %s\n", index, modes[disk->mode]);
	return true;
}

static bool firmware_good(const struct config_vm *vm, const struct text *image)
{
	const u8 *bytes = (const u8 *)image->data;
	u32 vars = 0;
	const char *why = NULL;

	if (firmware_is(bytes, image->length))
		why = firmware_look(bytes, image->length, &vars);
	else if (!firmware_is_bios(bytes, image->length))
		why = "its firmware is neither UEFI firmware nor a BIOS";
	if (!why && vm->firmware_vars && !vars)
		why = "its firmware has no variables that a device could keep";
	if (why)
		complain("VM %s: %s, expected that of Debian's package ovmf or seabios", vm->name,
			why);
	return !why;
}

// Firmware stands where a kernel does: its files one behind the other.
static bool bundle_firmware(struct bundle *b, const struct config_vm *vm)
{
	struct text image = {0};

	for (unsigned i = 0; i < CONFIG_FIRMWARE_FILES && vm->firmware[i]; i++) {
		struct member part;

		if (!member_read(&part, vm->firmware[i])) {
			text_free(&image);
			return false;
		}
		text_add(&image, part.bytes, part.size);
		free(part.bytes);
	}
	if (!firmware_good(vm, &image)) {
		text_free(&image);
		return false;
	}
	text_print(&b->config, "kernel f%d\n", member_add_text(b, &image));
	return true;
}

// cloud-init's volume is the last disk.
static bool bundle_cloud_init(struct bundle *b, const struct config_vm *vm)
{
	struct member user, network = {0};
	struct text volume = {0};

	if (!member_read(&user, vm->user_data))
		return false;
	if (vm->network_config && !member_read(&network, vm->network_config)) {
		free(user.bytes);
		return false;
	}
	nocloud_make(&volume, vm->name, (struct nocloud_file){user.bytes, user.size},
		(struct nocloud_file){network.bytes, network.size});
	free(user.bytes);
	free(network.bytes);
	text_print(&b->config, "disk f%d ro\n", member_add_text(b, &volume));
	return true;
}

// The order of the lines is part of the contract.
static bool bundle_vm(struct bundle *b, const struct config *config, const struct config_vm *vm)
{
	if (vm->is_root)
		text_print(&b->config, "root\nmemory %llu\n", (unsigned long long)vm->memory);
	else
		text_print(&b->config, "vm %s\nmemory %llu\nvcpus %u\n", vm->name,
			(unsigned long long)vm->memory, vm->vcpus);
	if (vm->kernel ? !bundle_file(b, "kernel", vm->kernel, NULL) : !bundle_firmware(b, vm))
		return false;
	if (vm->initrd && !bundle_file(b, "initrd", vm->initrd, NULL))
		return false;
	for (unsigned i = 0; i < vm->module_count; i++)
		if (!bundle_file(b, "module", vm->modules[i].path, vm->modules[i].args))
			return false;
	text_print(&b->config, "cmdline %s\nweight %u\n", vm->cmdline, vm->weight);
	if (vm->cap)
		text_print(&b->config, "cap %u\n", vm->cap);
	if (vm->affinity)
		text_print(&b->config, "affinity %llx\n", (unsigned long long)vm->affinity);
	for (unsigned i = 0; i < vm->disk_count; i++)
		if (!bundle_disk(b, &vm->disks[i]))
			return false;
	if (vm->user_data && !bundle_cloud_init(b, vm))
		return false;
	bundle_nics(b, config, vm);
	if (vm->firmware_vars)
		text_print(&b->config, "vars %s\n", vm->firmware_vars);
	if (vm->no_balloon)
		text_print(&b->config, "balloon off\n");
	if (vm->balloon)
		text_print(&b->config, "balloon %llu\n", (unsigned long long)vm->balloon);
	text_print(&b->config, "repeat %u\ndebug_exit %d\nend\n", vm->repeat, vm->debug_exit);
	return true;
}

static bool put(struct bundle *b, const void *bytes, size_t n)
{
	b->written += n;
	return write_all(b->fd, bytes, n) == 0;
}

static bool put_padding(struct bundle *b, unsigned alignment)
{
	static const char zeros[512];

	return put(b, zeros, (alignment - b->written % alignment) % alignment);
}

// One member: its header with thirteen fields of eight hexadecimal digits, its name, its bytes.
static bool put_member(
	struct bundle *b, unsigned inode, const char *name, const void *bytes, size_t size)
{
	unsigned mode = inode ? 0100644 : 0, links = 1;
	char header[111];

	snprintf(header, sizeof(header),
		"070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X", inode, mode, 0u, 0u,
		links, 0u, (unsigned)size, 0u, 0u, 0u, 0u, (unsigned)strlen(name) + 1, 0u);
	return put(b, header, 110) && put(b, name, strlen(name) + 1) && put_padding(b, 4) &&
	       put(b, bytes, size) && put_padding(b, 4);
}

static bool put_all(struct bundle *b)
{
	char name[16];

	if (!put_member(b, 1, BUNDLE_CONFIG, b->config.data, b->config.length))
		return false;
	for (unsigned i = 0; i < b->member_count; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		if (!put_member(b, i + 2, name, b->members[i].bytes, b->members[i].size))
			return false;
	}
	return put_member(b, 0, "TRAILER!!!", "", 0) && put_padding(b, 512);
}

int64_t bundle_write(const struct config *config, int fd)
{
	struct bundle *b = allocate(sizeof(*b));
	int64_t size = -1;
	bool ok = true;

	b->fd = fd;
	text_print(&b->config, "%s\n", BUNDLE_MAGIC_LINE);
	for (unsigned i = 0; ok && i < config->vm_count; i++)
		ok = bundle_vm(b, config, &config->vms[i]);
	if (ok && put_all(b))
		size = (int64_t)b->written;
	else if (ok)
		complain("the bundle cannot be written: %s", strerror(errno));
	for (unsigned i = 0; i < b->member_count; i++)
		free(b->members[i].bytes);
	text_free(&b->config);
	free(b);
	return size;
}

static bool write_bundle(int fd, const void *config)
{
	return bundle_write(config, fd) >= 0;
}

bool bundle_save(const struct config *config, const char *path)
{
	return save_file(path, write_bundle, config);
}
