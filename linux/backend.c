// SPDX-License-Identifier: GPL-2.0 OR MIT
// An open /dev/mezz as the back-end of one VM: what it may call, what it may map, and the state that stays from one to the next.
#include <linux/eventfd.h>
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "mezz.h"

#define BLOCK (2ull << 20)
#define PAUSE 10 /* ms between two looks at memory that is held */

/* What stays of a VM while it lives, whatever becomes of its back-ends. */
struct vm {
	struct list_head link;
	u32 id;
	u64 serial;  /* other VMs get the id later */
	u8 *state;   /* MEZZ_STATE_SIZE bytes; begins with struct mezz_bells */
	bool in_use; /* a file is attached */
};

/* Of an attached file. */
struct backend {
	struct list_head link; /* of `leaving` */
	struct vm *vm;
	struct eventfd_ctx *events;
	struct mezz_lent lent;
};

static void look_again(struct work_struct *unused);

static LIST_HEAD(vms);
static LIST_HEAD(leaving); /* their files are closed; somebody holds memory of their VMs */
static DEFINE_MUTEX(lock); /* the lists, and who is attached */
static DECLARE_DELAYED_WORK(looks, look_again);

static void vm_free(struct vm *vm)
{
	list_del(&vm->link);
	free_pages_exact(vm->state, MEZZ_STATE_SIZE);
	kfree(vm);
}

static struct vm *vm_make(u32 id)
{
	struct vm *vm = kzalloc(sizeof(*vm), GFP_KERNEL);

	if (!vm)
		return NULL;
	vm->id = id;
	vm->state = alloc_pages_exact(MEZZ_STATE_SIZE, GFP_KERNEL | __GFP_ZERO);
	if (!vm->state) {
		kfree(vm);
		return NULL;
	}
	list_add(&vm->link, &vms);
	return vm;
}

static struct vm *vm_find(u32 id)
{
	struct vm *vm;

	list_for_each_entry(vm, &vms, link) if (vm->id == id) return vm;
	return vm_make(id);
}

/* A bell that the last one did not take would keep the next from ringing; who begins looks at everything anyway. Another VM than the
 * one that the state is of begins anew. */
static void vm_renew(struct vm *vm, u64 serial)
{
	struct mezz_bells *bells = (void *)vm->state;

	for (int i = 0; i < MEZZ_SLOTS; i++)
		xchg(&bells->device[i], 0);
	if (vm->serial == serial)
		return;
	vm->serial = serial;
	xchg(&bells->vm, 0);
	memset(vm->state + PAGE_SIZE, 0, MEZZ_STATE_SIZE - PAGE_SIZE);
}

static long attach(struct backend *b, u32 id)
{
	struct vm *vm = vm_find(id);
	long serial;

	if (!vm)
		return -ENOMEM;
	if (vm->in_use)
		return -EBUSY;
	mezz_events_set(id, b->events);
	serial = mezz_call(MEZZ_CALL_ATTACH, id, 0, vm->state, PAGE_SIZE);
	if (serial < 0) {
		mezz_events_set(id, NULL);
		if (!vm->serial)
			vm_free(vm);
		return serial;
	}
	vm_renew(vm, serial);
	vm->in_use = true;
	b->vm = vm;
	mezz_lent_init(&b->lent);
	return 0;
}

static long backend_make(struct file *file, const struct mezz_attach *a)
{
	struct backend *b = kzalloc(sizeof(*b), GFP_KERNEL);
	long err;

	if (!b)
		return -ENOMEM;
	b->events = eventfd_ctx_fdget(a->events);
	if (IS_ERR(b->events)) {
		err = PTR_ERR(b->events);
		kfree(b);
		return err;
	}
	err = attach(b, a->vm);
	if (err) {
		eventfd_ctx_put(b->events);
		kfree(b);
		return err;
	}
	smp_store_release(&file->private_data, b);
	return 0;
}

long mezz_backend_attach(struct file *file, const struct mezz_attach *a)
{
	long err = -EBUSY;

	if (a->vm >= MEZZ_MAX_VMS)
		return -ENOENT;
	if (a->reserved)
		return -EINVAL;
	mutex_lock(&lock);
	if (!file->private_data)
		err = backend_make(file, a);
	mutex_unlock(&lock);
	return err;
}

/* Nobody touches anything of the VM any more. */
static void leave(struct backend *b)
{
	struct vm *vm = b->vm;

	mezz_call(MEZZ_CALL_DETACH, vm->id, 0, NULL, 0);
	vm->in_use = false;
	if (READ_ONCE(((struct mezz_bells *)vm->state)->vm) & MEZZ_BELL_END)
		vm_free(vm);
	mezz_lent_destroy(&b->lent);
	kfree(b);
}

/* The state, too: VMs that get this id later have it. */
static bool is_held(struct backend *b)
{
	return mezz_lent_is_held(&b->lent) ||
	       mezz_pages_held(PHYS_PFN(virt_to_phys(b->vm->state)), MEZZ_STATE_SIZE / PAGE_SIZE);
}

