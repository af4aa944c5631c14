// SPDX-License-Identifier: GPL-2.0 OR MIT
// /dev/mezz: hypercalls of Mezzanine for programs of the root VM, and the back-ends of other VMs (abi/dev_mezz.h). The module passes
// calls on and decides only which process may make them; the kernel of Mezzanine checks them.
#include <asm/processor.h>
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/uaccess.h>

#include "mezz.h"

#define LEAF_SIGNATURE 0x40000100
#define LEAF_VERSION   0x40000101

static_assert(MEZZ_IOCTL == _IOW('M', 0, struct mezz_ioctl));
static_assert(MEZZ_ATTACH == _IOW('M', 1, struct mezz_attach));
static_assert(MEZZ_CREATE == _IOW('M', 2, struct mezz_create));

/* The buffer is a page of its own, copied in and out. */
static long call(const struct mezz_ioctl *c)
{
	void *page = (void *)get_zeroed_page(GFP_KERNEL);
	long result = -EFAULT;

	if (!page)
		return -ENOMEM;
	if (!copy_from_user(page, u64_to_user_ptr(c->buffer), c->size))
		result = mezz_call(c->call, c->argument[0], c->argument[1], page, c->size);
	if (result >= 0 && copy_to_user(u64_to_user_ptr(c->buffer), page, c->size))
		result = -EFAULT;
	free_page((unsigned long)page);
	return result;
}

static long call_ioctl(struct file *file, const void __user *argument)
{
	struct mezz_ioctl c;

	if (copy_from_user(&c, argument, sizeof(c)))
		return -EFAULT;
	if (c.call < MEZZ_CALL_HOST || c.call >= MEZZ_CALL_END || c.size > PAGE_SIZE)
		return -EINVAL;
	if (!mezz_backend_allows(file, c.call, c.argument[0]))
		return -EPERM;
	if (!c.size)
		return mezz_call(c.call, c.argument[0], c.argument[1], NULL, 0);
	return call(&c);
}

static long mezz_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
	struct mezz_attach a;
	struct mezz_create c;

	switch (command) {
	case MEZZ_IOCTL:
		return call_ioctl(file, (const void __user *)argument);
	case MEZZ_ATTACH:
		if (copy_from_user(&a, (const void __user *)argument, sizeof(a)))
			return -EFAULT;
		return mezz_backend_attach(file, &a);
	case MEZZ_CREATE:
		if (copy_from_user(&c, (const void __user *)argument, sizeof(c)))
			return -EFAULT;
		return mezz_backend_allows(file, MEZZ_CALL_VM_CREATE, 0) ? mezz_create_vm(&c)
									 : -EPERM;
	default:
		return -ENOTTY;
	}
}

/* Not the one that the module keeps for itself: an open file has nothing in it until it is attached. */
static int mezz_open(struct inode *inode, struct file *file)
{
	file->private_data = NULL;
	return 0;
}

static int mezz_release(struct inode *inode, struct file *file)
{
	mezz_backend_detach(file);
	return 0;
}

static const struct file_operations operations = {
	.owner = THIS_MODULE,
	.open = mezz_open,
	.release = mezz_release,
	.mmap = mezz_backend_mmap,
	.unlocked_ioctl = mezz_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "mezz",
	.fops = &operations,
	.mode = 0600,
};

static int __init mezz_init(void)
{
	u32 eax, ebx = 0, ecx, edx, signature[3] = {0};
	int err;

	if (boot_cpu_has(X86_FEATURE_HYPERVISOR))
		cpuid(LEAF_SIGNATURE, &eax, &signature[0], &signature[1], &signature[2]);
	if (memcmp(signature, "MezzanineHV", 12)) {
		pr_err("mezz: this is no VM of Mezzanine\n");
		return -ENODEV;
	}
	cpuid(LEAF_VERSION, &eax, &ebx, &ecx, &edx);
	if (ebx != MEZZ_ABI_VERSION) {
		if (ebx)
			pr_err("mezz: the kernel's interface is version %u, this module's %u\n",
				ebx, MEZZ_ABI_VERSION);
		else
			pr_err("mezz: this is not the root VM\n");
		return -ENODEV;
	}
	err = mezz_events_init();
	if (err) {
		pr_err("mezz: no interrupt for events: error %d\n", err);
		return err;
	}
	err = misc_register(&device);
	if (err)
		mezz_events_exit();
	return err;
}

static void __exit mezz_exit(void)
{
	misc_deregister(&device);
	mezz_events_exit();
	mezz_backends_free();
	mezz_memory_exit();
}

module_init(mezz_init);
module_exit(mezz_exit);

MODULE_DESCRIPTION("Mezzanine: hypercalls and back-ends of the root VM");
MODULE_LICENSE("Dual MIT/GPL");
MODULE_VERSION("0.2");
