// SPDX-License-Identifier: MIT
// A VM's memory map: guest-physical address -> frame, kept in the second-level tables that the
// processor walks.
//
// RAM is populated on first touch, in 2 MiB blocks where the range and free memory allow. One
// structure serves the processor's walks and the kernel's own reads, so that what the guest sees
// and what the kernel sees cannot differ.
//
// Empty -> populated by the first touch; populated -> empty by gmap_unmap, after which the frames
// are still reachable for those who looked before, until nobody is left of them (gmap_release).
#pragma once

#include "kernel/core/spinlock.h"
#include "lib/addr.h"

#define GMAP_RANGES 4

struct gmap_range {
	u64 start; // guest-physical, 4 KiB aligned
	u64 end;
};

struct gmap {
	struct spinlock lock; // rank LOCK_GMAP: changes of the tables
	u16 owner;            // of the frames
	hpa_t root;
	struct gmap_range ram[GMAP_RANGES];
	unsigned ranges;
	bool identity; // RAM is where the machine has it, and taken already (root VM)
	u64 populated; // frames of guest RAM, those unmapped and not yet released among them
	u64 tables;    // frames of tables
};

int gmap_init(struct gmap *g, u16 owner);              // 0 or -ENOMEM
void gmap_add_ram(struct gmap *g, u64 start, u64 end); // before use
void gmap_destroy(struct gmap *g); // gives back all frames; no CPU uses it any more

bool gmap_is_ram(const struct gmap *g, u64 gpa);
u64 gmap_ram_left(
	const struct gmap *g, u64 gpa); // bytes from there to the end of its range; 0: no RAM

// The address in the direct map of the byte at gpa, populated if need be; NULL: not RAM (a ROM is
// none), or out of memory.
void *gmap_ptr(struct gmap *g, u64 gpa);

// The same as long as it is populated, else NULL. May be called without a lock, as gmap_ptr.
void *gmap_look(const struct gmap *g, u64 gpa);

// What gmap_unmap took out of the map.
struct gmap_gone {
	enum { GMAP_NOTHING, GMAP_FRAME, GMAP_BLOCK, GMAP_TABLE } kind; // a table with all below
	hpa_t at;
};

// Empties the first entry of [gpa, end), whole pages below 2^48: a 2 MiB block, if the range begins
// with all of it, else a frame. Returns how many bytes of the range are dealt with, which may be
// more than are left. What *gone names stays as it is until gmap_release. A block of which only a
// part is to go is split; without memory for the table it stays. vm->lock held.
u64 gmap_unmap(struct gmap *g, u64 gpa, u64 end, struct gmap_gone *gone);

// Nobody can reach it any more (kernel/mono/reclaim.h): its frames go back. Returns how many.
u64 gmap_release(struct gmap *g, const struct gmap_gone *gone);

// The machine's device memory at [gpa, gpa + size), whole pages or one 2 MiB block, for the guest alone: not reached by the
// calls above. False: something is mapped there, or out of memory.
bool gmap_map_device(struct gmap *g, u64 gpa, u64 size);

// Takes out what gmap_map_device put in, all of it or none: on a vcpu once it has flushed (VCPU_FLUSH).
void gmap_unmap_device(struct gmap *g, u64 gpa, u64 size);

// What the map has for gpa now.
struct gmap_leaf {
	u64 start,
		end; // guest-physical, of what the entry covers: a page, a block, or more where there is nothing
	hpa_t at;    // where `start` is in the machine; HPA_NONE: nothing is mapped
	bool device; // not the guest's RAM: by gmap_map_device
};
void gmap_leaf(const struct gmap *g, u64 gpa, struct gmap_leaf *leaf);

// A guest touched RAM that is not there yet. 0; -EFAULT: not RAM; -ENOMEM.
int gmap_populate(struct gmap *g, u64 gpa);

// The guest reads [rom, rom + size) of the direct map, whole pages of the caller's, at gpa, where no RAM is and nothing
// is mapped; what it writes there are accesses to a device. False: out of memory, nothing is mapped then.
// The caller takes it out before gmap_destroy.
bool gmap_map_rom(struct gmap *g, u64 gpa, const void *rom, u64 size);

// Reads become accesses to a device, too: on a vcpu once it has flushed (VCPU_FLUSH). Mapping it again needs no memory.
void gmap_unmap_rom(struct gmap *g, u64 gpa, u64 size);
