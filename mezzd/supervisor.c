// SPDX-License-Identifier: MIT
#include "mezzd/supervisor.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/device.h"
#include "common/util.h"
#include "mezzd/network.h"

#define holder(p, type, member) ((type *)((char *)(p)-offsetof(type, member)))

// ---- the VM

enum standing { VM_THERE, VM_GONE, VM_UNKNOWN };

// What is known of a back-end's VM now.
static enum standing look_at(const struct backend *b, struct mezz_vm *vm)
{
	bool found;

	if (!device_vm(b->vm, vm, &found))
		return VM_UNKNOWN;
	if (!found || vm->id != b->vm || strcmp(vm->name, b->name) != 0 ||
		vm->state == MEZZ_VM_ENDING)
		return VM_GONE;
	return VM_THERE;
}

// Names become names of files.
static bool is_name(const char *name)
{
	return name[0] && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(name);
}

static bool needs_backend(const struct mezz_vm *vm)
{
	char line[4096];

	return !vm->is_root && vm->state != MEZZ_VM_ENDING && is_name(vm->name) &&
	       (vm->firmware || device_vm_line(vm->id, 0, line, sizeof(line)) >= 0);
}

// ---- a back-end

static void forget(struct backend *b)
{
	struct backend **at = &b->supervisor->backends;

	while (*at != b)
		at = &(*at)->next;
	*at = b->next;
	loop_clear(b->supervisor->loop, &b->timer);
	free(b);
}

static void start(struct loop_timer *timer);

static void tell(const struct backend *b, const char *event, const char *how)
{
	if (b->supervisor->tell)
		b->supervisor->tell(b->supervisor->owner, event, b->name, how);
}

static bool take_quick(struct backend *b)
{
	int64_t more = (clock_ms() - b->counted) / SUPERVISOR_REFILL;

	b->counted += more * SUPERVISOR_REFILL;
	b->quick += more;
	if (b->quick > SUPERVISOR_QUICK)
		b->quick = SUPERVISOR_QUICK;
	return b->quick > 0 && b->quick--;
}

// It begins to wait.
static void wait_longer(struct backend *b)
{
	b->pause = take_quick(b) || !b->pause ? 1 : b->pause * 2;
	if (b->pause > SUPERVISOR_PAUSE_MS)
		b->pause = SUPERVISOR_PAUSE_MS;
	b->timer.due = start;
	loop_set(b->supervisor->loop, &b->timer, clock_ms() + b->pause);
}

static void died(struct loop_source *source)
{
	struct backend *b = holder(source, struct backend, source);
	int64_t lived = clock_ms() - b->since;
	pid_t pid = b->process.pid;
	struct mezz_vm vm;
	char how[96];

	loop_forget(b->supervisor->loop, source);
	loop_clear(b->supervisor->loop, &b->timer);
	process_end(&b->process, how, sizeof(how));
	unlink(b->file);
	b->runs = false;
	if (look_at(b, &vm) == VM_GONE) {
		complain("%s: back-end %d has ended with its VM: %s", b->name, pid, how);
		forget(b);
		return;
	}
	if (lived >= SUPERVISOR_LONG_MS)
		b->pause = 0;
	wait_longer(b);
	tell(b, "backend.died", how);
	complain("%s: back-end %d has died after %" PRId64 " ms: %s; the next one in %" PRId64
		 " ms",
		b->name, pid, lived, how, b->pause);
}

static void runs(struct backend *b)
{
	b->source = (struct loop_source){.fd = b->process.fd, .ready = died};
	b->since = clock_ms();
	b->runs = true;
	if (loop_watch(b->supervisor->loop, &b->source))
		return;
	process_kill(&b->process); // nobody would see its end
	died(&b->source);
}

