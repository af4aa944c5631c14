// SPDX-License-Identifier: MIT
// Disks and network cards of the emulated machine: the options that name them, and QEMU's words for them.
#include "mezz/hardware.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/util.h"

#define SERIAL_MAX 20 // characters of an NVMe or ATA disk's serial number
#define PORT_MAX   65535

static const struct {
	const char *kind, *device;
} disk_kinds[] = {{"nvme", "nvme"}, {"sata", "ide-hd"}, {"virtio", "virtio-blk-pci"}},
  nic_kinds[] = {{"e1000e", "e1000e"}, {"virtio", "virtio-net-pci"}};

#define DISK_KINDS (sizeof(disk_kinds) / sizeof(disk_kinds[0]))
#define NIC_KINDS  (sizeof(nic_kinds) / sizeof(nic_kinds[0]))

const char *hardware_add_disk(struct hardware *h, const char *value)
{
	const char *colon = strchr(value, ':');
	unsigned n = h->disk_count;

	if (n == HARDWARE_DISKS_MAX)
		return "at most 16 disks";
	h->disks[n].device = disk_kinds[0].device;
	h->disks[n].file = value;
	for (size_t i = 0; colon && i < DISK_KINDS; i++) {
		size_t length = strlen(disk_kinds[i].kind);

		if (length != (size_t)(colon - value) ||
			memcmp(value, disk_kinds[i].kind, length) != 0)
			continue;
		h->disks[n].device = disk_kinds[i].device;
		h->disks[n].file = colon + 1;
	}
	if (access(h->disks[n].file, R_OK | W_OK) != 0)
		return "a file that can be read and written; before it nvme:, sata: or virtio:";
	h->disk_count++;
	return NULL;
}

const char *hardware_add_nic(struct hardware *h, const char *value)
{
	if (h->nic_count == HARDWARE_NICS_MAX)
		return "at most 8 network cards";
	for (size_t i = 0; i < NIC_KINDS; i++) {
		if (strcmp(nic_kinds[i].kind, value) != 0)
			continue;
		h->nics[h->nic_count++] = nic_kinds[i].device;
		return NULL;
	}
	return "e1000e or virtio";
}

static bool read_port(const char *text, size_t length, unsigned *out)
{
	char digits[8] = "";
	uint64_t number;

	if (!length || length >= sizeof(digits))
		return false;
	memcpy(digits, text, length);
	if (!parse_number(digits, 1, PORT_MAX, &number))
		return false;
	*out = (unsigned)number;
	return true;
}

const char *hardware_add_forward(struct hardware *h, const char *value)
{
	static const char expected[] = "PORT:ADDRESS:PORT, as in 8080:10.0.2.15:80";
	const char *first = strchr(value, ':'), *last = strrchr(value, ':');
	unsigned n = h->forward_count;
	size_t length;

	if (n == HARDWARE_FORWARDS_MAX)
		return "at most 16 forwarded ports";
	if (!first || first == last)
		return expected;
	length = (size_t)(last - first - 1);
	if (length > HARDWARE_ADDRESS_MAX || length != strspn(first + 1, "0123456789.") || !length)
		return expected;
	if (!read_port(value, (size_t)(first - value), &h->forwards[n].port) ||
		!read_port(last + 1, strlen(last + 1), &h->forwards[n].to_port))
		return expected;
	memcpy(h->forwards[n].to, first + 1, length);
	h->forwards[n].to[length] = '\0';
	h->forward_count++;
	return NULL;
}

// The end of the file's name, as far as a serial number can hold it.
static void disk_serial(const char *file, char out[SERIAL_MAX + 1])
{
	const char *slash = strrchr(file, '/');
	size_t n = 0;

	for (const char *p = slash ? slash + 1 : file; *p && n < SERIAL_MAX; p++)
		out[n++] = isalnum((unsigned char)*p) || strchr("._-", *p) ? *p : '_';
	out[n] = '\0';
}

static void disk_words(const struct hardware *h, unsigned n, struct words *w)
{
	char *file = double_commas(h->disks[n].file), serial[SERIAL_MAX + 1];

	disk_serial(h->disks[n].file, serial);
	words_add(w, "-drive");
	words_print(w, "if=none,id=disk%u,format=raw,discard=unmap,file=%s%s", n, file,
		h->snapshot ? ",snapshot=on" : "");
	words_add(w, "-device");
	words_print(w, "%s,drive=disk%u,serial=%s", h->disks[n].device, n, serial);
	free(file);
}

// Behind each card QEMU plays a network of its own; the forwarded ports lead to the first.
static void nic_words(const struct hardware *h, unsigned n, struct words *w)
{
	struct text net = {0};

	text_print(&net, "user,id=net%u", n);
	for (unsigned i = 0; n == 0 && i < h->forward_count; i++)
		text_print(&net, ",hostfwd=tcp:127.0.0.1:%u-%s:%u", h->forwards[i].port,
			h->forwards[i].to, h->forwards[i].to_port);
	words_add(w, "-netdev");
	words_add(w, net.data);
	words_add(w, "-device");
	words_print(w, "%s,netdev=net%u", n < h->nic_count ? h->nics[n] : nic_kinds[0].device, n);
	text_free(&net);
}

void hardware_words(const struct hardware *h, struct words *w)
{
	for (unsigned n = 0; n < h->disk_count; n++)
		disk_words(h, n, w);
	for (unsigned n = 0; n < h->nic_count || (n == 0 && h->forward_count); n++)
		nic_words(h, n, w);
}
