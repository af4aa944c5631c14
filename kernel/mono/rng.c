// SPDX-License-Identifier: MIT
// Random bytes for VMs: RDRAND seeds a ChaCha20 generator of each CPU, anew after every RESEED calls.
//
// A generator belongs to its CPU; the kernel is not interrupted, so it needs no lock.
#include "kernel/mono/rng.h"

#include "devices/host_kernel/host_kernel.h"
#include "devices/virtio_rng.h"
#include "kernel/core/frame.h"
#include "kernel/core/log.h"
#include "kernel/vm/vm.h"
#include "kernel/x86/cpu.h"
#include "lib/chacha20.h"

#define SLOT   10u // on the PCI bus, behind the disks
#define RESEED 256u
#define TRIES  16 // of RDRAND, which may have nothing for a moment (Intel SDM 1, section 7.3.17.1)

struct vm_rng {
	struct host host;
	struct virtio_rng dev;
	struct virtio_pci pci;
};

static struct {
	struct chacha20_random random;
	u32 calls;
} generators[PCPU_MAX];

static bool usable;

static bool rdrand(u32 *out)
{
	for (int i = 0; i < TRIES; i++) {
		bool ok;

		__asm__ volatile("rdrand %0" : "=r"(*out), "=@ccc"(ok));
		if (ok)
			return true;
	}
	return false;
}

// 256 bits of the processor's, and the time. false: the processor gave less.
static bool seed(struct chacha20_random *r)
{
	u64 now = time_now();
	u32 words[8];
	bool ok = true;

	for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
		ok = rdrand(&words[i]) && ok;
	words[0] ^= (u32)now;
	words[1] ^= (u32)(now >> 32);
	chacha20_random_seed(r, words);
	return ok;
}

void host_random(struct host *h, void *to, size_t n)
{
	unsigned cpu = this_pcpu()->id;

	(void)h;
	if (generators[cpu].calls++ % RESEED == 0)
		seed(&generators[cpu].random);
	chacha20_random_fill(&generators[cpu].random, to, n);
}

// Every CPU's generator begins with a seed that is known to be whole.
void rng_init(void)
{
	usable = cpu_info.rdrand;
	for (u32 i = 0; i < pcpu_count && usable; i++)
		usable = seed(&generators[i].random);
	if (!usable)
		log_line("rng: this processor has no RDRAND that works: no virtio-rng for VMs");
}

const char *rng_create(struct vm *vm)
{
	struct vm_rng *r;

	if (!usable)
		return NULL;
	r = kmem_alloc(sizeof(*r), vm->id);
	if (!r)
		return "out of memory for its devices";
	r->host.vm = vm;
	virtio_rng_init(&r->dev, &r->host);
	virtio_pci_init(&r->pci, &r->dev.dev, SLOT);
	vm->rng = r;
	return vpci_add(&vm->pc.pci, SLOT, &virtio_pci_ops, &r->pci) ? "its PCI bus is full" : NULL;
}

void rng_destroy(struct vm *vm)
{
	struct vm_rng *r = vm->rng;

	if (!r)
		return;
	spin_lock(&vm->lock);
	virtio_reset(&r->dev.dev);
	vm->rng = NULL;
	spin_unlock(&vm->lock);
	virtio_rng_destroy(&r->dev);
	kmem_free(r, sizeof(*r));
}
