// SPDX-License-Identifier: MIT
// A virtio device with its transport here and its back-end elsewhere: what its driver does to it becomes bells.
#include "kernel/core/frame.h"
#include "kernel/core/log.h"
#include "kernel/core/pcpu.h"
#include "kernel/micro/backend.h"
#include "lib/errno.h"
#include "lib/string.h"

#define FIRST_SLOT 2u // the bridge and the console come before

struct remote {
	struct vm *vm;
	unsigned slot;
	u32 resets;
	bool begun; // the driver was ready since the last reset: a back-end may have something in flight
	u8 config[MEZZ_CONFIG_SIZE];
	struct virtio_device_ops ops;
	struct virtio_device dev;
	struct virtio_pci pci;
	struct virtqueue queue[MEZZ_QUEUES];
};

static struct remote *remote_of(struct virtio_device *d)
{
	return container_of(d, struct remote, dev);
}

static void ring(struct remote *r, u64 bits)
{
	struct mezz_bells *bells = r->vm->backend->bells;

	if (bells)
		backend_ring(r->vm, &bells->device[r->slot], bits);
}

// ---------------------------------------------------------------- what the driver does

static void start(struct virtio_device *d)
{
	struct remote *r = remote_of(d);

	r->begun = true;
	ring(r, MEZZ_BELL_STATE);
}

static void reset(struct virtio_device *d)
{
	struct remote *r = remote_of(d);
	bool wait = r->begun && r->vm->backend->bells;

	r->resets++;
	r->begun = wait;
	virtio_reset_pending(d, wait);
	if (wait)
		ring(r, MEZZ_BELL_STATE);
}

static void notify(struct virtio_device *d, unsigned queue)
{
	ring(remote_of(d), BIT(queue));
}

static void config_read(struct virtio_device *d, u32 offset, void *to, u32 size)
{
	memcpy(to, remote_of(d)->config + offset, size);
}

// Nothing in the configuration of such devices is the driver's to write.
static void config_write(struct virtio_device *d, u32 offset, const void *from, u32 size)
{
	(void)d;
	(void)offset;
	(void)from;
	(void)size;
}

// ---------------------------------------------------------------- what the back-end does

static bool is_possible(const struct mezz_device *d)
{
	return d->slot >= FIRST_SLOT && d->slot < MEZZ_SLOTS && d->type && d->type < 64 &&
	       d->queues && d->queues <= MEZZ_QUEUES && d->queue_size &&
	       d->queue_size <= VIRTQUEUE_MAX && !(d->queue_size & (d->queue_size - 1)) &&
	       d->pci_class <= 0xffffff && d->config_size <= MEZZ_CONFIG_SIZE;
}

static void describe(struct remote *r, const struct mezz_device *d)
{
	memcpy(r->config, d->config, d->config_size);
	r->ops = (struct virtio_device_ops){
		.type = (enum virtio_type)d->type,
		.pci_class = d->pci_class,
		.config_size = (u16)d->config_size,
		.start = start,
		.reset = reset,
		.notify = notify,
		.config_read = config_read,
		.config_write = config_write,
	};
	r->dev = (struct virtio_device){
		.ops = &r->ops,
		.host = &r->vm->backend->host,
		.queue = r->queue,
		.queues = d->queues,
		.queue_size = d->queue_size,
		.offered = d->features,
	};
}

s64 remote_add(struct vm *vm, const struct mezz_device *d)
{
	struct remote *r;

	if (!is_possible(d))
		return -EINVAL;
	r = kmem_alloc(sizeof(*r), vm->id);
	if (!r)
		return -ENOMEM;
	r->vm = vm;
	r->slot = d->slot;
	describe(r, d);
	virtio_init(&r->dev);
	virtio_pci_init(&r->pci, &r->dev, d->slot);
	if (vpci_add(&vm->pc.pci, d->slot, &virtio_pci_ops, &r->pci)) {
		remote_free(r);
		return -EBUSY;
	}
	vm->backend->device[d->slot] = r;
	return 0;
}

void remote_free(struct remote *r)
{
	kmem_free(r, sizeof(*r));
}

s64 remote_state(const struct remote *r, struct mezz_device_state *s)
{
	*s = (struct mezz_device_state){
		.version = MEZZ_STATE_VERSION,
		.resets = r->resets,
		.accepted = r->dev.accepted,
		.status = r->dev.status,
		.running = virtio_running(&r->dev),
		.resetting = r->dev.resetting,
		.queues = r->dev.queues,
	};
	for (unsigned i = 0; i < r->dev.queues; i++) {
		const struct virtqueue_state *q = &r->queue[i].s;

		s->queue[i].desc = q->desc;
		s->queue[i].driver = q->driver;
		s->queue[i].device = q->device;
		s->queue[i].size = q->size;
		s->queue[i].enabled = q->enabled;
	}
	return 0;
}

s64 remote_interrupt(struct remote *r, u64 queues)
{
	if (!virtio_running(&r->dev))
		return 0;
	if (queues & MEZZ_BELL_STATE)
		r->pci.transport.config_interrupt(&r->pci.transport);
	for (unsigned i = 0; i < r->dev.queues; i++)
		if (queues >> i & 1)
			r->pci.transport.queue_interrupt(&r->pci.transport, i);
	return 0;
}

// The reset that was begun goes on to its end.
static void reset_done(struct remote *r)
{
	r->begun = false;
	if (r->dev.resetting)
		virtio_reset_pending(&r->dev, false);
	pcpu_post(this_pcpu(), WORK_REAP); // it may be what the end of the VM waits for
}

s64 remote_do(struct remote *r, u64 op)
{
	switch (op) {
	case MEZZ_DEVICE_RESET_DONE:
		if (!r->dev.resetting)
			return -EINVAL;
		reset_done(r);
		return 0;
	case MEZZ_DEVICE_BROKEN:
		if (!virtio_running(&r->dev))
			return 0;
		r->dev.status |= VIRTIO_NEEDS_RESET;
		r->pci.transport.config_interrupt(&r->pci.transport);
		return 0;
	default:
		return -EINVAL;
	}
}

s64 remote_config(struct remote *r, const void *config, u64 size)
{
	if (size != r->ops.config_size)
		return -EINVAL;
	memcpy(r->config, config, size);
	virtio_config_changed(&r->dev);
	return 0;
}

bool remote_quiet(struct remote *r)
{
	if (r->begun && !r->dev.resetting)
		virtio_reset(&r->dev);
	return !r->dev.resetting;
}

void remote_detached(struct remote *r)
{
	if (r->dev.resetting)
		reset_done(r);
}
