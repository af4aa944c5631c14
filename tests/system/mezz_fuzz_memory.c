// SPDX-License-Identifier: MIT
// A hostile back-end and memory: its VM's, mapped, moved, shared, given to other calls and to a disk, touched where nothing is.
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/system/mezz_fuzz.h"

#define ADVICE_MOST                                                                                \
	25 // up to MADV_DONTNEED_LOCKED; behind is MADV_HWPOISON, which breaks memory by design

// ---------------------------------------------------------------- mappings

static uint64_t a_place(struct mind *m)
{
	static const uint64_t edges[] = {
		0xa0000, 0xc0000, 2ul << 20, MEMORY, 0xb0000000, 4ul << 30, 1ull << 48};

	switch (below(m, 8)) {
	case 0:
		return (odd(m) & 0x7fffffffffffffff) / PAGE * PAGE;
	case 1:
		return edges[below(m, 7)] - (below(m, 4)) * PAGE;
	case 2:
		return below(m, MEMORY) / (2ul << 20) * (2ul << 20);
	default:
		return below(m, MEMORY) / PAGE * PAGE;
	}
}

static int rights(const struct mind *m, uint64_t place)
{
	(void)m;
	return l.gentle && place < GENTLE ? PROT_READ : PROT_READ | PROT_WRITE;
}

static long mapped(const void *at)
{
	return at == MAP_FAILED ? -errno : 0;
}

long act_map(struct mind *m)
{
	uint64_t place = a_place(m), length = a_length(m);
	int prot = rights(m, place), flags = MAP_SHARED | MAP_FIXED;

	if (l.gentle && place < GENTLE)
		length = length < GENTLE - place ? length : GENTLE - place;
	if (below(m, 16) == 0)
		prot |= PROT_EXEC;
	if (below(m, 16) == 0)
		flags ^= MAP_SHARED ^ MAP_PRIVATE;
	if (below(m, 8) == 0)
		flags |= MAP_POPULATE;
	return mapped(mmap(in_arena(m), length, prot, flags, l.attached, (off_t)place));
}

long act_map_state(struct mind *m)
{
	uint64_t length = below(m, 4) ? (1 + below(m, 16)) * PAGE : a_length(m);

	return mapped(mmap(in_arena(m), length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		l.attached, (off_t)(MEZZ_MAP_STATE + (below(m, 8) ? 0 : below(m, 16) * PAGE))));
}

long act_map_huge(struct mind *m)
{
	uint64_t length = 1ull << (30 + below(m, 18));
	void *at = mmap(NULL, length, PROT_READ, MAP_SHARED, l.attached, (off_t)a_place(m));

	return at == MAP_FAILED ? -errno : told(munmap(at, length));
}

long act_unmap(struct mind *m)
{
	return told(munmap(in_arena(m), a_length(m)));
}

long act_move(struct mind *m)
{
	uint64_t length = below(m, 8) ? a_length(m) : 0;

	return mapped(mremap(in_arena(m), length, below(m, 2) ? length : a_length(m),
		MREMAP_MAYMOVE | MREMAP_FIXED | (below(m, 4) ? 0 : MREMAP_DONTUNMAP), in_arena(m)));
}

long act_protect(struct mind *m)
{
	int prot = (int)below(m, 8);

	return told(mprotect(in_arena(m), a_length(m), l.gentle ? prot & ~PROT_WRITE : prot));
}

long act_advise(struct mind *m)
{
	return told(madvise(in_arena(m), a_length(m), (int)below(m, ADVICE_MOST)));
}

// An old call, by which a mapping gets another offset.
long act_remap(struct mind *m)
{
	return told(syscall(SYS_remap_file_pages, in_arena(m), a_length(m), 0,
		below(m, 2) ? a_place(m) / PAGE : odd(m), 0));
}

long act_lock(struct mind *m)
{
	return below(m, 2) ? told(munlock(in_arena(m), a_length(m)))
			   : told(mlock(in_arena(m), PAGE));
}

// ---------------------------------------------------------------- accesses

static __thread sigjmp_buf *volatile expected;

void access_failed(int signal)
{
	(void)signal;
	if (!expected)
		_exit(3);
	siglongjmp(*expected, 1);
}

long act_touch(struct mind *m)
{
	volatile uint64_t *at = (uint64_t *)in_arena(m) + below(m, PAGE / 8);
	uint64_t value = odd(m);
	bool write = below(m, 2);
	sigjmp_buf here;

	if (sigsetjmp(here, 0)) {
		expected = NULL;
		return -EFAULT;
	}
	expected = &here;
	if (write)
		*at = value;
	else
		(void)*at;
	expected = NULL;
	return 0;
}

// Bells, and what back-ends keep.
long act_scribble(struct mind *m)
{
	uint64_t *state = mmap(NULL, MEZZ_STATE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
		l.attached, (off_t)MEZZ_MAP_STATE);

	if (state == MAP_FAILED)
		return -errno;
	for (unsigned i = 0; i < 64; i++)
		state[below(m, below(m, 2) ? 34 : MEZZ_STATE_SIZE / 8)] = odd(m);
	return told(munmap(state, MEZZ_STATE_SIZE));
}

long act_read_into(struct mind *m)
{
	return told(read(below(m, 2) ? l.zero : l.random, in_arena(m), a_length(m) % (64 * PAGE)));
}

// A disk of the machine writes there.
long act_disk_into(struct mind *m)
{
	return told(pread(
		l.disk, in_arena(m), (1 + below(m, 32)) * PAGE, (off_t)(below(m, 64) * PAGE)));
}

long act_copy(struct mind *m)
{
	struct iovec from = {in_arena(m), a_length(m)}, to = {in_arena(m), from.iov_len};
	pid_t self = getpid();

	return below(m, 2) ? told(process_vm_writev(self, &from, 1, &to, 1, 0))
			   : told(process_vm_readv(self, &to, 1, &from, 1, 0));
}

// Pages go into the pipe, which holds them.
long act_splice(struct mind *m)
{
	struct iovec v = {in_arena(m), a_length(m)};

	return told(
		vmsplice(l.pipe[1], &v, 1, SPLICE_F_NONBLOCK | (below(m, 2) ? SPLICE_F_GIFT : 0)));
}

long act_drain(struct mind *m)
{
	uint8_t some[PAGE];

	return told(read(l.pipe[0], below(m, 2) ? in_arena(m) : some, sizeof(some)));
}