/* Until then the VM has a back-end, and its memory stays its own. */
static void look_again(struct work_struct *unused)
{
	struct backend *b, *next;

	mutex_lock(&lock);
	list_for_each_entry_safe(b, next, &leaving, link)
	{
		if (is_held(b))
			continue;
		list_del(&b->link);
		leave(b);
		module_put(THIS_MODULE); /* mezz_backends_free waits for this function */
	}
	if (!list_empty(&leaving))
		schedule_delayed_work(&looks, msecs_to_jiffies(PAUSE));
	mutex_unlock(&lock);
}

/* The last reference has gone, and with it all mappings: the process touches nothing of the VM, unless it holds pages otherwise. */
void mezz_backend_detach(struct file *file)
{
	struct backend *b = file->private_data;

	if (!b)
		return;
	mutex_lock(&lock);
	mezz_events_set(b->vm->id, NULL);
	eventfd_ctx_put(b->events);
	if (is_held(b)) {
		__module_get(THIS_MODULE);
		list_add(&b->link, &leaving);
		schedule_delayed_work(&looks, msecs_to_jiffies(PAUSE));
	} else {
		leave(b);
	}
	mutex_unlock(&lock);
}

void mezz_backends_free(void)
{
	struct vm *vm, *next;

	cancel_delayed_work_sync(&looks);
	list_for_each_entry_safe(vm, next, &vms, link) vm_free(vm);
}

static struct backend *backend_of(struct file *file)
{
	return smp_load_acquire(&file->private_data);
}

bool mezz_backend_allows(struct file *file, u64 nr, u64 argument)
{
	struct backend *b = backend_of(file);

	if (!b)
		return true;
	return nr >= MEZZ_CALL_DEVICE_STATE && nr <= MEZZ_CALL_DEVICE_CONFIG &&
	       (u32)argument == b->vm->id;
}

/* ---------------------------------------------------------------- the VM's memory */

/* All of the block that the mapping covers, as the rest will be touched next. */
static vm_fault_t insert_block(struct vm_area_struct *vma, u64 address, u64 gpa, u64 at)
{
	u64 first = ALIGN_DOWN(gpa, BLOCK);
	vm_fault_t result = VM_FAULT_SIGBUS;

	for (u64 g = first; g < first + BLOCK; g += PAGE_SIZE) {
		u64 to = address - gpa + g;
		struct page *page;
		int err;

		if (g < (u64)vma->vm_pgoff << PAGE_SHIFT || to >= vma->vm_end)
			continue;
		page = mezz_page(at + (g - first));
		err = page ? vm_insert_page(vma, to, page) : -ENXIO;
		if (g == gpa && (!err || err == -EBUSY))
			result = VM_FAULT_NOPAGE;
		if (err && err != -EBUSY)
			break;
	}
	return result;
}

static vm_fault_t insert_page(struct vm_area_struct *vma, u64 address, u64 at)
{
	struct page *page = mezz_page(at);
	int err = page ? vm_insert_page(vma, address, page) : -ENXIO;

	return !err || err == -EBUSY ? VM_FAULT_NOPAGE : VM_FAULT_SIGBUS;
}

static vm_fault_t memory_fault(struct vm_fault *vmf)
{
	struct backend *b = backend_of(vmf->vma->vm_file);
	u64 gpa = (u64)vmf->pgoff << PAGE_SHIFT;
	long at = mezz_call(MEZZ_CALL_MAP, b->vm->id, gpa, NULL, 0);
	u64 size = at & MEZZ_MAP_BLOCK ? BLOCK : PAGE_SIZE;

	if (at < 0)
		return VM_FAULT_SIGBUS;
	at &= ~MEZZ_MAP_BLOCK;
	if (!mezz_page(at))
		return VM_FAULT_SIGBUS;
	if (mezz_lent_note(&b->lent, at, size))
		return VM_FAULT_OOM;
	return size == BLOCK ? insert_block(vmf->vma, vmf->address, gpa, at)
			     : insert_page(vmf->vma, vmf->address, at);
}

static const struct vm_operations_struct memory_operations = {
	.fault = memory_fault,
};

/* ---------------------------------------------------------------- mappings */

static int state_mmap(struct backend *b, struct vm_area_struct *vma)
{
	u64 size = vma->vm_end - vma->vm_start;
	int err = 0;

	if (size > MEZZ_STATE_SIZE)
		return -EINVAL;
	for (u64 at = 0; at < size && !err; at += PAGE_SIZE)
		err = vm_insert_page(vma, vma->vm_start + at, virt_to_page(b->vm->state + at));
	return err;
}

int mezz_backend_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct backend *b = backend_of(file);
	u64 first = (u64)vma->vm_pgoff << PAGE_SHIFT;

	if (!b)
		return -ENXIO;
	if (!(vma->vm_flags & VM_SHARED) || vma->vm_flags & VM_EXEC)
		return -EINVAL;
	vma->vm_flags |= VM_MIXEDMAP | VM_DONTEXPAND | VM_DONTDUMP | VM_DONTCOPY;
	vma->vm_flags &= ~VM_MAYEXEC;
	if (first == MEZZ_MAP_STATE)
		return state_mmap(b, vma);
	if (first >= 1ull << 48 || vma->vm_end - vma->vm_start > (1ull << 48) - first)
		return -EINVAL;
	vma->vm_ops = &memory_operations;
	return 0;
}
