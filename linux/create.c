// SPDX-License-Identifier: GPL-2.0 OR MIT
// VMs that programs of the root VM make: hands their bundle over to the kernel of Mezzanine, page by page. What a program that is killed
// meanwhile leaves is dropped.
#include <linux/gfp.h>
#include <linux/mutex.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "mezz.h"

static DEFINE_MUTEX(lock); /* one at a time, as the kernel wants it */

static long hand_over(u64 handle, const struct mezz_create *c, void *page)
{
	long err = 0;

	for (u64 at = 0; at < c->size && !err; at += PAGE_SIZE) {
		size_t n = min_t(u64, c->size - at, PAGE_SIZE);

		if (fatal_signal_pending(current))
			return -EINTR;
		if (copy_from_user(page, u64_to_user_ptr(c->bundle + at), n))
			return -EFAULT;
		err = mezz_call(MEZZ_CALL_BUNDLE_WRITE, handle, at, page, n);
		cond_resched();
	}
	return err;
}

static long create(const struct mezz_create *c, void *page)
{
	long result, handle = mezz_call(MEZZ_CALL_BUNDLE_BEGIN, c->size, 0, NULL, 0);

	if (handle < 0)
		return handle;
	result = hand_over(handle, c, page);
	memset(page, 0, PAGE_SIZE); /* no part of the bundle is a message */
	if (result) {
		mezz_call(MEZZ_CALL_BUNDLE_DROP, handle, 0, NULL, 0);
		return result;
	}
	return mezz_call(MEZZ_CALL_VM_CREATE, handle, 0, page, MEZZ_MESSAGE_MAX);
}

/* At most as much as there is room for, with a zero byte at the end. */
static long tell(const struct mezz_create *c, char *message)
{
	size_t n = min_t(u64, c->message_size, MEZZ_MESSAGE_MAX);

	if (!n)
		return 0;
	message[n - 1] = 0;
	return copy_to_user(u64_to_user_ptr(c->message), message, n) ? -EFAULT : 0;
}

long mezz_create_vm(const struct mezz_create *c)
{
	char *page;
	long result;

	if (!c->size || c->size > MEZZ_BUNDLE_MAX || c->bundle + c->size < c->bundle)
		return -EINVAL;
	page = (char *)get_zeroed_page(GFP_KERNEL);
	if (!page)
		return -ENOMEM;
	result = mutex_lock_killable(&lock);
	if (!result) {
		result = create(c, page);
		mutex_unlock(&lock);
	}
	if (result < 0 && tell(c, page))
		result = -EFAULT;
	free_page((unsigned long)page);
	return result;
}
