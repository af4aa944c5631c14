// SPDX-License-Identifier: MIT
// ELF files, 32 and 64 bits: their segments, and the PVH note. Source: System V ABI, chapters 4 and 5.

#include "kernel/vm/loader_parts.h"
#include "lib/errno.h"
#include "lib/string.h"

#define PHDRS_MAX         64u
#define NOTES_MAX         4096u // notes looked at in one segment
#define PT_LOAD           1u
#define PT_NOTE           4u
#define EM_386            3u
#define EM_X86_64         62u
#define NOTE_PHYS32_ENTRY 18u // XEN_ELFNOTE_PHYS32_ENTRY

struct elf64_header {
	u8 ident[16];
	u16 type, machine;
	u32 version;
	u64 entry, phoff, shoff;
	u32 flags;
	u16 ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};

struct elf32_header {
	u8 ident[16];
	u16 type, machine;
	u32 version;
	u32 entry, phoff, shoff;
	u32 flags;
	u16 ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};

struct elf64_phdr {
	u32 type, flags;
	u64 offset, vaddr, paddr, filesz, memsz, align;
};

struct elf32_phdr {
	u32 type, offset, vaddr, paddr, filesz, memsz, flags, align;
};

struct elf_note {
	u32 name_size, desc_size, type;
};

// What both classes have in common once they are read.
struct elf {
	const struct image *file;
	bool wide;
	u64 entry, phoff;
	unsigned phnum;
};

static bool elf_open(const struct image *file, struct elf *e)
{
	struct elf64_header h64;
	struct elf32_header h32;

	if (!image_read(file, 0, &h32, sizeof(h32)) || memcmp(h32.ident, "\177ELF", 4))
		return false;
	*e = (struct elf){.file = file, .wide = h32.ident[4] == 2};
	if (!e->wide) {
		e->entry = h32.entry;
		e->phoff = h32.phoff;
		e->phnum = h32.phnum;
		return h32.machine == EM_386 && h32.phentsize == sizeof(struct elf32_phdr) &&
		       e->phnum <= PHDRS_MAX;
	}
	if (!image_read(file, 0, &h64, sizeof(h64)))
		return false;
	e->entry = h64.entry;
	e->phoff = h64.phoff;
	e->phnum = h64.phnum;
	return h64.machine == EM_X86_64 && h64.phentsize == sizeof(struct elf64_phdr) &&
	       e->phnum <= PHDRS_MAX;
}

static bool elf_segment(const struct elf *e, unsigned index, struct elf64_phdr *p)
{
	struct elf32_phdr narrow;

	if (e->phoff > e->file->size)
		return false;
	if (e->wide)
		return image_read(e->file, e->phoff + index * sizeof(*p), p, sizeof(*p));
	if (!image_read(e->file, e->phoff + index * sizeof(narrow), &narrow, sizeof(narrow)))
		return false;
	*p = (struct elf64_phdr){narrow.type, narrow.flags, narrow.offset, narrow.vaddr,
		narrow.paddr, narrow.filesz, narrow.memsz, narrow.align};
	return true;
}

static int load_segment(struct load *l, const struct elf64_phdr *p)
{
	struct image data = image_part(&l->kernel, p->offset);
	int err;

	if (!p->memsz)
		return 0;
	if (p->filesz > p->memsz || p->filesz > data.size)
		return load_fail(l, "a segment of its kernel is longer than the file");
	if (!load_fits(l, p->paddr, p->memsz))
		return load_fail(l, "a segment of its kernel lies outside of its memory");
	l->kernel_start = MIN(l->kernel_start, p->paddr);
	l->kernel_end = MAX(l->kernel_end, p->paddr + p->memsz);
	err = load_copy(l, p->paddr, data.data, p->filesz);
	return err ? err : load_zero(l, p->paddr + p->filesz, p->memsz - p->filesz);
}

int load_elf(struct load *l, u64 *entry)
{
	struct elf64_phdr p;
	struct elf e;
	int err;

	if (!elf_open(&l->kernel, &e))
		return -ENOEXEC;
	l->kernel_start = ~0ull;
	l->kernel_end = 0;
	for (unsigned i = 0; i < e.phnum; i++) {
		if (!elf_segment(&e, i, &p))
			return load_fail(l, "its kernel's program headers are cut off");
		if (p.type == PT_LOAD && (err = load_segment(l, &p)))
			return err;
	}
	if (!l->kernel_end)
		return load_fail(l, "its kernel has no segment to load");
	*entry = e.entry;
	return 0;
}

// Looks through the notes in [offset, offset + size) of the file.
static bool find_note(const struct elf *e, u64 offset, u64 size, u32 *entry)
{
	struct image notes = image_part(e->file, offset);
	struct elf_note note;
	char name[4];
	u64 at = 0;

	notes.size = MIN(notes.size, size);
	for (unsigned i = 0; i < NOTES_MAX && image_read(&notes, at, &note, sizeof(note)); i++) {
		u64 desc = at + sizeof(note) + ALIGN_UP((u64)note.name_size, 4u);

		if (note.type == NOTE_PHYS32_ENTRY && note.name_size == 4 && note.desc_size >= 4 &&
			image_read(&notes, at + sizeof(note), name, 4) && !memcmp(name, "Xen", 4))
			return image_read(&notes, desc, entry, 4);
		at = desc + ALIGN_UP((u64)note.desc_size, 4u);
	}
	return false;
}

int load_elf_pvh_entry(const struct load *l, u32 *entry)
{
	struct elf64_phdr p;
	struct elf e;

	if (!elf_open(&l->kernel, &e))
		return -ENOEXEC;
	for (unsigned i = 0; i < e.phnum && elf_segment(&e, i, &p); i++)
		if (p.type == PT_NOTE && find_note(&e, p.offset, p.filesz, entry))
			return 0;
	return -ENOEXEC;
}