static void start(struct loop_timer *timer)
{
	struct backend *b = holder(timer, struct backend, timer);
	struct mezz_vm vm;
	enum standing standing = look_at(b, &vm);

	if (standing == VM_GONE) {
		forget(b);
		return;
	}
	if (standing == VM_UNKNOWN || vm.has_backend || !network_plug_vm(b->vm, b->name) ||
		!process_start(&b->process, b->supervisor->program, b->name, b->file)) {
		wait_longer(b);
		return;
	}
	complain("%s: back-end %d starts%s", b->name, b->process.pid, b->starts++ ? " again" : "");
	tell(b, "backend.started", NULL);
	runs(b);
}

static void end_stray(struct loop_timer *timer)
{
	struct backend *b = holder(timer, struct backend, timer);

	complain("%s: back-end %d goes on without its VM: it is killed", b->name, b->process.pid);
	process_kill(&b->process);
}

// The VM has ended. Its back-end goes by itself.
static void lose_vm(struct backend *b)
{
	if (!b->runs) {
		forget(b);
	} else if (!b->timer.set) {
		b->timer.due = end_stray;
		loop_set(b->supervisor->loop, &b->timer, clock_ms() + SUPERVISOR_GONE_MS);
	}
}

// A VM that was not there at the last look: its back-end may be there, from before.
static void meet(struct supervisor *s, const struct mezz_vm *vm)
{
	struct backend *b = allocate(sizeof(*b));

	*b = (struct backend){.supervisor = s, .next = s->backends, .vm = vm->id, .seen = true};
	b->quick = SUPERVISOR_QUICK;
	b->counted = clock_ms();
	memcpy(b->name, vm->name, sizeof(b->name));
	state_path(b->file, s->folder, b->name, "pid");
	s->backends = b;
	if (process_find(&b->process, b->file)) {
		complain("%s: back-end %d runs already", b->name, b->process.pid);
		b->starts++;
		runs(b);
		return;
	}
	if (vm->has_backend)
		complain("%s: another's back-end runs; when it ends, one is started", b->name);
	start(&b->timer);
}

// ---- all

static struct backend *find(struct supervisor *s, const struct mezz_vm *vm)
{
	struct backend *b = s->backends;

	while (b && (b->vm != vm->id || strcmp(b->name, vm->name) != 0))
		b = b->next;
	return b;
}

static void see(struct supervisor *s, const struct mezz_vm *vm)
{
	struct backend *b = find(s, vm);

	if (b)
		b->seen = vm->state != MEZZ_VM_ENDING;
	else if (needs_backend(vm))
		meet(s, vm);
}

static void lose_unseen(struct supervisor *s)
{
	for (struct backend *b = s->backends, *next; b; b = next) {
		next = b->next;
		if (!b->seen)
			lose_vm(b);
	}
}

static void look(struct supervisor *s)
{
	struct mezz_vm *vms;
	uint32_t *ids;
	size_t count;

	vms = device_vms(&count);
	if (!vms)
		return;
	ids = allocate(count * sizeof(*ids));
	for (struct backend *b = s->backends; b; b = b->next)
		b->seen = false;
	for (size_t i = 0; i < count; i++) {
		ids[i] = vms[i].id;
		see(s, &vms[i]);
	}
	lose_unseen(s);
	network_keep(ids, count);
	free(ids);
	free(vms);
}

static void look_again(struct loop_timer *timer)
{
	struct supervisor *s = holder(timer, struct supervisor, look);

	look(s);
	loop_set(s->loop, timer, clock_ms() + SUPERVISOR_LOOK_MS);
}

void supervisor_start(struct supervisor *s, struct loop *l, const char *folder, const char *program)
{
	*s = (struct supervisor){.loop = l,
		.folder = folder,
		.program = program,
		.tell = s->tell,
		.owner = s->owner};
	s->look.due = look_again;
	look_again(&s->look);
}

void supervisor_hurry(struct supervisor *s)
{
	loop_set(s->loop, &s->look, clock_ms());
}

void supervisor_stop(struct supervisor *s)
{
	loop_clear(s->loop, &s->look);
	while (s->backends) {
		struct backend *b = s->backends;

		if (b->runs) {
			loop_forget(s->loop, &b->source);
			close(b->process.fd);
		}
		forget(b);
	}
}
